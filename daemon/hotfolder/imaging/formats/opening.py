"""From bytes to a header: which decoder shows this file right, its size, how it must be turned, what its colours mean.

Pillow, unless it would clip, refuse or misread what is there (deep.py, raw.py). Nothing is decoded here.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace

from PIL import Image, ImageChops, UnidentifiedImageError

from hotfolder.imaging.colour import deep
from hotfolder.imaging.containers import directories as tiff
from hotfolder.imaging.formats import headers
from hotfolder.imaging.formats import registry as formats

ORIENTATION = 0x0112
UPRIGHT = 1
TURNED_BY_DECODER = ("heif", "jxl", "tiff")
"""Formats whose decoder has applied the orientation to the pixels, and to the size that it tells."""


@dataclass(frozen=True, slots=True)
class Found:
    """Pillow's picture, whose metadata count; `pixels` decodes in its place, by `decoder`, where Pillow does not."""

    image: Image.Image
    size: tuple[int, int]
    orientation: int
    pixels: Callable[[], Image.Image] | None = None
    decoder: str = ""


def find(kind: str, data: bytes) -> Found:
    """Raises SourceError, and whatever decoders raise on what they cannot read."""
    if kind == "raw":
        return _raw(data)
    if kind == "tiff":
        return _tiff(data)
    _register(kind)
    image = _open(data, formats.PILLOW[kind])
    turned = kind in TURNED_BY_DECODER and not getattr(image, "jpeg", False)
    return _with_colour(kind, data, image, UPRIGHT if turned else _orientation(kind, image, data))


def _open(data: bytes, plugins: tuple[str, ...]) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=plugins)
    except UnidentifiedImageError as error:
        raise OSError("its header cannot be read") from error


def _register(kind: str) -> None:
    if kind == "heif":
        import pillow_heif

        pillow_heif.register_heif_opener()
    elif kind == "jxl":
        from pillow_jxl import JpegXLImagePlugin

        JpegXLImagePlugin.DECODE_THREADS = 0  # workers share the processor already


def _with_colour(kind: str, data: bytes, image: Image.Image, orientation: int) -> Found:
    """The picture with a profile for what the file declares in other ways, or decoded deeper than Pillow does."""
    deeper = deep.of(kind, data, image)
    profile = deeper.profile if deeper else deep.declared_profile(kind, data, image)
    if deeper:
        image.info.pop("icc_profile", None)
    if profile:
        image.info["icc_profile"] = profile
    return Found(image, image.size, orientation, deeper.pixels if deeper else None)


def _tiff(data: bytes) -> Found:
    page = tiff.first_page(data)
    if page is None:
        raise OSError("its directory cannot be read")
    if deep.is_opencvs(page):
        image = Image.new("RGB", (1, 1))
        if page.icc and page.sample_format != tiff.SINT:
            image.info["icc_profile"] = deep.encoded_profile(page.icc)
        orientation = page.orientation if 1 <= page.orientation <= 8 else UPRIGHT
        size = (page.width, page.height)
        return Found(image, size, orientation, lambda: deep.tiff_pixels(data, page), formats.decoder("deep"))
    try:
        image = _open(data, formats.PILLOW["tiff"])
    except OSError as error:
        if page.width and page.height and not formats.cut_short(data, "tiff"):
            raise deep.unsupported(page) from error
        raise
    found = _with_colour("tiff", data, image, UPRIGHT)
    if image.mode.startswith("I;16") and page.photometric == tiff.WHITE_IS_ZERO:
        return replace(found, pixels=lambda: ImageChops.invert(deep.sixteen(image)))
    return found


def _raw(data: bytes) -> Found:
    from hotfolder.imaging.formats import raw

    shot = raw.look(data)
    if shot.preview is not None:
        return Found(shot.preview, shot.preview.size, shot.orientation)
    return Found(Image.new("RGB", (1, 1)), shot.size, UPRIGHT, lambda: raw.develop(data))


def _orientation(kind: str, image: Image.Image, data: bytes) -> int:
    try:
        if kind == "png" and "exif" not in image.info and (late := headers.png_exif(data)):
            image.info["exif"] = late
        # Not the PNG plugin's own: that decodes the picture to see what stands behind it.
        value = Image.Image.getexif(image).get(ORIENTATION, UPRIGHT)
    except Exception:  # noqa: BLE001 - broken EXIF is no reason to refuse the picture: it is then shown as it lies
        return UPRIGHT
    return value if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT
