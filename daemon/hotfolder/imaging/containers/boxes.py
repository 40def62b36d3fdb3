"""The boxes of an ISO base media file (ISO/IEC 14496-12), of which HEIF, AVIF, JPEG XL and CR3 are built."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from hotfolder.imaging.containers import Endless

MOST = 4096
"""Boxes side by side."""
BRANDS_END = 256
"""Bytes of the first box in which brands are looked for."""
_HEAD = struct.Struct(">I4s")
_LONG = struct.Struct(">Q")


class Box(NamedTuple):
    """Its kind, its place, and where its body begins and ends; the end may lie behind that of what holds it."""

    kind: bytes
    start: int
    body: int
    end: int


def walk(data: bytes, at: int = 0, end: int | None = None, most: int = MOST) -> Iterator[Box]:
    """Each box between two places. A length of 0 reaches to the end; one that has no room for itself ends the walk."""
    end = len(data) if end is None else min(end, len(data))
    for _ in range(most):
        if at < 0 or at + 8 > end:
            return
        length, kind = _HEAD.unpack_from(data, at)
        head = 8
        if length == 1:
            if at + 16 > end:
                return
            (length,), head = _LONG.unpack_from(data, at + 8), 16
        length = length or end - at
        if length < head:
            return
        yield Box(kind, at, at + head, at + length)
        at += length
    raise Endless(most)


def inside(data: bytes, at: int = 0, end: int | None = None) -> Iterator[Box]:
    """Those boxes that lie wholly within what holds them."""
    end = len(data) if end is None else min(end, len(data))
    return (box for box in walk(data, at, end) if box.end <= end)


def brands(data: bytes) -> list[bytes]:
    """What kinds of file it claims to be: the major brand, then those that it is compatible with; empty for others."""
    if data[4:8] != b"ftyp":
        return []
    length = min(int.from_bytes(data[:4], "big"), BRANDS_END)
    return [data[8:12], *(data[at : at + 4] for at in range(16, length, 4))]


def cut(data: bytes) -> bool:
    """Whether the outermost boxes reach behind the end of the file."""
    at = 0
    try:
        for box in walk(data):
            at = box.end
    except Endless:
        return False
    return at > len(data) or (len(data) - at < 8 and any(data[at : at + 4]))
