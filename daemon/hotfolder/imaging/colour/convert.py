"""Colour: pictures become sRGB, or Display P3, or keep their own space, as a preset asks.

A broken profile, or one of another colour model than the pixels, is left out with a note.
"""

from __future__ import annotations

import hashlib
import io
import threading
from functools import cache

from PIL import Image, ImageChops, ImageCms

from hotfolder.imaging.colour.profiles import coloured, display_p3, is_grey
from hotfolder.presets import Colorspace

__all__ = ["convert", "display_p3"]

ICC_MAX = 4_000_000
CACHED = 8
SAME = 3
"""Of 255: so far the profiles that many programs have for sRGB differ from each other."""
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_local = threading.local()


def convert(
    image: Image.Image, profile: bytes | None, goal: Colorspace = "srgb"
) -> tuple[Image.Image, bytes | None, str]:
    """The picture as L, RGB or RGBA, the profile that must go with it (None: sRGB), and a note on a useless profile.

    Grey stays grey: its numbers are the same in sRGB and P3. Inks (CMYK) never stay, `keep` makes them sRGB.
    """
    wide = goal == "p3" and image.mode != "L"
    carried = display_p3() if wide else None
    try:
        if profile and len(profile) > ICC_MAX:
            raise ValueError("larger than any honest profile")
        transform = _transform(profile or b"", "RGB" if image.mode == "RGBA" else image.mode, wide)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return (*convert(image, None, goal)[:2], "icc_ignored")
    if goal == "keep" and profile and image.mode != "CMYK":
        return image, profile, ""
    if transform is not None:
        return _apply(image, transform), carried, ""
    return (image.convert("RGB") if image.mode == "CMYK" else image), carried, ""


def _transform(profile: bytes, mode: str, wide: bool) -> ImageCms.ImageCmsTransform | None:
    """From the profile (none: sRGB) to sRGB or P3; None where nothing is to do.

    Kept for each thread: a transform is not to be shared.
    """
    if not profile and (mode == "CMYK" or not wide):
        return None
    kept: dict[tuple[bytes, str, bool], ImageCms.ImageCmsTransform | None] = _local.__dict__.setdefault("kept", {})
    key = (hashlib.md5(profile, usedforsecurity=False).digest(), mode, wide)
    if key not in kept:
        if len(kept) >= CACHED:
            kept.clear()
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        exact = _exact(profile) if mode == "L" else b""
        source = ImageCms.ImageCmsProfile(io.BytesIO(exact or profile)) if profile else srgb
        target = ImageCms.ImageCmsProfile(io.BytesIO(display_p3())) if wide else srgb
        numbers = "RGB" if exact else mode
        transform = ImageCms.buildTransform(source, target, numbers, "RGB", _INTENT, _FLAGS)  # refuses a mismatch
        kept[key] = None if not wide and mode != "CMYK" and _changes_nothing(transform, mode) else transform
    return kept[key]


def _exact(profile: bytes) -> bytes:
    """A profile for grey as one for RGB: by the former LittleCMS is off by up to 10 in the shadows. Empty where it is
    none for grey, or has no curve."""
    try:
        return coloured(profile) if is_grey(profile) else b""
    except ValueError:
        return b""


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether its profile is sRGB: by what it does to colours, since names may say anything."""
    patches = _patches(mode)
    differences = ImageChops.difference(patches, _apply(patches, transform))
    return max(differences.tobytes()) <= SAME


@cache
def _patches(mode: str) -> Image.Image:
    """Every grey, or grey and colours from all over the cube."""
    greys = [(n, n, n) for n in range(256)]
    if mode == "L":
        return Image.frombytes("L", (256, 1), bytes(range(256)))
    cube = [(r, g, b) for r in range(0, 256, 51) for g in range(0, 256, 51) for b in range(0, 256, 51)]
    colours = bytes(n for patch in (*greys, *cube) for n in patch)
    return Image.frombytes("RGB", (len(colours) // 3, 1), colours)


def _apply(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    if image.mode == "L":
        greys = ImageCms.applyTransform(_patches("L").convert(transform.input_mode), transform)
        assert greys is not None
        return image.point(greys.convert("L").tobytes())
    if image.mode != "RGBA":
        result = ImageCms.applyTransform(image, transform)
        assert result is not None
        return result
    colours = ImageCms.applyTransform(image.convert("RGB"), transform)
    assert colours is not None
    colours.putalpha(image.getchannel("A"))
    return colours
