"""The directories of a TIFF structure (TIFF 6.0, BigTIFF): those of TIFF files, of camera RAW and of EXIF blocks.

Only numbers are read, none of them trusted: entries of unknown types are passed over, as decoders do, and a value that
lies behind the end of the file is told as it is, for the caller to leave out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from hotfolder.imaging.containers import Endless

ENTRIES_MOST = 65_535
"""Entries of one directory, as many as that of a classic TIFF can have."""
DIRECTORIES_MOST = 64
"""Directories of one structure that are looked at."""
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8, 129: 1}
"""Bytes of one value, by the number of its type; 129 is Exif 3.0's UTF-8."""
VALUES_MOST = 1_000_000
"""Values of one entry that are taken together: a picture has at most so many strips or tiles."""
EXIF, GPS, INTEROPERABILITY = 0x8769, 0x8825, 0xA005
"""Entries that point to another directory."""
_CLASSIC, _BIG = 42, 43
_LONG, _WIDE = 4, (16, 17, 18)
_POINTERS = (EXIF, GPS, INTEROPERABILITY, 0x014A)
_CODES = {1: "B", 3: "H", 4: "I", 7: "B", 9: "i", 13: "I", 16: "Q", 18: "Q"}


class Entry(NamedTuple):
    """A tag, its type, how many values it has, where they lie in the file and how many bytes they take."""

    tag: int
    kind: int
    values: int
    at: int
    size: int


