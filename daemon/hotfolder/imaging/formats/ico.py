"""Windows icons: several pictures in one file, of which the largest counts."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from hotfolder.imaging.containers import chunks
from hotfolder.imaging.formats.format import Format


class Ico(Format):
    """Windows icons; opening them decodes."""

    name = "ico"
    marks = (b"\x00\x00\x01\x00",)
    extensions = ("ico",)
    media_type = "image/x-icon"
    plugins = ("ICO",)

    def claimed(self, data: bytes) -> Iterator[tuple[int, int]]:
        """The size of each picture as that picture itself states it; the directory's own cannot be believed."""
        (count,) = struct.unpack_from("<H", data.ljust(6, b"\0"), 4)
        for at in range(6, min(6 + 16 * count, len(data) - 15), 16):
            (start,) = struct.unpack_from("<I", data, at + 12)
            head = data[start : start + 24]
            if head.startswith(chunks.SIGNATURE) and len(head) == 24:
                yield struct.unpack(">II", head[16:24])
            elif len(head) >= 12:
                wide, high = struct.unpack("<ii", head[4:12])
                yield abs(wide), abs(high) // 2  # the mask lies below the picture


FORMAT = Ico()
