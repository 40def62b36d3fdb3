"""A real browser for the page: Debian's chromium, driven by playwright. Without it these tests are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from tests.helpers import Daemon
from tests.web.browsing import CHROMIUM, PATIENCE, Visit, launch

expect.set_options(timeout=PATIENCE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which(CHROMIUM) is None:
        missing = pytest.mark.skip(reason="chromium is not installed (Debian: apt install chromium)")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(missing)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = launch(playwright)
    yield browser
    browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Open the page of a daemon. Whatever a test does there: no fault in the page, and no request to another host."""
    visits: list[Visit] = []

    def begin(daemon: Daemon, path: str = "/", **options: Any) -> Visit:
        visits.append(Visit(browser, daemon, path, **options))
        return visits[-1]

    yield begin
    for each in visits:
        each.close()
    for each in visits:
        assert each.faults == []
        assert each.strangers() == set()
