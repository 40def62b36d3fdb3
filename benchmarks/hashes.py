"""How well the perceptual hash tells photos apart, and how often it survives changes that leave a photo the same.

    python benchmarks/hashes.py FOLDER        # of photos that all differ

Prints, for each distance, the share of changed photos that are still found and the share of pairs of different photos
that are taken for one.
"""

from __future__ import annotations

import io
import itertools
import os
import sys
from collections.abc import Callable

from PIL import Image, ImageEnhance

from hotfolder.imaging import Limits, open_image
from hotfolder.imaging.analysis import measure
from hotfolder.imaging.decoding.decode import decode
from hotfolder.imaging.plan import Plan
from hotfolder.presets import AnalyzeSpec

DISTANCES = (2, 4, 6, 8, 10, 12)


def again(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cropped(image: Image.Image, share: float) -> Image.Image:
    x, y = round(image.width * share / 2), round(image.height * share / 2)
    return image.crop((x, y, image.width - x, image.height - y))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "320 pixels wide": lambda image: image.resize((320, max(1, 320 * image.height // image.width))),
    "quality 50": lambda image: again(image, 50),
    "quality 10": lambda image: again(image, 10),
    "cropped by 2 %": lambda image: cropped(image, 0.02),
    "cropped by 5 %": lambda image: cropped(image, 0.05),
    "cropped by 10 %": lambda image: cropped(image, 0.10),
    "brighter by 30 %": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "grey": lambda image: image.convert("L").convert("RGB"),
}


def hashed(image: Image.Image) -> int:
    return int(measure.phash(measure.small(image)), 16)


def main(folder: str) -> None:
    plan = Plan((), None, AnalyzeSpec())
    originals: list[int] = []
    distances: dict[str, list[int]] = {name: [] for name in CHANGES}
    for name in sorted(os.listdir(folder)):
        if not name.lower().endswith((".jpg", ".jpeg", ".png")):
            continue
        with open(os.path.join(folder, name), "rb") as file:
            image = decode(open_image(file.read(), Limits()), plan).convert("RGB")
        original = hashed(image)
        for change, made in CHANGES.items():
            distances[change].append((original ^ hashed(made(image))).bit_count())
        originals.append(original)
    apart = [(one ^ other).bit_count() for one, other in itertools.combinations(originals, 2)]
    middle = sorted(apart)[len(apart) // 2]
    print(f"{len(originals)} photos, {len(apart)} pairs; the closest pair {min(apart)} bits apart, the median {middle}")
    print("| distance |", " | ".join(map(str, DISTANCES)), "|")
    print("| --- |", " | ".join("---" for _ in DISTANCES), "|")
    for change, found in distances.items():
        rates = (f"{sum(each <= limit for each in found) / len(found):.0%}" for limit in DISTANCES)
        print(f"| {change} |", " | ".join(rates), "|")
    rates = (f"{sum(each <= limit for each in apart) / len(apart):.1%}" for limit in DISTANCES)
    print("| different photos taken for one |", " | ".join(rates), "|")


if __name__ == "__main__":
    main(sys.argv[1])
