"""EXIF blocks: found wherever a format keeps them, patched where they stand, or written anew of what may stay.

Values are bytes: text is carried in whatever character set a camera or an editor wrote it. A block that is kept stays
as it is but for the few values that must change, all of their own size, so that maker notes, whose offsets count from
its beginning, stay whole. Tags are those of Exif 3.0 (CIPA DC-008).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Collection, Iterator
from itertools import islice

from PIL import Image

from hotfolder.imaging import formats
from hotfolder.imaging.containers import directories
from hotfolder.imaging.containers.directories import Entry, Structure, Value
from hotfolder.imaging.decoding.decode import Opened, upright
from hotfolder.imaging.formats import opening
from hotfolder.imaging.formats.opening import ORIENTATION, UPRIGHT

HEAD = b"Exif\0\0"
EXIF_MAX = 65_000
ENTRIES_MAX = 512
HEX_MAX = 1 << 18
"""Characters of EXIF in a text chunk."""
THUMBNAIL_MOST = 1024
"""Pixels of its longer side."""
LONG = 4
MAKER_NOTE = 0x927C
_LONG_ONLY_IN_BIG = (16, 17, 18)
_WIDE, _HIGH = 0x0100, 0x0101
_THUMBNAIL, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_SIZES = {_WIDE: 0, _HIGH: 1}
_EXIF_SIZES = {0xA002: 0, 0xA003: 1}
_RELATED_SIZES = {0x1001: 0, 0x1002: 1}
"""Tags that state the picture's width (0) and height (1)."""
_COLOUR_SPACE = 0xA001
_CODES = {1: "B", 3: "H", 4: "I", 9: "i"}
_LAYOUTS = (
    *((0x00FE, 0x010C), (0x0111, 0x0119), (0x011C, 0x011C), (0x0120, 0x0127), (0x013D, 0x013D), (0x0140, 0x015F)),
    *((0x0200, 0x0214), (0x8000, 0x8297), (0xC600, 0xCFFF)),
)
_BLOCKS = (0x02BC, 0x83BB, 0x8649, 0x8773, 0x935C)
_LAYOUT = frozenset(tag for first, last in _LAYOUTS for tag in range(first, last + 1)) | frozenset(_BLOCKS)
"""How a TIFF's pixels or a sensor's lie, and blocks that are carried by themselves (XMP, IPTC, profile, layers)."""

Place = tuple[Structure, int]
"""A structure, and the offset of one of its directories."""


def block(image: Image.Image) -> bytes:
    """The block that the decoder has found; empty where there is none."""
    found = image.info.get("exif")
    return found if isinstance(found, bytes) else _from_text(image.info.get("Raw profile type exif"))


def _from_text(profile: object) -> bytes:
    """EXIF in a text chunk of a PNG, as ImageMagick writes it: three lines, then hexadecimal digits."""
    if not isinstance(profile, str) or len(profile) > HEX_MAX:
        return b""
    try:
        return bytes.fromhex("".join(profile.split("\n")[3:]))
    except ValueError:
        return b""


def places(opened: Opened) -> tuple[Place | None, Place | None, Place | None]:
    """The main directory, that of the shot and that of the position."""
    found = opened.kind.exif_structures(opened.data)
    return _places(_within(block(opened.image)) if found is None else found)


def _within(found: bytes) -> list[tuple[bytes, int]]:
    return [(found, len(HEAD) if found.startswith(HEAD) else 0)] if found else []


def _places(found: list[tuple[bytes, int]]) -> tuple[Place | None, Place | None, Place | None]:
    structures = [directories.structure(data, start) for data, start in found]
    if len(structures) == 3:  # each by itself
        main, shot, place = ((each, each.first()) if each else None for each in structures)
        return main, shot, place
    if not structures or structures[0] is None:
        return None, None, None
    main = (structures[0], structures[0].first())
    return main, _pointed(main, directories.EXIF), _pointed(main, directories.GPS)


def entries(place: Place | None) -> Iterator[Entry]:
    """The entries of a directory, no more than any has."""
    return iter(()) if place is None else islice(place[0].entries(place[1]), ENTRIES_MAX)


def _pointed(place: Place | None, tag: int) -> Place | None:
    """The directory that an entry points to."""
    if place is None:
        return None
    offset = next((place[0].number(entry) for entry in entries(place) if entry.tag == tag), None)
    return (place[0], offset) if offset else None


# -- written anew ------------------------------------------------------------------------------------------------------


def of_tags(opened: Opened, main: Collection[int], shot: Collection[int], orientation: int) -> bytes:
    """A block of these tags alone, with this orientation (1: none); empty where there is nothing to say.

    The block that the decoder has found counts, where there is one: a RAW's preview may say more than the RAW."""
    own = block(opened.image)
    first, second, _ = _places(_within(own)) if own else places(opened)
    return _written(first, _values(first, main), {directories.EXIF: _values(second, shot)}, orientation)


def of_directories(opened: Opened) -> bytes:
    """A block of all that a TIFF or RAW states of the shot, without what says how its pixels lie, and without the maker
    note, whose offsets count from the beginning of the file."""
    main, shot, position = places(opened)
    if main is None:
        return b""
    pointers = (directories.EXIF, directories.GPS, directories.INTEROPERABILITY)
    skipped = _LAYOUT | {*pointers, ORIENTATION}
    inner = {
        directories.EXIF: _values(shot, without={*pointers, MAKER_NOTE, *_EXIF_SIZES}),
        directories.GPS: _values(position),
    }
    return _written(main, _values(main, without=skipped), inner, UPRIGHT)


