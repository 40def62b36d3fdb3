"""The items of a picture in ISO boxes (ISO/IEC 23008-12): which there are, where their bytes lie, and what is said of
each. Every table is read with bounds; what cannot be read raises ValueError."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple, final

from hotfolder.imaging.containers import boxes
from hotfolder.imaging.containers.boxes import Box

MOST = 4096
"""Items."""
EXTENTS_MOST = 4096
"""Parts that items are stored in: most have one."""
ASSOCIATED_MOST = 65_536
"""Properties of all items together, each as often as it is said of one."""
IN_FILE, IN_IDAT = 0, 1


class Item(NamedTuple):
    """Its number, its kind, the place where that stands, and the box around it."""

    number: int
    kind: bytes
    at: int
    box: Box


class Reference(NamedTuple):
    """Of one item to others, and the place where its kind stands."""

    kind: bytes
    item: int
    others: tuple[int, ...]
    at: int


@final
class Items:
    """Those of the outermost meta box. Raises ValueError where there is none."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        outer = next((box for box in boxes.inside(data, 0, len(data)) if box.kind == b"meta"), None)
        if outer is None:
            raise ValueError("no meta box")
        self.meta = outer
        self._boxes = {box.kind: box for box in self.children()}

    def children(self) -> Iterator[Box]:
        """The boxes in the meta box."""
        return boxes.inside(self._data, self.meta.body + 4, self.meta.end)

    @cached_property
    def primary(self) -> int:
        """The item that is the picture."""
        at = self._start(b"pitm")
        return self._number(at + 4, 4 if self._number(at, 1) else 2)

    @cached_property
    def all(self) -> dict[int, Item]:
        """By number."""
        at = self._start(b"iinf")
        head = 8 if self._number(at, 1) else 6
        found = {}
        for box in boxes.inside(self._data, at + head, self._boxes[b"iinf"].end):
            version = self._number(box.body, 1)
            if box.kind != b"infe" or version < 2:
                continue
            wide = 4 if version > 2 else 2
            number = self._number(box.body + 4, wide)
            at = box.body + 4 + wide + 2
            if at + 4 > box.end:
                raise ValueError("an item without a kind")
            found[number] = Item(number, self._data[at : at + 4], at, box)
        return found

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """Which item describes, is the thumbnail of, or is made of which."""
        if b"iref" not in self._boxes:
            return ()
        at = self._start(b"iref")
        wide = 4 if self._number(at, 1) else 2
        found = []
        for box in boxes.inside(self._data, at + 4, self._boxes[b"iref"].end):
            count = self._number(box.body + wide, 2)
            first = box.body + wide + 2
            if first + count * wide > box.end:
                raise ValueError("a reference without end")
            others = tuple(self._number(first + each * wide, wide) for each in range(count))
            found.append(Reference(box.kind, self._number(box.body, wide), others, box.start + 4))
        return tuple(found)

    @cached_property
    def extents(self) -> dict[int, list[tuple[int, int]]]:
        """Where the bytes of each item begin and end in the file, in their order."""
        at = self._start(b"iloc")
        version, sizes = self._number(at, 1), self._number(at + 4, 2)
        offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
        wide = 4 if version > 1 else 2
        count, at = self._number(at + 6, wide), at + 6 + wide
        found: dict[int, list[tuple[int, int]]] = {}
        total = 0
        for _ in range(min(count, MOST)):
            number, at = self._number(at, wide), at + wide
            way = 0
            if version:
                way, at = self._number(at, 2) & 15, at + 2
            base, at = self._number(at + 2, base_size), at + 2 + base_size
            extents, at = self._number(at, 2), at + 2
            total += extents
            if total > EXTENTS_MOST:
                raise ValueError("too many extents")
            for _ in range(extents):
                at += index_size if version else 0
                start, at = base + self._number(at, offset_size), at + offset_size
                length, at = self._number(at, length_size), at + length_size
                found.setdefault(number, []).append(self._span(way, start, length))
        return found

    def properties(self, item: int) -> list[Box]:
        """What is said of an item: size, colour, turns …, in the order in which it is to be applied."""
        known = list(self.all_properties())
        return [known[number - 1] for number in self._associated.get(item, ()) if 0 < number <= len(known)]

    def all_properties(self) -> Iterator[Box]:
        """Of all items together."""
        container = self._property_boxes[b"ipco"]
        return boxes.inside(self._data, container.body, container.end)

    @cached_property
    def _property_boxes(self) -> dict[bytes, Box]:
        outer = self._boxes.get(b"iprp")
        found = {box.kind: box for box in boxes.inside(self._data, outer.body, outer.end)} if outer else {}
        if not {b"ipco", b"ipma"} <= found.keys():
            raise ValueError("no properties")
        return found

    @cached_property
    def _associated(self) -> dict[int, list[int]]:
        """Numbers, from 1, of the properties of each item (`ipma`)."""
        at = self._property_boxes[b"ipma"].body
        version, wide = self._number(at, 1), self._number(at + 3, 1) & 1
        entries, at = self._number(at + 4, 4), at + 8
        found: dict[int, list[int]] = {}
        total = 0
        for _ in range(min(entries, MOST)):
            size = 4 if version else 2
            here, count, at = self._number(at, size), self._number(at + size, 1), at + size + 1
            total += count
            if total > ASSOCIATED_MOST:
                raise ValueError("too many properties")
            for _ in range(count):
                number = self._number(at, 2) & 0x7FFF if wide else self._number(at, 1) & 0x7F
                at += 2 if wide else 1
                found.setdefault(here, []).append(number)
        return found

    def _span(self, way: int, start: int, length: int) -> tuple[int, int]:
        if way == IN_IDAT and b"idat" in self._boxes:
            start += self._boxes[b"idat"].body
        elif way != IN_FILE:
            raise ValueError("an item lies within another")
        end = start + length if length else len(self._data)
        if end > len(self._data):
            raise ValueError("an item ends behind the file")
        return start, end

    def _start(self, kind: bytes) -> int:
        if kind not in self._boxes:
            raise ValueError(f"no {kind.decode()} box")
        return self._boxes[kind].body

    def _number(self, at: int, size: int) -> int:
        if at + size > len(self._data):
            raise ValueError("a table ends behind the file")
        return int.from_bytes(self._data[at : at + size], "big")


def said(data: bytes) -> list[Box]:
    """Of the picture of a file: size, colour, turns …, in the order in which it is to be applied; nothing where that
    cannot be read."""
    try:
        items = Items(data)
        return items.properties(items.primary)
    except ValueError:
        return []


def said_of_all(data: bytes) -> list[Box]:
    """Of all pictures in a file together, thumbnails and tiles too."""
    try:
        return list(Items(data).all_properties())
    except ValueError:
        return []


def claimed(data: bytes) -> Iterator[tuple[int, int]]:
    """Width and height that the file states of its picture; nothing where it states none."""
    for each in said(data):
        if each.kind == b"ispe" and each.body + 12 <= len(data):
            wide, high = struct.unpack_from(">II", data, each.body + 4)
            yield wide, high
