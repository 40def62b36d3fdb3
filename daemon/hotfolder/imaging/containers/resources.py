"""The image resources of Photoshop (8BIM blocks), as they stand in a JPEG's segments."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import NamedTuple

from hotfolder.imaging.containers import Endless

MOST = 10_000
MARK = b"8BIM"
_LENGTH = struct.Struct(">I")


class Resource(NamedTuple):
    """Its number, its place, and where its body begins and ends, and where the next one begins; these may lie behind
    the end."""

    number: int
    start: int
    body: int
    stop: int
    end: int


def walk(data: bytes, starts: Collection[int] = ()) -> Iterator[Resource]:
    """Each resource. `starts`: where one may begin anew, if it was left without its padding before."""
    at = 0
    for _ in range(MOST):
        if data[at : at + 4] != MARK:
            following = (start for start in starts if start >= at - 1 and data[start : start + 4] == MARK)
            at = next(following, len(data))
        if at + 12 > len(data):
            return
        name = at + 6
        body = name + (data[name] + 2 & ~1) + 4  # behind a Pascal string, padded, and the length
        if body > len(data):
            return
        (length,) = _LENGTH.unpack_from(data, body - 4)
        end = body + length + (length & 1)
        yield Resource(int.from_bytes(data[at + 4 : name], "big"), at, body, body + length, end)
        at = end
    raise Endless(MOST)