def only_orientation(orientation: int) -> bytes:
    """A block that says nothing else; empty where the picture is upright."""
    return _written(None, [], {}, orientation)


def _values(place: Place | None, only: Collection[int] | None = None, without: Collection[int] = ()) -> list[Value]:
    """The entries with their bytes, the first of each tag."""
    found: dict[int, Value] = {}
    left = EXIF_MAX
    for tag, kind, count, at, size in entries(place):
        assert place is not None
        wanted = (only is None or tag in only) and tag not in without and tag not in found
        fits = 0 < size <= left and at + size <= len(place[0].data)
        if wanted and fits and kind not in _LONG_ONLY_IN_BIG:
            found[tag] = Value(tag, kind, count, place[0].data[at : at + size])
            left -= size
    return list(found.values())


def _written(place: Place | None, main: list[Value], inner: dict[int, list[Value]], orientation: int) -> bytes:
    order = place[0].order if place else ">"
    main = main + [Value(tag, LONG, 1, values) for tag, values in inner.items() if values]
    if orientation != UPRIGHT:
        main.append(Value(ORIENTATION, 3, 1, struct.pack(order + "H", orientation)))
    found = HEAD + directories.written(order, main) if main else b""
    return found if len(found) <= EXIF_MAX else only_orientation(orientation)


# -- patched -----------------------------------------------------------------------------------------------------------


def patched(found: bytes, size: tuple[int, int] | None) -> bytes:
    """The block as it stands, for an upright picture: its orientation, its thumbnail turned with the picture and,
    where they are given, the sizes. Of the same length, whatever is in it."""
    patch = _Patch(found)
    if patch.main is None:
        return found
    orientation = patch.set(patch.main, {ORIENTATION: UPRIGHT})
    if size is not None:
        for place, tags in patch.sizes():
            patch.set(place, {tag: size[side] for tag, side in tags.items()})
    if orientation is not None and 2 <= orientation <= 8:
        patch.turn_thumbnail(orientation)
    return bytes(patch.data)


def as_srgb(found: bytes) -> bytes:
    """The block for a picture that was converted to sRGB."""
    patch = _Patch(found)
    patch.set(patch.shot, {_COLOUR_SPACE: 1})
    return bytes(patch.data)


class _Patch:
    """A block whose values are set one by one."""

    def __init__(self, found: bytes) -> None:
        self.data = bytearray(found)
        self.main, self.shot, _ = _places(_within(found))

    def sizes(self) -> list[tuple[Place | None, dict[int, int]]]:
        related = _pointed(self.shot, directories.INTEROPERABILITY)
        return [(self.main, _SIZES), (self.shot, _EXIF_SIZES), (related, _RELATED_SIZES)]

    def set(self, place: Place | None, new: dict[int, int]) -> int | None:
        """Gives single numbers a new value; returns the last old one."""
        old = None
        for entry in entries(place):
            assert place is not None
            code = _CODES.get(entry.kind)
            if entry.tag not in new or code is None or entry.values != 1:
                continue
            old = place[0].number(entry)
            if old is not None and new[entry.tag] < 1 << 8 * entry.size:
                struct.pack_into(place[0].order + code, self.data, entry.at, new[entry.tag])
        return old

    def turn_thumbnail(self, orientation: int) -> None:
        """A thumbnail lies as the picture lay. One that cannot be turned is cut off."""
        assert self.main is not None
        structure, first = self.main
        pointer = structure.following(first)
        offset = structure.offset_at(pointer) if pointer else 0
        if not offset:
            return
        second = (structure, offset)
        known = {entry.tag: structure.number(entry) or 0 for entry in entries(second)}
        start, length = structure.base + known.get(_THUMBNAIL, 0), known.get(_THUMBNAIL_LENGTH, 0)
        turned = None
        if known.get(_THUMBNAIL, 0) > 0 and 0 < length <= len(self.data) - start:
            turned = _turned(bytes(self.data[start : start + length]), orientation)
        if turned is None:
            none = bytes(8 if structure.big else 4)
            self.data[pointer : pointer + len(none)] = none
            return
        picture, (wide, high) = turned
        self.data[start : start + length] = picture.ljust(length, b"\0")
        sides = {_WIDE: wide, _HIGH: high}
        self.set(second, {ORIENTATION: UPRIGHT, _THUMBNAIL_LENGTH: len(picture), **sides})


def _turned(thumbnail: bytes, orientation: int) -> tuple[bytes, tuple[int, int]] | None:
    """The thumbnail turned, in no more bytes; None where that cannot be."""
    try:
        kind = formats.detect(thumbnail, b"")
        if not kind.in_planes:  # of those that Exif allows the only one with a coding
            return None
        kind.inspect(thumbnail)
        with opening.opened(thumbnail, kind.plugins) as image:
            if max(image.size) > THUMBNAIL_MOST:
                return None
            picture = upright(image, orientation)
        for quality in (90, 80, 70, 55, 40, 20):
            file = io.BytesIO()
            picture.save(file, kind.plugins[0], quality=quality, optimize=True)
            if len(file.getvalue()) <= len(thumbnail):
                return file.getvalue(), picture.size
    except Exception:  # noqa: BLE001 - a thumbnail that cannot be read is worth no picture
        return None
    return None
