"""The script that makes the pictures of README and docs works, and its pictures are small and show something."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from tests.web.screenshots import library, take


def test_the_pictures_of_the_docs(tmp_path: Path, browser: Browser) -> None:
    with library(tmp_path) as daemon:
        shots = take(browser, daemon, [], tmp_path)
    assert {shot.stem for shot in shots} == {"page-light", "page-dark", "page-detail", "page-phone"}
    for shot in shots:
        assert shot.stat().st_size < 300_000
        with Image.open(shot) as image:
            assert len(image.convert("RGB").getcolors(1 << 24) or []) > 100
