"""Windows bitmaps. Those that say by masks where the bits of a colour lie are read here where Pillow knows no such
layout, or passes over their alpha."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hotfolder.imaging.formats.format import Format
from hotfolder.imaging.formats.values import UPRIGHT

if TYPE_CHECKING:
    from PIL import Image

    from hotfolder.imaging.formats.opening import Found

_HEADER = struct.Struct("<IiiHHI")
_HEADERS = {40: 12, 52: 12, 56: 16, 108: 16, 124: 16}
"""Bytes of masks, in or behind the headers of these lengths."""
_FIELDS, _FIELDS_WITH_ALPHA = 3, 6
"""Values of `compression`."""


class Bmp(Format):
    """Windows bitmaps, with and without their file header's full length."""

    name = "bmp"
    marks = (b"BM",)
    extensions = ("bmp",)
    media_type = "image/bmp"
    plugins = ("BMP", "DIB")

    def cut_short(self, data: bytes) -> bool:
        return int.from_bytes(data[2:6], "little") > len(data)

    def open(self, data: bytes) -> Found:
        from hotfolder.imaging.formats import opening

        fields = _fields(data)
        try:
            found = opening.by_pillow(self, data)
        except OSError:
            if fields is None:
                raise
        else:
            if fields is None or not fields.masks[3] or found.image.mode == "RGBA":
                return found
        return fields.found(data)


FORMAT = Bmp()


@dataclass(frozen=True, slots=True)
class _Fields:
    """A bitmap of 16 or 32 bits a pixel, and the masks of red, green, blue and alpha."""

    width: int
    height: int
    bits: int
    start: int
    masks: tuple[int, ...]
    upwards: bool

    def found(self, data: bytes) -> Found:
        from PIL import Image

        from hotfolder.imaging.formats import opening

        size = (self.width, self.height)
        return opening.Found(Image.new("RGB", (1, 1)), size, UPRIGHT, lambda: self._pixels(data))

    def _pixels(self, data: bytes) -> Image.Image:
        """Raises OSError where there are too few."""
        import numpy as np
        from PIL import Image

        row = -(-self.width * self.bits // 32) * 4
        if len(data) < self.start + row * self.height:
            raise OSError("truncated")
        lines = np.frombuffer(data, np.uint8, row * self.height, self.start).reshape(self.height, row)
        codes = lines[:: -1 if self.upwards else 1].copy().view(f"<u{self.bits // 8}")[:, : self.width]
        masks = self.masks if self.masks[3] else self.masks[:3]
        return Image.fromarray(np.stack([_scaled(codes, mask) for mask in masks], axis=-1))


def _scaled(codes: Any, mask: int) -> Any:
    """What lies under a mask as 0–255; nothing does under none."""
    import numpy as np

    low = (mask & -mask).bit_length() - 1 if mask else 0
    most = mask >> low
    if not most:
        return np.zeros(codes.shape, np.uint8)
    return np.rint(((codes & mask) >> low) * (255 / most)).astype(np.uint8)


def _fields(data: bytes) -> _Fields | None:
    """None for a bitmap without masks, and for one whose header is of another kind."""
    if len(data) < 14 + 40:
        return None
    length, width, height, _, bits, compression = _HEADER.unpack_from(data, 14)
    if compression not in (_FIELDS, _FIELDS_WITH_ALPHA) or bits not in (16, 32) or length not in _HEADERS:
        return None
    count = 4 if compression == _FIELDS_WITH_ALPHA else _HEADERS[length] // 4
    if len(data) < 14 + 40 + 4 * count or width < 1:
        return None
    masks = struct.unpack_from(f"<{count}I", data, 14 + 40)
    (start,) = struct.unpack_from("<I", data, 10)
    return _Fields(width, abs(height), bits, start, (*masks, 0)[:4], upwards=height > 0)
