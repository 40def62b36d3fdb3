"""Camera RAW (extra `raw`, LibRaw): the embedded preview where it is large enough, otherwise the developed picture.

Opening reads headers alone; developing, which takes memory and seconds, waits until the picture is decoded.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hotfolder.imaging.containers import boxes, directories
from hotfolder.imaging.formats.format import Format
from hotfolder.imaging.formats.values import UPRIGHT, Extra, Memory

if TYPE_CHECKING:
    from PIL import Image

    from hotfolder.imaging.formats.opening import Found

ORIENTATION = 0x0112
ENOUGH = 0.5
"""A preview is taken with at least this share of the sensor's longer side."""
DNG_VERSION = 50706
EXTENSIONS = ("dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf")
_TURNED = (1, 2, 4, 3, 5, 8, 6, 7)
"""LibRaw's `flip` as an EXIF orientation; its third bit exchanges width and height."""
_QUARTER = 4
_ENTRIES = 4096
"""Entries of a directory among which the mark of a DNG is looked for."""
_CANON_BOXES = (b"CMT1", b"CMT2", b"CMT4")
"""Boxes of a CR3 with the main directory, that of the shot and that of the position."""
_CANON_END = 1 << 16
"""Bytes at the start of a CR3 in which they lie."""


class Raw(Format):
    """What sensors saw."""

    name = "raw"
    marks = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"IIU\x00")
    brands = (b"crx ",)
    extensions = EXTENSIONS
    distribution = "rawpy"
    extra = Extra("raw", "rawpy", "camera RAW")
    is_risky = True
    is_developed = True
    is_shown_partly = False
    memory = Memory(decoding=12)

    def recognises(self, data: bytes, extension: bytes) -> bool:
        """Most are TIFFs that say what they are by name or by a tag of their own (CR2, DNG)."""
        if super().recognises(data, extension):
            return True
        if data[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return False
        return extension in self.suffixes or data[8:10] == b"CR" or _is_dng(data)

    def open(self, data: bytes) -> Found:
        from PIL import Image

        from hotfolder.imaging.formats.opening import Found

        shot = look(data)
        if shot.preview is not None:
            return Found(shot.preview, shot.preview.size, shot.orientation)
        return Found(Image.new("RGB", (1, 1)), shot.size, UPRIGHT, lambda: develop(data))

    def exif_structures(self, data: bytes) -> list[tuple[bytes, int]] | None:
        if data[:2] in (b"II", b"MM"):
            return [(data, 0)]
        if boxes.brands(data)[:1] == [b"crx "]:
            places = [data.find(name, 0, _CANON_END) for name in _CANON_BOXES]
            if min(places) >= 0:
                return [(data, at + 4) for at in places]
        return None


FORMAT = Raw()


def _is_dng(data: bytes) -> bool:
    structure = directories.structure(data)
    if structure is None:
        return False
    entries = structure.entries(structure.first())
    return any(entry.tag == DNG_VERSION for entry, _ in zip(entries, range(_ENTRIES), strict=False))


@dataclass(frozen=True, slots=True)
class Shot:
    """What a RAW file offers: its preview (not decoded yet) with the orientation that this needs, or the size that
    developing will give, upright."""

    preview: Image.Image | None
    orientation: int
    size: tuple[int, int]


def look(data: bytes) -> Shot:
    """Raises whatever LibRaw or Pillow raise on files that they cannot read."""
    import rawpy

    with rawpy.imread(io.BytesIO(data)) as raw:
        sizes = raw.sizes
        wide, high, flip = sizes.width, sizes.height, sizes.flip & 7
        upright = (high, wide) if flip & _QUARTER else (wide, high)
        try:
            thumb = raw.extract_thumb()
        except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
            thumb = None
        if thumb is not None and thumb.format == rawpy.ThumbFormat.JPEG:
            preview = _opened(bytes(thumb.data))
            if preview is not None and max(preview.size) >= ENOUGH * max(wide, high):
                return Shot(preview, preview_orientation(preview, upright, flip), upright)
        return Shot(None, UPRIGHT, upright)


def preview_orientation(preview: Image.Image, upright: tuple[int, int], flip: int) -> int:
    """How a preview must be turned. Most lie as the sensor does, with or without a tag of their own; some are upright
    already. A quarter turn is told by the shape; otherwise the preview's own tag counts, then that of the RAW.
    """
    own = preview.getexif().get(ORIENTATION)
    turn = own if isinstance(own, int) and 1 <= own <= 8 else _TURNED[flip]
    if not flip & _QUARTER or upright[0] == upright[1]:
        return turn
    already = (preview.width > preview.height) == (upright[0] > upright[1])
    if already:
        return turn if turn < 5 and isinstance(own, int) else 1
    return turn if turn >= 5 else _TURNED[flip]


def develop(data: bytes) -> Image.Image:
    """The whole sensor as an upright sRGB picture, with the white balance of the camera."""
    import rawpy
    from PIL import Image

    with rawpy.imread(io.BytesIO(data)) as raw:
        return Image.fromarray(raw.postprocess(use_camera_wb=True, output_color=rawpy.ColorSpace.sRGB))


def _opened(preview: bytes) -> Image.Image | None:
    from PIL import Image

    from hotfolder.imaging.formats import jpeg

    try:
        return Image.open(io.BytesIO(preview), formats=jpeg.FORMAT.plugins)
    except OSError:
        return None
