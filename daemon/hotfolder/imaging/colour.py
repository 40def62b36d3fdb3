"""Colour: pictures with a profile of their own become sRGB where they are shown without one.

A broken profile, or one of another colour model than the pixels, is left out with a note.
"""

from __future__ import annotations

import hashlib
import io
import threading

from PIL import Image, ImageCms

ICC_MAX = 4_000_000
CACHED = 8
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_local = threading.local()


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    """The picture in sRGB (mode L, RGB or RGBA), and a note where its profile was of no use."""
    note = ""
    if profile and len(profile) <= ICC_MAX:
        try:
            transform = _transform(profile, "RGB" if image.mode == "RGBA" else image.mode)
            if transform is not None:
                return _apply(image, transform), ""
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
            note = "icc_ignored"
    elif profile:
        note = "icc_ignored"
    return (image.convert("RGB") if image.mode == "CMYK" else image), note


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the profile to sRGB; None where it is sRGB. Kept for each thread: a transform is not to be shared."""
    cache: dict[tuple[bytes, str], ImageCms.ImageCmsTransform | None] = _local.__dict__.setdefault("cache", {})
    key = (hashlib.md5(profile, usedforsecurity=False).digest(), mode)
    if key not in cache:
        if len(cache) >= CACHED:
            cache.clear()
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            cache[key] = None
        else:
            cache[key] = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", _INTENT, _FLAGS)
    return cache[key]


def _apply(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    if image.mode != "RGBA":
        result = ImageCms.applyTransform(image, transform)
        assert result is not None
        return result
    colours = ImageCms.applyTransform(image.convert("RGB"), transform)
    assert colours is not None
    colours.putalpha(image.getchannel("A"))
    return colours
