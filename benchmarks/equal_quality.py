"""Each encoder's quality that is worth libjpeg's 85: ``python benchmarks/equal_quality.py FOLDER [--quality 85]``.

Of every photo a picture of 1200×800 is made without loss, encoded by each encoder at some qualities, and compared by
SSIMULACRA2 with what was encoded. Where an encoder's median meets libjpeg's lies its equal quality; beside it stand the
bytes that it needs there. Installs what it needs by itself (peers.py).
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from peers import PYTHON, install
from PIL import Image

SIZE = (1200, 800)
WORKERS = 2
Encode = Callable[[Image.Image, int], bytes]


def pillow(name: str, **options: object) -> Encode:
    def encode(image: Image.Image, quality: int) -> bytes:
        file = io.BytesIO()
        image.save(file, name, quality=quality, **options)
        return file.getvalue()

    return encode


def jpegli(image: Image.Image, quality: int) -> bytes:
    import pyjpegli

    encoded: bytes = pyjpegli.encode(image.tobytes(), image.width, image.height, quality=quality)
    return encoded


ENCODERS: dict[str, tuple[Encode, tuple[int, ...]]] = {
    "libjpeg (progressive)": (pillow("JPEG", progressive=True, optimize=True), (80, 85, 90)),
    "jpegli (baseline)": (jpegli, (83, 86, 89)),
    "WebP": (pillow("WEBP", method=4), (80, 84, 88, 92)),
    "AVIF": (pillow("AVIF", speed=7, max_threads=1), (65, 70, 75, 80, 85)),
}


def measure(photos: list[Path], encode: Encode, quality: int) -> tuple[float, int]:
    """Median score, and bytes of all."""

    def one(photo: Path) -> tuple[float, int]:
        with Image.open(photo) as image:
            image.draft(None, (2 * SIZE[0], 2 * SIZE[1]))
            image.thumbnail(SIZE, Image.Resampling.LANCZOS)
            plain = image.convert("RGB")
        encoded = encode(plain, quality)
        return score(plain, encoded), len(encoded)

    with ThreadPoolExecutor(WORKERS) as pool:
        scores, sizes = zip(*pool.map(one, photos), strict=True)
    return statistics.median(scores), sum(sizes)


def score(plain: Image.Image, encoded: bytes) -> float:
    from ssimulacra2 import compute_ssimulacra2

    reference = io.BytesIO()
    plain.save(reference, "PNG", compress_level=0)
    return float(compute_ssimulacra2(reference, io.BytesIO(encoded)))


def equal(points: list[tuple[int, float, int]], goal: float) -> tuple[float, float]:
    """Quality and bytes where the line through two measured points meets the goal."""
    below = max((p for p in points if p[1] <= goal), key=lambda p: p[1], default=points[0])
    above = min((p for p in points if p[1] >= goal), key=lambda p: p[1], default=points[-1])
    part = 0.0 if above[1] == below[1] else (goal - below[1]) / (above[1] - below[1])
    return below[0] + part * (above[0] - below[0]), below[2] + part * (above[2] - below[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quality", type=int, default=85)
    arguments = parser.parse_args()
    if Path(sys.executable).absolute() != PYTHON.absolute():
        install()
        command = [PYTHON, __file__, arguments.folder, "--quality", str(arguments.quality)]
        sys.exit(subprocess.run(command, check=False).returncode)
    photos = [path for path in sorted(arguments.folder.iterdir()) if path.suffix.lower() in (".jpg", ".jpeg")]
    reference, (encode, _) = "libjpeg (progressive)", ENCODERS["libjpeg (progressive)"]
    goal, size = measure(photos, encode, arguments.quality)
    print(f"{reference} {arguments.quality}: SSIMULACRA2 {goal:.2f}, {size} bytes")
    for name, (encode, qualities) in ENCODERS.items():
        points = [(quality, *measure(photos, encode, quality)) for quality in qualities]
        quality, needed = equal(points, goal)
        print(f"{name}: equal at {quality:.1f}, {needed / size:.2f} of the bytes; measured {json.dumps(points)}")


if __name__ == "__main__":
    main()
