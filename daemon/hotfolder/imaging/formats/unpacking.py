"""The lines of simple PNGs (third edition) for the compiled core: checked, and unpacked piece by piece.

Nothing is judged here: what is not as it should be raises Unusual, or gives None, and then Pillow says what it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import cast

from hotfolder.imaging.containers import Endless, chunks
from hotfolder.imaging.containers.chunks import Chunk
from hotfolder.imaging.formats.values import Lines, Unusual

try:
    from isal import isal_zlib as unpacker
except ImportError:  # no wheel for this machine: slower
    import zlib as unpacker  # type: ignore[no-redef]

BROKEN = cast("type[Exception]", unpacker.error)
PIECE = 1 << 18
"""Bytes unpacked at once: what a processor keeps near."""
GREY, COLOUR, NUMBERS, WITH_ALPHA = 0, 2, 3, 6
CHANNELS = {GREY: 1, COLOUR: 3, NUMBERS: 1, WITH_ALPHA: 4}
"""By type of colour (11.2.1)."""
_HEADER = struct.Struct(">IIBBBBB")
_OTHERS = (b"tRNS", b"acTL", b"CgBI")
"""Chunks that make a picture more than its lines."""


def lines(data: bytes) -> Lines | None:
    """Those of the picture; None where it is no simple one."""
    try:
        found = list(chunks.walk(data))
    except Endless:
        return None
    if not found or found[0].kind != b"IHDR" or found[-1].kind != chunks.END or found[-1].end > len(data):
        return None
    if found[0].stop - found[0].body != _HEADER.size or not all(
        _is_whole(data, each) for each in found if _counts(each)
    ):
        return None
    wide, high, bits, colour, packing, filters, interlaced = _HEADER.unpack_from(data, found[0].body)
    palette = [data[each.body : each.stop] for each in found if each.kind == b"PLTE"] if colour == NUMBERS else [b""]
    known = bits == 8 and colour in CHANNELS and (packing, filters, interlaced) == (0, 0, 0)
    if not known or len(palette) != 1 or any(each.kind in _OTHERS or _is_unknown(each.kind) for each in found):
        return None
    if len(palette[0]) % 3 or len(palette[0]) > 3 * 256 or (colour == NUMBERS and not palette[0]):
        return None
    size = high * (wide * CHANNELS[colour] + 1)
    parts = [memoryview(data)[each.body : each.stop] for each in found if each.kind == b"IDAT"]
    return Lines(CHANNELS[colour], palette[0], unpacked(parts, size))


def _counts(chunk: Chunk) -> bool:
    return chunk.kind.isupper()


def _is_unknown(kind: bytes) -> bool:
    """Whether nobody shows the picture who does not know this chunk (5.4)."""
    return kind.isupper() and kind not in (b"IHDR", b"PLTE", b"IDAT", b"IEND")


def _is_whole(data: bytes, chunk: Chunk) -> bool:
    stated = data[chunk.stop : chunk.end]
    return (
        unpacker.crc32(memoryview(data)[chunk.start + 4 : chunk.stop]) == int.from_bytes(stated, "big")
        and len(stated) == 4
    )


def unpacked(parts: Iterable[bytes | memoryview], size: int) -> Iterator[bytes]:
    """What a stream (RFC 1950) in parts packs, piece by piece. Raises Unusual where it is damaged, or has not that
    size."""
    stream = unpacker.decompressobj()
    try:
        for part in parts:
            packed = part
            while packed:
                piece = stream.decompress(packed, PIECE)
                size -= len(piece)
                yield piece
                if stream.eof:
                    break
                packed = stream.unconsumed_tail
    except BROKEN as error:
        raise Unusual(str(error)) from error
    if not stream.eof or stream.unused_data or size:
        raise Unusual("more or less than it should hold")
