"""Pictures of the page for README and docs: python -m tests.web.screenshots [--photos FOLDER] [--to docs]."""

from __future__ import annotations

import argparse
import io
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.helpers import Daemon, Place, wait_for
from tests.web.browsing import Visit, launch

BROKEN = {"IMG_2042.jpg": b"\xff\xd8\xff" + b"nonsense" * 50, "scan 7.tif": b"II*\0\x08\0\0\0"}
COLOURS = 192
OPENED = 4
"""The image of which the dialog is shown."""
DRAWN = 24
WIDE, LOW, NARROW = (ViewportSize(width=w, height=h) for w, h in ((1440, 900), (1200, 760), (390, 844)))
LOADED = "images => images.every(image => image.naturalWidth > 0 || image.getBoundingClientRect().top > innerHeight)"
CONFIG = """\
watches:
  - {{name: camera, path: ./camera, output: ./renditions/camera, create: true}}
  - {{name: phone, path: ./phone, output: ./renditions/phone, create: true}}
http: {{port: {port}}}
"""


@contextmanager
def library(base: Path) -> Iterator[Daemon]:
    """A daemon with two watches and two broken images."""
    place = Place(base)
    (base / "config.yaml").write_text(CONFIG.format(port=place.port))
    place.inbox, place.out = base / "camera", base / "renditions"
    for name, content in BROKEN.items():
        place.put(name, content)
    assert place.scan().returncode == 1
    daemon = Daemon(place).ready()
    try:
        yield daemon
    finally:
        daemon.stop(signal.SIGKILL)


def drop(daemon: Daemon, photos: list[Path]) -> None:
    """These, or drawn pictures where there are none, one after another: each is ready as soon as it can be."""
    place = daemon.place
    found = [(photo.name, photo.read_bytes()) for photo in photos]
    for number, (name, content) in enumerate(found or [(f"IMG_{2000 + n}.jpg", drawn(n)) for n in range(DRAWN)], 1):
        place.inbox = place.base / ("phone" if number % 4 == 0 else "camera")
        place.put(name, content)
        daemon.wait_metric("hotfolder_renditions_total", number, preset="optimized")


def drawn(seed: int) -> bytes:
    """Hills under a sky, other ones for each seed."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:800, 0:1200].astype(np.float32)
    dusk, high = generator.uniform(60, 250, (2, 3))
    sky = high + (dusk - high) * (y / 800)[..., None]
    for depth in range(4):
        waves = sum(generator.uniform(20, 70) * np.sin(x / generator.uniform(60, 300) + seed) for _ in range(3))
        sky[y > 380 + 110 * depth + waves] = dusk * (0.75 - 0.2 * depth)
    file = io.BytesIO()
    Image.fromarray(sky.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def take(browser: Browser, daemon: Daemon, photos: list[Path], to: Path) -> list[Path]:
    """Every picture, as a small PNG."""
    shots = []

    def shot(name: str, page: Page) -> None:
        expect(page.locator("#grid img").first).to_be_visible()
        expect(page.locator("#failures-list li")).to_have_count(len(BROKEN))
        wait_for("the pictures that are seen", lambda: page.locator("#grid img, #detail img").evaluate_all(LOADED))
        shots.append(to / f"{name}.png")
        page.screenshot(path=shots[-1])
        with Image.open(shots[-1]) as image:
            image.convert("RGB").quantize(COLOURS, kmeans=1, dither=Image.Dither.NONE).save(shots[-1], optimize=True)

    def visit(**options: Any) -> Page:
        page = Visit(browser, daemon, **options).page
        expect(page.locator("#link")).to_have_text("live")
        return page

    page = visit(viewport=WIDE, color_scheme="light")
    drop(daemon, photos)
    shot("page-light", page)
    page = visit(viewport=WIDE, color_scheme="dark")
    shot("page-dark", page)
    page.set_viewport_size(LOW)
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
    with library(given.at) as daemon, sync_playwright() as playwright:
        for path in take(launch(playwright), daemon, photos, given.to):
            print(path, path.stat().st_size)
    shutil.rmtree(given.at)


if __name__ == "__main__":
    main()
