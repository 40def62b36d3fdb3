"""From pixels to a file. Always into a real file: only then does Pillow give up the GIL."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import BinaryIO

from PIL import Image

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging import formats, native
from hotfolder.imaging.colour import profiles
from hotfolder.imaging.formats import Carried, Settings
from hotfolder.imaging.native import Picture
from hotfolder.presets import Format


def encode(
    image: Image.Image,
    file: BinaryIO,
    format_name: Format,
    settings: Settings,
    carried: Carried = Carried(),  # noqa: B008 - frozen
    *,
    small: bool = False,
) -> int:
    """Write the picture, with this metadata alone; returns the bytes written. Raises OSError (disk full …), and
    SourceError where the format cannot carry so large a picture. `small`: fewer bytes, more time, where there is a
    choice."""
    format = formats.writing(format_name)
    if not fits(image.size, format_name):
        message = f"{format_name} carries at most {format.longest_side} pixels a side, not {max(image.size)}"
        raise SourceError(Reason.UNSUPPORTED, message)
    if not format.has_alpha:
        image = flattened(image, settings.background)
    elif not format.loses_nothing:
        carried = _in_colours(carried) if image.mode == "L" else carried
        image = _in_colour(image)
    planes = native.draw(image) if format.in_planes else None
    if planes is not None:
        return encode_planes(planes.scaled(image.size), file, format_name, settings, carried, small=small)
    format.write(image, file, settings, carried)
    format.finish(file, carried)
    file.flush()
    return file.seek(0, os.SEEK_END)


def encode_planes(
    picture: Picture,
    file: BinaryIO,
    format_name: Format,
    settings: Settings,
    carried: Carried = Carried(),  # noqa: B008 - frozen
    *,
    small: bool = False,
) -> int:
    """What `encode` does for a scaled picture that stayed planes. Raises OSError (disk full …).

    `small`: fewer bytes, more time.
    """
    encoded = picture.jpeg(settings.quality, progressive=settings.progressive, small=small, tables=settings.tables)
    format = formats.writing(format_name)
    for part in format.dressed(memoryview(encoded), carried):
        file.write(part)
    file.flush()
    format.finish(file, carried)
    file.flush()
    return file.seek(0, os.SEEK_END)


def fits(size: tuple[int, int], format_name: str) -> bool:
    """Whether the format can carry a picture of this size."""
    return max(size) <= formats.of(format_name).longest_side


def flattened(image: Image.Image, background: str) -> Image.Image:
    """Without alpha, on the background; modes that have none stay as they are."""
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    if image.mode != "RGBA":
        image = image.convert("RGBA")
    board = Image.new("RGB", image.size, background)
    board.paste(image, mask=image.getchannel("A"))
    return board


def _in_colours(carried: Carried) -> Carried:
    """With a profile for RGB that means the same, where there is one for grey: readers take no other."""
    if not carried.icc or not profiles.is_grey(carried.icc):
        return carried
    try:
        return replace(carried, icc=profiles.coloured(carried.icc))
    except ValueError:
        return replace(carried, icc=None)


def _in_colour(image: Image.Image) -> Image.Image:
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGBA" if "A" in image.mode else "RGB")