class Structure:
    """A TIFF structure at a place of a file, from which its own offsets count."""

    def __init__(self, data: bytes, base: int, order: str) -> None:
        self.data, self.base, self.order = data, base, order
        self.big = data[base + 2 : base + 4] == struct.pack(order + "H", _BIG)
        self._head = struct.Struct(order + ("HHQ" if self.big else "HHI"))
        self._offset = struct.Struct(order + ("Q" if self.big else "I"))

    def first(self) -> int:
        """The offset of the first directory; 0 where there is none."""
        return self._number(self._offset, self.base + (8 if self.big else 4))

    def holds(self, offset: int) -> bool:
        """Whether the directory at an offset lies in the file with all its entries."""
        start, head = self.base + offset, 8 if self.big else 2
        count = self._number(struct.Struct(self.order + ("Q" if self.big else "H")), start)
        return start + head + count * (20 if self.big else 12) <= len(self.data)

    def following(self, offset: int) -> int:
        """Where the offset of the directory behind the one at an offset stands in the file; 0: not in it."""
        start = self.base + offset
        count = self._number(struct.Struct(self.order + ("Q" if self.big else "H")), start)
        at = start + (8 + count * 20 if self.big else 2 + count * 12)
        return at if at + self._offset.size <= len(self.data) else 0

    def offset_at(self, place: int) -> int:
        """The offset that stands at a place of the file."""
        return self._number(self._offset, place)

    def entries(self, offset: int, most: int = ENTRIES_MOST) -> Iterator[Entry]:
        """The entries of the directory at an offset, as many as lie in the file. Raises Endless behind the `most`th."""
        start = self.base + offset
        count = self._number(struct.Struct(self.order + ("Q" if self.big else "H")), start)
        step, inline = (20, 8) if self.big else (12, 4)
        at = start + (8 if self.big else 2)
        for number in range(count):
            if at + step > len(self.data):
                return
            if number == most:
                raise Endless(most)
            tag, kind, values = self._head.unpack_from(self.data, at)
            size = SIZES.get(kind, 0) * values
            here = at + step - inline
            if kind in SIZES:
                place = here if size <= inline else self.base + self._number(self._offset, here)
                yield Entry(tag, kind, values, place, size)
            at += step

    def pages(self) -> Iterator[int]:
        """The offsets of the directories that follow one another from the first on, each once."""
        offset, seen = self.first(), set[int]()
        while offset and offset not in seen and len(seen) < DIRECTORIES_MOST:
            seen.add(offset)
            yield offset
            start = self.base + offset
            count = self._number(struct.Struct(self.order + ("Q" if self.big else "H")), start)
            behind = start + (8 + 20 * count if self.big else 2 + 12 * count)
            offset = self._number(self._offset, behind)

    def tree(self, offset: int | None = None) -> Iterator[Entry]:
        """The entries of a directory, the first where none is named, and of those that it points to (EXIF, GPS …), each
        directory once."""
        waiting, seen = [self.first() if offset is None else offset], set[int]()
        while waiting and len(seen) < DIRECTORIES_MOST:
            offset = waiting.pop(0)
            if offset in seen:
                continue
            seen.add(offset)
            for entry in self.entries(offset):
                if entry.tag in (EXIF, GPS, INTEROPERABILITY) and len(waiting) < DIRECTORIES_MOST:
                    waiting.append(self.number(entry) or 0)
                yield entry

    def number(self, entry: Entry) -> int | None:
        """The first value of an entry of whole numbers; None for others, and for what lies behind the file."""
        code = _CODES.get(entry.kind)
        if code is None or not entry.values or entry.at + SIZES[entry.kind] > len(self.data):
            return None
        return int(struct.unpack_from(self.order + code, self.data, entry.at)[0])

    def numbers(self, entry: Entry) -> tuple[int, ...]:
        """All values of an entry of whole numbers; none where they do not all lie in the file, or are too many."""
        code = _CODES.get(entry.kind)
        if code is None or entry.values > VALUES_MOST or entry.at + entry.size > len(self.data):
            return ()
        return struct.unpack_from(f"{self.order}{entry.values}{code}", self.data, entry.at)

    def alone(self, offset: int, changed: Mapping[int, Sequence[int]] | None = None) -> bytes:
        """The file as a classic one with the directory at that offset alone, for decoders that read the first one or
        know no BigTIFF of this byte order. `changed` are other values for tags; none: left out. What it points to is
        left out where offsets have another width there. Raises struct.error where the file is too large for that.
        """
        fresh = dict(changed or {})
        table: dict[int, bytes] = {}
        for entry in self.entries(offset):
            if entry.tag in fresh or (self.big and entry.tag in _POINTERS):
                continue
            if entry.kind in _WIDE:
                fresh[entry.tag] = self.numbers(entry)
                continue
            value = self.data[entry.at : entry.at + entry.size].ljust(4, b"\0")
            if entry.size > 4:
                value = struct.pack(self.order + "I", entry.at - self.base)
            table[entry.tag] = struct.pack(self.order + "HHI", entry.tag, entry.kind, entry.values) + value
        behind, lists = -(-(len(self.data) - self.base) // 2) * 2, bytearray()
        for tag, numbers in fresh.items():
            value = struct.pack(f"{self.order}{len(numbers)}I", *numbers)
            if len(numbers) > 1:
                lists += value
                value = struct.pack(self.order + "I", behind + len(lists) - len(value))
            if numbers:
                table[tag] = struct.pack(self.order + "HHI", tag, _LONG, len(numbers)) + value
        head = self.data[self.base : self.base + 2] + struct.pack(self.order + "HI", _CLASSIC, behind + len(lists))
        rest = memoryview(self.data)[self.base + len(head) :]
        directory = struct.pack(self.order + "H", len(table)) + b"".join(table[tag] for tag in sorted(table))
        return b"".join((head, rest, bytes(behind - len(head) - len(rest)), lists, directory, bytes(4)))

    def _number(self, kind: struct.Struct, at: int) -> int:
        return int(kind.unpack_from(self.data, at)[0]) if at + kind.size <= len(self.data) else 0


def structure(data: bytes, base: int = 0) -> Structure | None:
    """The structure that begins at a place; None where none does."""
    order = {b"II": "<", b"MM": ">"}.get(data[base : base + 2])
    return None if order is None else Structure(data, base, order)


class Value(NamedTuple):
    """An entry to be written: its tag, its type, how many values it has, and their bytes as the order has them, or the
    directory that it points to."""

    tag: int
    kind: int
    values: int
    content: bytes | Sequence[Value]


def written(order: str, values: Sequence[Value]) -> bytes:
    """A classic TIFF structure of one directory, and of those that it points to."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "I", 8) + _written(order, values, 8)


def _written(order: str, values: Sequence[Value], at: int) -> bytes:
    end = at + 2 + 12 * len(values) + 4
    entries, rest = [struct.pack(order + "H", len(values))], b""
    for tag, kind, count, content in sorted(values, key=lambda value: value.tag):
        whole = content if isinstance(content, bytes) else _written(order, content, end + len(rest))
        inline = isinstance(content, bytes) and len(whole) <= 4
        place = whole.ljust(4, b"\0") if inline else struct.pack(order + "I", end + len(rest))
        rest += b"" if inline else whole + b"\0" * (len(whole) & 1)
        entries.append(struct.pack(order + "HHI", tag, kind, count) + place)
    return b"".join([*entries, bytes(4), rest])
