"""What renditions are worth: ``quality.py PHOTOS RENDITIONS PRESETS`` prints {file: SSIMULACRA2} as JSON.

The reference of each is the whole photo, decoded in full, resampled by libvips' Lanczos, never compressed. Where a
crop falls between two pixels, libraries round differently: the nearer of the references counts, for all alike. Of a
full-size copy the middle is compared. Runs in the peers' environment, where pyvips and ssimulacra2 are.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyvips
from ssimulacra2 import compute_ssimulacra2

Picture = Any
"""A pyvips.Image; pyvips has no types."""
MIDDLE = 800
"""Pixels a side of what is compared of a full-size copy."""


def uncompressed(image: Picture) -> io.BytesIO:
    """What compute_ssimulacra2 opens as a file."""
    image = image.colourspace("srgb") if image.bands == 1 else image
    return io.BytesIO(image.write_to_buffer(".png", compression=0))


def upright(path: str) -> Picture:
    image = pyvips.Image.new_from_file(path, access="random").autorot()
    if image.get_typeof("icc-profile-data"):
        image = image.icc_transform("srgb", embedded=True, intent="relative", black_point_compensation=True)
    return image.copy_memory()


def references(photo: Picture, preset: dict[str, Any] | None, size: tuple[int, int]) -> Iterator[Picture]:
    """The picture that an ideal program would make, for each way to round its crop."""
    wide, high = photo.width, photo.height
    if preset is None:
        yield photo
        return
    if preset["fit"] != "cover":
        yield photo.resize(size[0] / wide, vscale=size[1] / high, kernel="lanczos3", gap=0.0)
        return
    factor = max(size[0] / wide, size[1] / high)
    left, top = (wide - size[0] / factor) / 2, (high - size[1] / factor) / 2
    whole = photo.resize(round(wide * factor) / wide, vscale=round(high * factor) / high, kernel="lanczos3", gap=0.0)
    for down in {int(top * factor), round((whole.height - size[1]) / 2)}:
        for right in {int(left * factor), round((whole.width - size[0]) / 2)}:
            yield whole.crop(right, down, *size)
    yield shifted(photo, left, top).resize(factor, kernel="lanczos3", gap=0.0).crop(0, 0, *size)


def shifted(photo: Picture, left: float, top: float) -> Picture:
    """Cut off `left` and `top`, fractions of pixels included: small at full size, where nothing is fine any more."""
    whole = photo.crop(int(left), int(top), photo.width - int(left), photo.height - int(top))
    if left == int(left) and top == int(top):
        return whole
    bicubic = pyvips.Interpolate.new("bicubic")
    return whole.affine([1, 0, 0, 1], odx=int(left) - left, ody=int(top) - top, interpolate=bicubic, extend="copy")


def middle(image: Picture) -> Picture:
    wide, high = min(MIDDLE, image.width), min(MIDDLE, image.height)
    return image.crop((image.width - wide) // 2, (image.height - high) // 2, wide, high)


def score(reference: Picture, rendition: Picture) -> float:
    return float(compute_ssimulacra2(uncompressed(reference), uncompressed(rendition)))


def main() -> None:
    photos, renditions, table = sys.argv[1:]
    presets = {preset["name"]: preset for preset in json.loads(table)}
    names = sorted(os.listdir(renditions))

    def judge(photo_name: str) -> dict[str, float]:
        stem = os.path.splitext(photo_name)[0]
        photo = upright(os.path.join(photos, photo_name))
        found = {}
        for name in names:
            if not name.startswith(stem + "_") or name[len(stem) + 1 : -4] not in (*presets, "optimized"):
                continue
            preset = presets.get(name[len(stem) + 1 : -4])
            rendition = upright(os.path.join(renditions, name))
            size = (rendition.width, rendition.height)
            pairs = [(reference, rendition) for reference in references(photo, preset, size)]
            if preset is None:
                pairs = [(middle(a), middle(b)) for a, b in pairs]
            found[name] = max(score(*pair) for pair in pairs)
        return found

    found: dict[str, float] = {}
    with ThreadPoolExecutor(2) as pool:
        for each in pool.map(judge, sorted(os.listdir(photos))):
            found |= each
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
