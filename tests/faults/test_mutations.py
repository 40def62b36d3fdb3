"""Mutated images, and those that fuzzing kept: no crash, no hang, no growth; each ends done or with a reason.
By hand: MUTATIONS=20000 SEED=7."""

from __future__ import annotations

import io
import os
import random
from collections import Counter
from collections.abc import Callable

import pytest
from PIL import Image

from hotfolder.errors import Reason
from hotfolder.imaging import formats
from tests.fuzzing import Judge, mutated, table
from tests.helpers import picture
from tests.walkers import CORPUS

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


def heic() -> bytes:
    import pillow_heif

    pillow_heif.register_heif_opener()
    return encoded("HEIF", exif=exif())


def jxl() -> bytes:
    import pillow_jxl  # noqa: F401 - registers itself

    return encoded("JXL", exif=exif())


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
    "big.tif": lambda: encoded("TIFF", big_tiff=True, exif=exif()),
    "lzw.tif": lambda: encoded("TIFF", compression="tiff_lzw"),
    "fax.tif": lambda: encoded("TIFF", "1", compression="group4"),
    "jpeg.tif": lambda: encoded("TIFF", compression="jpeg"),
    "ico": lambda: encoded("ICO"),
    "ppm": lambda: encoded("PPM"),
    "tga": lambda: encoded("TGA", compression="tga_rle"),
    **({"heic": heic} if formats.of("heif").is_installed else {}),
    **({"jxl": jxl} if formats.of("jxl").is_installed else {}),
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


def test_no_file_hurts_that_fuzzing_has_kept() -> None:
    """What hurt once, and what leads the core and the walkers everywhere."""
    judge, findings, ends = Judge(), [], Counter[str]()
    for path in sorted(path for path in CORPUS.rglob("*") if path.is_file()):
        verdict = judge.judge(path.read_bytes(), path.name)
        ends[verdict.reason] += 1
        if verdict.bad or verdict.reason not in ENDS:
            findings.append((path, verdict))
    judge.close()
    assert findings == []
    assert ends["done"] > 10
    assert ends[Reason.DAMAGED] + ends[Reason.TRUNCATED] > 10
