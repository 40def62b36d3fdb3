"""EXIF blocks: found wherever a format keeps them, and written anew of what may stay.

Values are bytes: text is carried in whatever character set a camera or an editor wrote it. Tags are those of Exif 3.0
(CIPA DC-008).
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from itertools import islice

from PIL import Image

from hotfolder.imaging.containers import directories
from hotfolder.imaging.containers.directories import Entry, Structure, Value
from hotfolder.imaging.decoding.decode import Opened
from hotfolder.imaging.formats.opening import ORIENTATION
from hotfolder.imaging.formats.values import UPRIGHT

HEAD = b"Exif\0\0"
EXIF_MAX = 65_000
ENTRIES_MAX = 512
HEX_MAX = 1 << 18
"""Characters of EXIF in a text chunk."""
LONG = 4
MAKER_NOTE = 0x927C
_LONG_ONLY_IN_BIG = (16, 17, 18)
_EXIF_SIZES = (0xA002, 0xA003)
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
    return directories_of(structures(block(opened.image)) if found is None else found)


def structures(found: bytes) -> list[tuple[bytes, int]]:
    """Where in a block its structure begins."""
    return [(found, len(HEAD) if found.startswith(HEAD) else 0)] if found else []


def directories_of(found: list[tuple[bytes, int]]) -> tuple[Place | None, Place | None, Place | None]:
    """The main directory, that of the shot and that of the position, in one structure or in one each."""
    structures = [directories.structure(data, start) for data, start in found]
    if len(structures) == 3:  # each by itself
        main, shot, place = ((each, each.first()) if each else None for each in structures)
        return main, shot, place
    if not structures or structures[0] is None:
        return None, None, None
    main = (structures[0], structures[0].first())
    return main, pointed(main, directories.EXIF), pointed(main, directories.GPS)


def entries(place: Place | None) -> Iterator[Entry]:
    """The entries of a directory, no more than any has."""
    return iter(()) if place is None else islice(place[0].entries(place[1]), ENTRIES_MAX)


def pointed(place: Place | None, tag: int) -> Place | None:
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
    first, second, _ = directories_of(structures(own)) if own else places(opened)
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
