"""The gain map of Apple's cameras: an auxiliary picture in ISO boxes, whose own XMP says which version it is, with the
headroom there (version 2) or in two entries of the maker note (version 1).

Apple, "Applying Apple HDR effect to your photos": light × (1 + (headroom - 1) × map), the map by the inverse of the
transfer function of BT.709, and how the maker note becomes a headroom. Skia reads the same, and has the version.
"""

from __future__ import annotations

import re
import struct
from itertools import islice

from hotfolder.imaging.containers.directories import Structure
from hotfolder.imaging.containers.items import Item, Items
from hotfolder.imaging.formats.values import GainMap

KIND = b"urn:com:apple:photo:2020:aux:hdrgainmap\0"
_VERSION = re.compile(rb"\bHDRGainMapVersion\s*(?:=\s*[\"']|>)\s*\d{1,9}\b")
_HEADROOM = re.compile(rb"\bHDRGainMapHeadroom\s*(?:=\s*[\"']|>)\s*(\d{1,3}(?:\.\d{1,30})?)\s*[\"'<]")
_MAKER_NOTE = 0x927C
_NOTE = b"Apple iOS\0\0\x01MM"
_ROOM, _GAIN = 0x21, 0x30
_RATIO = 10
_MOVES = frozenset((b"clap", b"irot", b"imir"))
AUXILIARY_MOST = 32
"""Pictures that belong to one: depth, mattes of hair and sky, …"""
HEADROOM_MOST = 64.0
"""Six stops; what cameras write has at most three."""


def find(data: bytes) -> GainMap | None:
    """That of the picture, as a file in which it is the picture; None where there is none, or where it does not say
    what its numbers mean, or lies otherwise than its picture."""
    try:
        items = Items(data)
        if KIND not in data[items.meta.start : items.meta.end]:
            return None
        number = _map(data, items)
        headroom = _headroom(data, items, number) if number else 0.0
        if not number or not 1 < headroom <= HEADROOM_MOST or _moved(data, items, number):
            return None
        return GainMap(_alone(data, items, number), 0, _pixels(data, items, number), headroom=headroom)
    except (ValueError, struct.error):
        return None


def _map(data: bytes, items: Items) -> int:
    """The item that is it; 0 where none is."""
    auxiliary = (each for each in items.references if each.kind == b"auxl" and items.primary in each.others)
    for reference in islice(auxiliary, AUXILIARY_MOST):
        if reference.item in items.all:
            for said in items.properties(reference.item):
                if said.kind == b"auxC" and data[said.body + 4 : said.end].startswith(KIND):
                    return reference.item
    return 0


def _pixels(data: bytes, items: Items, number: int) -> int:
    for said in items.properties(number):
        if said.kind == b"ispe":
            wide, high = struct.unpack_from(">II", data, said.body + 4)
            return int(wide * high)
    return 0


def _moved(data: bytes, items: Items, number: int) -> bool:
    """Whether it is turned otherwise than its picture, or either is cropped."""
    one, other = (
        [(said.kind, data[said.body : said.end]) for said in items.properties(each) if said.kind in _MOVES]
        for each in (items.primary, number)
    )
    return one != other or any(kind == b"clap" for kind, _ in one)


def _alone(data: bytes, items: Items, number: int) -> bytes:
    """The same file, but that this is its picture, no longer hidden, and belongs to no other."""
    work = bytearray(data)
    work[items.all[number].box.body + 3] &= 0xFE
    at = next(box for box in items.children() if box.kind == b"pitm").body
    struct.pack_into(">I" if data[at] else ">H", work, at + 4, number)
    for each in items.references:
        if each.kind == b"auxl" and each.item == number:
            work[each.at : each.at + 4] = b"free"
    return bytes(work)


def _headroom(data: bytes, items: Items, number: int) -> float:
    """How many times as bright as white the brightest becomes; 0 where that is not said."""
    packet = b"".join(_content(data, items, each) for each in _describing(items, b"mime", number))
    if not _VERSION.search(packet):
        return 0.0
    said = _HEADROOM.search(packet)
    if said:
        return float(said[1])
    notes = (_content(data, items, each) for each in _describing(items, b"Exif", items.primary))
    return next((found for block in notes if (found := of_note(block))), 0.0)


def of_note(block: bytes) -> float:
    """The headroom that the maker note in an item of EXIF states; 0 where it states none."""
    base = 4 + int.from_bytes(block[:4], "big")
    order = {b"II": "<", b"MM": ">"}.get(block[base : base + 2])
    if order is None:
        return 0.0
    for entry in Structure(block, base, order).tree():
        if entry.tag == _MAKER_NOTE:
            return _of_ratios(block[entry.at : entry.at + entry.size])
    return 0.0


def _of_ratios(note: bytes) -> float:
    if not note.startswith(_NOTE):
        return 0.0
    ratios = {}
    for entry in Structure(note, 0, ">").entries(len(_NOTE)):
        if entry.tag in (_ROOM, _GAIN) and entry.kind == _RATIO and entry.values == 1 and entry.at + 8 <= len(note):
            above, below = struct.unpack_from(">ii", note, entry.at)
            ratios[entry.tag] = above / below if below else 0.0
    if _ROOM not in ratios:
        return 0.0
    room, gain = ratios[_ROOM], ratios.get(_GAIN, 0.0)
    if room < 1:
        stops = 1.8 - 20 * gain if gain <= 0.01 else 1.601 - 0.101 * gain
    else:
        stops = 3 - 70 * gain if gain <= 0.01 else 2.303 - 0.303 * gain
    return float(2 ** min(max(stops, 0.0), 10.0))


def _describing(items: Items, kind: bytes, number: int) -> list[Item]:
    return [
        items.all[each.item]
        for each in items.references
        if each.kind == b"cdsc" and number in each.others and each.item in items.all
        if items.all[each.item].kind == kind
    ]


def _content(data: bytes, items: Items, item: Item) -> bytes:
    return b"".join(data[start:end] for start, end in items.extents.get(item.number, ()))
