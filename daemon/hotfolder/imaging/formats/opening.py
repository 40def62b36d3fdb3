"""From bytes to a header with Pillow: size, how it must be turned, what its colours mean. Nothing is decoded here.

Pillow decodes, unless it would clip or misread what is there: then `colour.deep` does.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image, UnidentifiedImageError

from hotfolder.imaging.colour import deep, profiles, signals
from hotfolder.imaging.formats.values import UPRIGHT

ORIENTATION = 0x0112
_GREY = frozenset({"1", "L", "LA", "La", "I;16", "I"})
"""Modes of grey pictures."""
_OF_LIGHT = frozenset({"RGB", "RGBA", "RGBa", "L", "LA", "I;16", "P"})
"""Modes of what may be HDR."""


class Readable(Protocol):
    """What is asked of a format here (`format.Format` explains each)."""

    @property
    def plugins(self) -> tuple[str, ...]: ...
    def is_upright(self, image: Image.Image) -> bool: ...
    def late_exif(self, data: bytes) -> bytes: ...
    def cicp(self, data: bytes) -> signals.Cicp | None: ...
    def is_deep(self, data: bytes) -> bool: ...
    def codes(self, data: bytes) -> Any: ...


@dataclass(frozen=True, slots=True)
class Found:
    """Pillow's picture, whose metadata count; `pixels` decodes in its place, by `decoder`, where Pillow does not.
    `notes` are for the picture's owner."""

    image: Image.Image
    size: tuple[int, int]
    orientation: int
    pixels: Callable[[], Image.Image] | None = None
    decoder: str = ""
    notes: tuple[str, ...] = ()


class Block(Image.Exif):
    """EXIF that an encoder is to write as it stands: Pillow's for AVIF reads and writes plain bytes anew."""

    def __init__(self, block: bytes) -> None:
        super().__init__()
        self._block = block

    def __bool__(self) -> bool:
        return bool(self._block)

    def tobytes(self, offset: int = 8) -> bytes:
        return self._block


def by_pillow(format: Readable, data: bytes) -> Found:
    """Raises OSError for what Pillow's own decoders do not take for theirs, and whatever else these raise."""
    image = opened(data, format.plugins)
    orientation = UPRIGHT if format.is_upright(image) else _orientation(format, image, data)
    return with_colour(format, data, image, orientation)


def opened(data: bytes, plugins: tuple[str, ...]) -> Image.Image:
    """Pillow's picture, its header read. Raises OSError."""
    try:
        return Image.open(io.BytesIO(data), formats=plugins)
    except UnidentifiedImageError as error:
        raise OSError("its header cannot be read") from error


def with_colour(format: Readable, data: bytes, image: Image.Image, orientation: int) -> Found:
    """The picture with a profile for what the file declares in other ways, or decoded deeper than Pillow does."""
    cicp = format.cicp(data)
    if cicp is not None and cicp.is_hdr and image.mode in _OF_LIGHT:
        image.info.pop("icc_profile", None)
        return Found(image, image.size, orientation, lambda: deep.from_hdr(format.codes(data), image, cicp))
    profile = image.info.get("icc_profile") or _declared(cicp, image)
    pixels = None
    if profile and profiles.linear_space(profile) and format.is_deep(data):
        profile = deep.encoded_profile(profile)
        pixels = lambda: deep.integers(format.codes(data), linear=True)  # noqa: E731 - a function that may be None
    if profile:
        alpha = image.mode in ("LA", "La") or (image.mode in _GREY and "transparency" in image.info)
        image.info["icc_profile"] = in_colour(profile) if alpha else profile
    return Found(image, image.size, orientation, pixels)


def in_colour(profile: bytes) -> bytes:
    """The profile for a grey picture that has alpha: it is decoded as RGB and alpha."""
    try:
        return profiles.coloured(profile) if profiles.is_grey(profile) else profile
    except ValueError:
        return profile  # of no use: it will be left out, with a note


def _declared(cicp: signals.Cicp | None, image: Image.Image) -> bytes | None:
    """A profile for what the file declares otherwise; None for sRGB."""
    grey = image.mode in _GREY
    if cicp is not None:
        space = profiles.of_cicp(cicp.primaries, cicp.transfer, grey=grey)
    else:
        space = signals.by_gamma(image.info, grey=grey)
    return space.profile() if space else None


def _orientation(format: Readable, image: Image.Image, data: bytes) -> int:
    try:
        if "exif" not in image.info and (late := format.late_exif(data)):
            image.info["exif"] = late
        # Not a plugin's own: that of PNG decodes the picture to see what stands behind it.
        value = Image.Image.getexif(image).get(ORIENTATION, UPRIGHT)
    except Exception:  # noqa: BLE001 - broken EXIF is no reason to refuse the picture: it is then shown as it lies
        return UPRIGHT
    return value if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT
