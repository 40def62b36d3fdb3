"""Pictures of the page for README and docs: python -m tests.web.screenshots [--photos FOLDER] [--to docs]."""

from __future__ import annotations

import argparse
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.helpers import Daemon, Place, jpeg, picture, wait_for
from tests.web.browsing import Visit, launch

BROKEN = {"IMG_2042.jpg": b"\xff\xd8\xff" + b"nonsense" * 50, "scan.tif": b"II*\0\x08\0\0\0"}
COLOURS = 192
OPENED = 16
"""The image of which the dialog is shown."""
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
LOADED = "images => images.every(image => image.naturalWidth > 0 || image.getBoundingClientRect().top > innerHeight)"
CONFIG = """\
watches:
  - {{name: photos, path: ./photos, output: ./renditions/photos, create: true}}
  - {{name: scans, path: ./scans, output: ./renditions/scans, create: true}}
http: {{port: {port}}}
"""


@contextmanager
def library(base: Path, photos: list[Path]) -> Iterator[Daemon]:
    """A daemon at work on these photos, or on drawn pictures where there are none, with two that are broken."""
    place = Place(base)
    (base / "config.yaml").write_text(CONFIG.format(port=place.port))
    place.inbox, place.out = base / "photos", base / "renditions"
    for photo in photos:
        place.put(photo.name, photo.read_bytes())
    for number in range(0 if photos else 24):
        place.put(f"IMG_{2000 + number}.jpg", jpeg(1200, 800, number))
    for name, content in BROKEN.items():
        place.put(name, content)
    place.inbox = base / "scans"
    for number in range(6):
        place.put(f"letter {number + 1}.png", png(number))
    assert place.scan(timeout=300).returncode == 1  # the broken ones
    daemon = Daemon(place).ready()
    try:
        yield daemon
    finally:
        daemon.stop(signal.SIGKILL)


def png(seed: int) -> bytes:
    with tempfile.TemporaryFile() as file:
        picture(600, 800, seed).convert("L").save(file, "PNG")
        file.seek(0)
        return file.read()


def take(browser: Browser, daemon: Daemon, to: Path) -> list[Path]:
    """Every picture, as a small PNG."""
    shots = []

    def shot(name: str, page: Page) -> None:
        wait_for("the pictures that are seen", lambda: page.locator("#grid img, #detail img").evaluate_all(LOADED))
        shots.append(to / f"{name}.png")
        page.screenshot(path=shots[-1])
        with Image.open(shots[-1]) as image:
            image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(shots[-1], optimize=True)

    def visit(**options: object) -> Page:
        page = Visit(browser, daemon, **options).page
        expect(page.locator("#link")).to_have_text("live")
        expect(page.locator("#grid img").first).to_be_visible()
        expect(page.locator("#failures-list li")).to_have_count(len(BROKEN))
        return page

    shot("page-light", visit(viewport=WIDE, color_scheme="light"))
    page = visit(viewport=WIDE, color_scheme="dark")
    shot("page-dark", page)
    page.set_viewport_size({"width": 1200, "height": 760})
    page.locator("#grid button").nth(OPENED).click()
    expect(page.locator("#detail table")).to_be_visible()
    shot("page-detail", page)
    shot("page-phone", visit(viewport=NARROW, device_scale_factor=2, color_scheme="light"))
    return shots


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="a folder of JPEG photos; drawn pictures where it is not given")
    parser.add_argument("--to", type=Path, default=Path("docs"))
    parser.add_argument("--at", type=Path, default=Path("/tmp/hotfolder"), help="where the library lies meanwhile")
    given = parser.parse_args()
    photos = sorted(each for each in given.photos.iterdir() if each.suffix.lower() == ".jpg") if given.photos else []
    shutil.rmtree(given.at, ignore_errors=True)
    given.at.mkdir(parents=True)
    with library(given.at, photos) as daemon, sync_playwright() as playwright:
        for path in take(launch(playwright), daemon, given.to):
            print(path, path.stat().st_size)
    shutil.rmtree(given.at)


if __name__ == "__main__":
    main()
