"""The segments of a JPEG (ITU-T T.81, annex B), as libjpeg and Pillow step through them.

Both skip whatever stands between two segments, fill bytes and stuffed zeros, and take restart markers for markers
without a body wherever they stand. A length below two counts for the two bytes of the length itself. Where they
disagree before the first scan this goes with Pillow, which reads the header first: markers that are reserved for
extensions have no body there, and an end of image ends nothing. What both refuse ends the walk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hotfolder.imaging.containers import PARTS_MOST, Endless

SOI, EOI, SOS, DHT, JPG, DAC, COM = 0xD8, 0xD9, 0xDA, 0xC4, 0xC8, 0xCC, 0xFE
JPEG_LS = 0xF7
FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, JPG, DAC}
"""Start of frame: the process, the size, the components."""
APPLICATION = frozenset(range(0xE0, 0xF0))
_NEXT = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""The next marker behind a scan's own data, in which restart markers stand."""
_BARE = frozenset({0x01, JPG, *range(0xD0, 0xDA), *range(0xF0, 0xFE)})
"""Markers without a length."""
_KNOWN = frozenset({0x01, *range(0xC0, 0xFF)})


class Segment(NamedTuple):
    """A marker, the place of its 0xFF, and where its body begins and ends; the end may lie behind that of the file."""

    marker: int
    start: int
    body: int
    end: int


def walk(data: bytes, most: int = PARTS_MOST) -> Iterator[Segment]:
    """Each segment behind SOI, up to the end of the picture. A scan's data lie between its segment and the next."""
    at, scanned, pattern = 2, False, _NEXT
    last = len(data) - 1
    for _ in range(most):
        start = at
        if scanned or at >= last or data[at] != 0xFF or data[at + 1] not in _KNOWN:  # else it stands where it should
            found = pattern.search(data, at)
            if found is None:
                return
            start = found.start()
        marker = data[start + 1]
        if marker not in _KNOWN:
            return
        body = at = start + 2
        if marker not in _BARE:
            if body + 2 > len(data):
                return
            body += 2
            at = start + 2 + max(2, data[start + 2] << 8 | data[start + 3])
        yield Segment(marker, start, body, at)
        scanned = scanned or marker == SOS
        if marker == EOI and scanned:
            return
        pattern = _AFTER_SCAN if marker == SOS else _NEXT
    raise Endless(most)


def header(data: bytes, most: int = PARTS_MOST) -> Iterator[Segment]:
    """The segments up to the first scan, and that."""
    for segment in walk(data, most):
        yield segment
        if segment.marker == SOS:
            return


def pixels(data: bytes, head: Iterable[Segment]) -> int:
    """Of the first frame, as it claims."""
    at = next((segment.body for segment in head if segment.marker in FRAMES), len(data))
    return int.from_bytes(data[at + 1 : at + 3], "big") * int.from_bytes(data[at + 3 : at + 5], "big")


def end(data: bytes, most: int = PARTS_MOST) -> int:
    """Where the picture ends, behind its end marker; 0 where it does not."""
    return next((segment.end for segment in walk(data, most) if segment.marker == EOI), 0)


def written(marker: int, body: bytes) -> bytes:
    """A segment as it stands in a file."""
    return b"\xff" + bytes([marker]) + (len(body) + 2).to_bytes(2, "big") + body
