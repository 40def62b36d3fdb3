"""Metadata of a picture in ISO boxes, exchanged where they lie: no box grows or moves, so that every offset stays true,
and the file keeps its length. What goes becomes zeros in boxes and items that readers pass over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hotfolder.imaging.containers import boxes
from hotfolder.imaging.containers.boxes import Box
from hotfolder.imaging.containers.items import Item, Items

PICTURES = frozenset((b"av01", b"grid", b"iden", b"iovl", b"tmap"))
"""Kinds of items that are, or make, a picture."""
OUTER = frozenset((b"ftyp", b"mdat", b"moov"))
IN_META = frozenset((b"hdlr", b"pitm", b"iloc", b"iinf", b"iprp", b"iref", b"idat", b"grpl"))
IN_MOVIE = frozenset((b"mvhd", b"trak", b"mvex"))
IN_TRACK = frozenset((b"tkhd", b"edts", b"tref", b"trgr", b"mdia"))
"""Boxes that stay; any other may say something of people and places."""
SAID = frozenset((b"uuid", b"udes", b"crtt", b"mdft"))
"""Properties in free form: texts, times."""
EXIF = b"\0\0\0\x06Exif\0\0"
FREE = b"free"
_UNKNOWN_ITEM = b"skip"
Span = tuple[int, int]


def exchanged(data: bytes, exif: bytes, xmp: bytes) -> bytes:
    """The file with these in the places of its EXIF (a TIFF structure) and XMP; empty ones leave none. Thumbnails go,
    and whatever no picture needs. Raises ValueError where there is no room, or the file is not understood."""
    items = Items(data)
    work = bytearray(data)
    moves = _wipe_boxes(work, data, items)
    thumbnails = {each.item for each in items.references if each.kind == b"thmb"} - {items.primary}
    stay = {item.number for item in items.all.values() if item.kind in PICTURES} - thumbnails
    kept = [span for number in stay for span in items.extents.get(number, ())]
    room = _Room(work, _bodies(data, items), kept)
    if not moves:  # a movie's samples lie there as well
        room.clear()
    contents = {b"Exif": exif, b"mime": xmp}
    for item in items.all.values():
        if item.number in stay:
            continue
        name = item.kind if item.kind != b"mime" or _is_xmp(data, item) else b""
        content = contents.get(name, b"") if _describes(items, item) else b""
        if item.kind == b"Exif" and content:
            content = _head(data, items, item) + content
        room.fill(items.extents.get(item.number, []), content, b" " if name == b"mime" and content else b"\0")
        if content:
            contents[name] = b""
        else:
            _forget(work, item)
    if any(contents.values()):
        raise ValueError("there is no place for its metadata")
    return bytes(work)


class _Room:
    """The parts of a file in which the bytes of items lie; those of pictures are never touched."""

    def __init__(self, work: bytearray, bodies: Iterable[Span], pictures: Iterable[Span]) -> None:
        self._work, self._bodies, self._pictures = work, list(bodies), sorted(pictures)
        if not all(map(self._is_room, self._pictures)):
            raise ValueError("a picture lies where none can")

    def clear(self) -> None:
        """All that belongs to no picture."""
        for begin, end in self._bodies:
            at = begin
            for start, stop in self._pictures:
                if start < end and stop > at:
                    self._zero(at, start)
                    at = max(at, stop)
            self._zero(at, end)

    def fill(self, extents: list[Span], content: bytes, filling: bytes) -> None:
        """Raises ValueError where it does not fit, or where anything else lies."""
        if sum(end - start for start, end in extents) < len(content):
            raise ValueError("there is no room for its metadata")
        for start, end in extents:
            if not self._is_room((start, end)) or any(at < end and stop > start for at, stop in self._pictures):
                raise ValueError("an item lies where something else does")
            part, content = content[: end - start], content[end - start :]
            self._work[start:end] = part + filling * (end - start - len(part))

    def _is_room(self, span: Span) -> bool:
        return any(at <= span[0] and span[1] <= end for at, end in self._bodies)

    def _zero(self, start: int, end: int) -> None:
        if end > start:
            self._work[start:end] = bytes(end - start)


def _wipe_boxes(work: bytearray, data: bytes, items: Items) -> bool:
    """Makes room of every box that is not to stay; whether it is a movie, too."""
    at, moves = 0, False
    for box in boxes.walk(data):
        if box.end > len(data):
            if box.kind in OUTER or box == items.meta:
                raise ValueError("a box ends behind the file")
            break  # none at all
        at = box.end
        if box.kind == b"moov":
            moves = True
            _wipe_others(work, boxes.inside(data, box.body, box.end), IN_MOVIE)
            for track in boxes.inside(data, box.body, box.end):
                if track.kind == b"trak":
                    _wipe_others(work, boxes.inside(data, track.body, track.end), IN_TRACK)
        elif box.kind not in OUTER and box != items.meta:
            _wipe(work, box)
    rest = len(data) - at
    work[at:] = (rest.to_bytes(4, "big") + FREE if rest >= 8 else b"").ljust(rest, b"\0")
    _wipe_others(work, items.children(), IN_META)
    for said in items.all_properties():
        if said.kind in SAID:
            _wipe(work, said)
    return moves


def _wipe_others(work: bytearray, found: Iterator[Box], kept: frozenset[bytes]) -> None:
    for box in found:
        if box.kind not in kept:
            _wipe(work, box)


def _wipe(work: bytearray, box: Box) -> None:
    work[box.start + 4 : box.start + 8] = FREE
    work[box.body : box.end] = bytes(box.end - box.body)


def _forget(work: bytearray, item: Item) -> None:
    """Of a kind that nobody knows, hidden, without name and type."""
    work[item.box.body + 3] |= 1
    at = item.at
    work[at : item.box.end] = _UNKNOWN_ITEM + bytes(item.box.end - at - len(_UNKNOWN_ITEM))


def _head(data: bytes, items: Items, item: Item) -> bytes:
    """What stands before the TIFF structure: its distance, and, where the source's writer has it so, a mark."""
    start, end = items.extents.get(item.number, [(0, 0)])[0]
    return EXIF if data[start:end].startswith(EXIF) else bytes(4)


def _bodies(data: bytes, items: Items) -> Iterator[Span]:
    for box in (*boxes.walk(data), *items.children()):
        if box.kind in (b"mdat", b"idat"):
            yield box.body, box.end


def _describes(items: Items, item: Item) -> bool:
    """Whether it is said of the picture; of an item without any reference, too."""
    said = [each for each in items.references if each.item == item.number and each.kind == b"cdsc"]
    return not said or any(items.primary in each.others for each in said)


def _is_xmp(data: bytes, item: Item) -> bool:
    _, kind, *_ = (*data[item.at + 4 : item.box.end].split(b"\0"), b"", b"")
    return kind == b"application/rdf+xml"
