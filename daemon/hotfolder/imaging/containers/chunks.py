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


def unpacked(data: bytes, chunk: Chunk, most: int) -> int:
    """Bytes of a text or profile that is stored compressed, counted to one more than `most`; 0 of any other chunk."""
    if chunk.kind not in (b"zTXt", b"iTXt", b"iCCP"):
        return 0
    _, _, rest = data[chunk.body : chunk.stop].partition(b"\0")
    if chunk.kind == b"iTXt":
        packed, rest = rest[:1] != b"\0", rest[2:]
        for _ in range(2):  # language, and the keyword in it
            _, _, rest = rest.partition(b"\0")
        if not packed:
            return 0
    else:
        rest = rest[1:]
    try:
        return len(zlib.decompressobj().decompress(rest, most + 1))
    except zlib.error:
        return 0


def written(kind: bytes, body: bytes) -> bytes:
    """A chunk as it stands in a file."""
    return _HEAD.pack(len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))
