"""The optimized copy: encoded anew, and never larger than its source where the rules allow that.

Where encoding saves too little, the source's own scans are kept and only its metadata is rewritten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, cast

from PIL import Image, ImageEnhance, ImageFilter

from hotfolder.imaging import colour, metadata, resize
from hotfolder.imaging.decode import Opened
from hotfolder.imaging.encode import encode, fits
from hotfolder.presets import Format, OptimizeSpec

WRITABLE = ("jpeg", "png", "webp", "avif")


@dataclass(frozen=True, slots=True)
class Copy:
    """What was written: its size in pixels, bytes, and a note (``larger`` or empty)."""

    width: int
    height: int
    bytes: int
    note: str


def goal(opened: Opened, spec: OptimizeSpec) -> Format | None:
    """The format of the copy; None where it cannot carry this source, or the source's cannot be written."""
    format_name = opened.format if spec.format == "keep" else spec.format
    if format_name not in WRITABLE or not fits(goal_size(opened.size, spec), format_name):
        return None
    return cast("Format", format_name)


def write(opened: Opened, image: Image.Image, spec: OptimizeSpec, file: BinaryIO) -> Copy | None:
    """Write the copy of the upright full-size `image` into `file`; None where no copy can be made of this source."""
    format_name = goal(opened, spec)
    if format_name is None:
        return None
    if opened.animated:
        return _unchanged(opened, spec, file, format_name)
    picture, icc = resize.scale(image, goal_size(image.size, spec)), metadata.icc_of(opened.image)
    same = not opened.partial and format_name == opened.format and picture.size == opened.size and not _alters(spec)
    if picture.mode == "CMYK" and format_name != "jpeg":
        picture, icc, _ = colour.convert(picture, icc)  # only JPEG carries inks
    picture = _enhanced(picture, spec)
    exif = metadata.exif_for(opened.image, spec.metadata, orientation=1)
    size = encode(
        picture, file, format_name, spec.quality, exif=exif, icc=icc,
        xmp=metadata.xmp_of(opened.image, spec.metadata), iptc=metadata.iptc_of(opened.image, spec.metadata),
        comment=metadata.comment_of(opened.image, spec.metadata),
    )  # fmt: skip
    source = len(opened.data)
    if size <= source * (1 - spec.min_saving):
        return Copy(*picture.size, size, "")
    if same:
        rewritten = _rewritten(opened, spec)
        if (rewritten is None or len(rewritten) > source) and metadata.complies(
            opened.image, opened.format, spec.metadata
        ):
            rewritten = opened.data
        if rewritten is not None and len(rewritten) <= max(source, size):
            return Copy(*opened.size, _replace(file, rewritten), "larger" if len(rewritten) > source else "")
    return Copy(*picture.size, size, "larger" if size > source else "")


def _unchanged(opened: Opened, spec: OptimizeSpec, file: BinaryIO, format_name: Format) -> Copy | None:
    """An animation is left as it is but for its metadata, where its format allows that."""
    if format_name != opened.format or spec.max_dimension is not None:
        return None
    rewritten = _rewritten(opened, spec)
    if rewritten is None:
        return None
    return Copy(*opened.size, _replace(file, rewritten), "larger" if len(rewritten) > len(opened.data) else "")


def _rewritten(opened: Opened, spec: OptimizeSpec) -> bytes | None:
    return metadata.rewrite(opened.data, opened.format, spec.metadata, opened.image, opened.orientation)


def _replace(file: BinaryIO, content: bytes) -> int:
    file.seek(0)
    file.truncate()
    file.write(content)
    file.flush()
    return len(content)


def goal_size(size: tuple[int, int], spec: OptimizeSpec) -> tuple[int, int]:
    """The size of the copy of a picture of this size."""
    longest = max(size)
    if spec.max_dimension is None or longest <= spec.max_dimension:
        return size
    factor = spec.max_dimension / longest
    return (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))


def _alters(spec: OptimizeSpec) -> bool:
    return bool(spec.sharpen or spec.contrast)


def _enhanced(image: Image.Image, spec: OptimizeSpec) -> Image.Image:
    if spec.sharpen:
        image = image.filter(ImageFilter.UnsharpMask(radius=1.0, percent=round(100 * spec.sharpen), threshold=2))
    return ImageEnhance.Contrast(image).enhance(1.0 + spec.contrast) if spec.contrast else image
