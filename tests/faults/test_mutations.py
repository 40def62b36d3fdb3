"""Mutated images: no crash, no hang, no growth; each ends done or with a reason. By hand: MUTATIONS=20000 SEED=7."""

from __future__ import annotations

import io
import os
import random
from collections import Counter
from collections.abc import Callable

import pytest
from PIL import Image

from hotfolder.errors import Reason
from tests.fuzzing import Judge, mutated, table
from tests.helpers import picture

MUTATIONS = int(os.environ.get("MUTATIONS", "2000"))
SEED = int(os.environ.get("SEED", "1"))
ENDS = {
    "done",
    "skipped",
    Reason.EMPTY,
    Reason.NOT_AN_IMAGE,
    Reason.TRUNCATED,
    Reason.DAMAGED,
    Reason.UNSUPPORTED,
    Reason.TOO_MANY_PIXELS,
    Reason.TOO_MANY_BYTES,
    Reason.TOO_MUCH_MEMORY,
}


def encoded(name: str, mode: str = "RGB", size: tuple[int, int] = (48, 36), **options: object) -> bytes:
    file = io.BytesIO()
    picture(*size).convert(mode).save(file, name, **options)
    return file.getvalue()


def exif() -> bytes:
    found = Image.Exif()
    found[0x0112], found[0x010F] = 6, "Maker"
    found.get_ifd(0x8769)[0x829A] = 0.01
    found.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    return found.tobytes()


def sequence(name: str) -> bytes:
    file = io.BytesIO()
    frames = [picture(24, 18, seed) for seed in range(3)]
    frames[0].save(file, name, save_all=True, append_images=frames[1:])
    return file.getvalue()


SEEDS: dict[str, Callable[[], bytes]] = {
    "jpg": lambda: encoded("JPEG", exif=exif()),
    "progressive.jpg": lambda: encoded("JPEG", progressive=True, subsampling=1),
    "inks.jpg": lambda: encoded("JPEG", "CMYK"),
    "grey.jpg": lambda: encoded("JPEG", "L", restart_marker_blocks=2),
    "png": lambda: encoded("PNG", "RGBA", exif=exif()),
    "palette.png": lambda: encoded("PNG", "P"),
    "sixteen.png": lambda: encoded("PNG", "I;16"),
    "apng": lambda: sequence("PNG"),
    "webp": lambda: encoded("WEBP", exif=exif()),
    "lossless.webp": lambda: encoded("WEBP", "RGBA", lossless=True),
    "moving.webp": lambda: sequence("WEBP"),
    "avif": lambda: encoded("AVIF"),
    "gif": lambda: sequence("GIF"),
    "bmp": lambda: encoded("BMP"),
    "tif": lambda: encoded("TIFF", exif=exif()),
    "lzw.tif": lambda: encoded("TIFF", compression="tiff_lzw"),
    "fax.tif": lambda: encoded("TIFF", "1", compression="group4"),
    "jpeg.tif": lambda: encoded("TIFF", compression="jpeg"),
    "ico": lambda: encoded("ICO"),
    "ppm": lambda: encoded("PPM"),
    "tga": lambda: encoded("TGA", compression="tga_rle"),
}


@pytest.mark.timeout(3600)
def test_no_mutation_hurts() -> None:
    seeds = {name: make() for name, make in SEEDS.items()}
    generator = random.Random(SEED)
    judge, counts, findings = Judge(), Counter[str](), []
    for number in range(MUTATIONS):
        name = generator.choice(sorted(seeds))
        data = mutated(seeds[name], generator)
        verdict = judge.judge(data, f"x.{name}")
        counts[verdict.reason] += 1
        if verdict.bad or verdict.reason not in ENDS:
            findings.append((number, name, verdict))
    judge.close()
    print(table(counts, 0))
    assert findings == []
    assert counts["done"] > MUTATIONS / 20
    assert counts[Reason.DAMAGED] + counts[Reason.TRUNCATED] > MUTATIONS / 20
