"""The chunks of a PNG (PNG, third edition, section 5). Checksums are the decoder's to judge."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from hotfolder.imaging.containers import PARTS_MOST, Endless

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = b"IEND"
XMP = "XML:com.adobe.xmp"
"""The keyword of XMP in a text chunk."""
_HEAD = struct.Struct(">I4s")


class Chunk(NamedTuple):
    """Its kind, its place, where its body begins and ends, and where the next one begins; these may lie behind the end
    of the file."""

    kind: bytes
    start: int
    body: int
    stop: int
    end: int


def walk(data: bytes, most: int = PARTS_MOST) -> Iterator[Chunk]:
    """Each chunk, up to IEND and with it."""
    at = len(SIGNATURE)
    for _ in range(most):
        if at + 8 > len(data):
            return
        length, kind = _HEAD.unpack_from(data, at)
        body = at + 8
        yield Chunk(kind, at, body, body + length, body + length + 4)
        if kind == END:
            return
        at = body + length + 4
    raise Endless(most)


def written(kind: bytes, body: bytes) -> bytes:
    """A chunk as it stands in a file."""
    return _HEAD.pack(len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))
