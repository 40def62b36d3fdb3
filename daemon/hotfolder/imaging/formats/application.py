"""What a JPEG carries beside its picture: application segments, comments, and what lies behind its end.

JFIF 1.02, Exif 3.0, XMP part 3, ICC.1 annex B.4; CIPA DC-007 (the multi-picture index).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from hotfolder.imaging.containers import Endless, directories, resources, segments
from hotfolder.imaging.formats.format import METADATA_MOST
from hotfolder.imaging.formats.values import Carried, Density

XMP = b"http://ns.adobe.com/xap/1.0/\0"
ICC = b"ICC_PROFILE\0"
EXIF = b"Exif\0\0"
JFIF, JFXX = b"JFIF\0", b"JFXX\0"
ADOBE = b"Adobe"
INDEX = b"MPF\0"
GAIN_MAP = b"urn:iso:std:iso:ts:21496"
"""Says that a gain map (ISO 21496-1) lies behind."""
PHOTOSHOP = b"Photoshop 3.0\0"
_THUMBNAILS = (0x0409, 0x040C)
PART_MOST = 65_533
"""Bytes that one segment carries."""
DENSITY_AT = 13
"""Where in a file that libjpeg wrote the JFIF segment states density: the unit, and two numbers of 16 bits."""
_APP0, APP1, APP2, _APP11, _APP13, _APP14 = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE
_ICC_PART = 65_519
"""Bytes of a profile that one segment carries (ICC.1, annex B.4)."""
_COLOURS_AS_WRITTEN = 1
"""Adobe's mark for YCbCr, which is what is written."""
_ENTRIES = 0xB002
"""The tag of the list of images: attributes, size, offset, and which others each depends on."""
_VALUES_MOST = 1000
"""Of an index."""
_PRIMARY = b"\0\3\0\0"
"""The kind of the picture that is shown, in the list; that of a gain map is none."""
_OF_TWO = directories.written(
    ">",
    [
        directories.Value(0xB000, 7, 4, b"0100"),
        directories.Value(0xB001, 4, 1, b"\0\0\0\2"),
        directories.Value(_ENTRIES, 7, 32, bytes(32)),
    ],
)
"""The index of two pictures, which are not known yet."""
HEAD_MOST = 2 * METADATA_MOST
"""Bytes before the first scan of a file that was written here."""

Part = tuple[int, bytes]
"""A marker, and the body of its segment."""


def written(carried: Carried, *, icc: bool = True) -> Iterator[Part]:
    """Metadata as segments."""
    yield from _of_source(carried) if carried.source else _given(carried, icc=icc)
    if carried.marker:
        yield APP2, carried.marker
    if carried.indexed:
        yield APP2, INDEX + _OF_TWO


def _given(carried: Carried, *, icc: bool) -> Iterator[Part]:
    if carried.exif:
        yield APP1, carried.exif if carried.exif.startswith(EXIF) else EXIF + carried.exif
    if carried.xmp:
        yield APP1, XMP + carried.xmp
    yield from _profile(carried) if icc else ()
    if carried.iptc:
        yield _APP13, carried.iptc
    if carried.comment:
        yield segments.COM, carried.comment


def _profile(carried: Carried) -> Iterator[Part]:
    profile = carried.icc or b""
    parts = [profile[at : at + _ICC_PART] for at in range(0, len(profile), _ICC_PART)]
    for number, part in enumerate(parts, 1):
        yield APP2, ICC + bytes([number, len(parts)]) + part


def _of_source(carried: Carried) -> Iterator[Part]:
    """The source's own segments, in their order; EXIF, XMP and profile as they are given. What says how the pixels are
    coded goes, and so does what was signed or computed for the very bytes of the source (APP11: C2PA, JPEG XT)."""
    found = [
        (segment.marker, carried.source[segment.body : segment.end])
        for segment in segments.header(carried.source)
        if segment.marker in segments.APPLICATION or segment.marker == segments.COM
    ]
    instead = {
        EXIF: _exif(carried, [len(body) - len(EXIF) for marker, body in found if _begins(marker, body) == EXIF]),
        XMP: iter([(APP1, XMP + carried.xmp)] if carried.xmp else []),
        ICC: _profile(carried),
    }
    for marker, body in found:
        begins = _begins(marker, body)
        if begins == EXIF:
            yield from [part for part in [next(instead[EXIF], None)] if part]
        elif begins:
            yield from instead[begins]
        elif _stays(marker, body, carried):
            yield marker, _without_thumbnail(body) if carried.turned and body.startswith(PHOTOSHOP) else body
    for rest in instead.values():
        yield from rest


def _begins(marker: int, body: bytes) -> bytes:
    """Which of those that are written anew it is; empty for none of them."""
    known = {APP1: (EXIF, XMP), APP2: (ICC,)}.get(marker, ())
    return next((name for name in known if body.startswith(name)), b"")


def _stays(marker: int, body: bytes, carried: Carried) -> bool:
    if marker == _APP0:
        return not body.startswith((JFIF, JFXX))
    if marker == APP2 and body.startswith((INDEX, GAIN_MAP)):
        return bool(carried.behind) and not carried.indexed
    if marker == _APP14 and body.startswith(ADOBE):
        return body[11:12] == bytes([_COLOURS_AS_WRITTEN])
    return marker != _APP11


def _without_thumbnail(body: bytes) -> bytes:
    """Photoshop's resources without the small picture that lies as the source lay."""
    data = body[len(PHOTOSHOP) :]
    found = (each for each in resources.walk(data) if each.number in _THUMBNAILS)
    small = next(found, None)
    return body if small is None else PHOTOSHOP + data[: small.start] + data[small.end :]


def _exif(carried: Carried, cuts: list[int]) -> Iterator[Part]:
    """The block in as many segments as it came in."""
    rest = carried.exif.removeprefix(EXIF)
    if len(rest) != sum(cuts):
        cuts = [len(rest)] if 0 < len(rest) <= PART_MOST - len(EXIF) else []
    for length in cuts:
        yield APP1, EXIF + rest[:length]
        rest = rest[length:]


def kept(data: bytes, segment: segments.Segment) -> bytes:
    """What stays of a segment when its metadata go, and the picture is not encoded anew."""
    marker, body = segment.marker, data[segment.body : segment.end]
    if marker == _APP0 and body.startswith(JFIF):
        return segments.written(_APP0, body[:12] + b"\0\0")  # without its thumbnail
    if marker == APP2:
        stays = body.startswith(ICC)
    elif marker in segments.APPLICATION:
        stays = marker == _APP14 and body.startswith(ADOBE) and len(body) <= 12  # says which colour model it is
    else:
        stays = marker != segments.COM
    return data[segment.start : segment.end] if stays else b""


# -- density -----------------------------------------------------------------------------------------------------------


def density(data: bytes) -> Density | None:
    """That of JFIF; None where it says nothing."""
    bodies = (data[each.body : each.end] for each in segments.header(data) if each.marker == _APP0)
    body = next((body for body in bodies if body.startswith(JFIF)), b"")
    if len(body) < 12:
        return None
    unit, across, down = struct.unpack_from(">BHH", body, 7)
    if not across or not down or unit > 2 or (unit == 0 and across == down):
        return None
    if unit == 2:
        return Density(across * 100, down * 100, "metre")
    return Density(across, down, "inch" if unit else "")


def stated(density: Density) -> bytes:
    """As JFIF has it; empty for numbers that it cannot have."""
    sides, unit = (density.across, density.down), {"metre": 2, "inch": 1, "": 0}[density.length]
    if unit == 2 and any(side % 100 for side in sides):
        sides, unit = (round(sides[0] * 0.0254), round(sides[1] * 0.0254)), 1
    elif unit == 2:
        sides = (sides[0] // 100, sides[1] // 100)
    return struct.pack(">BHH", unit, *sides) if all(0 < side < 1 << 16 for side in sides) else b""


# -- what lies behind --------------------------------------------------------------------------------------------------


def end(data: bytes) -> int:
    """Where the picture ends; 0 where it does not."""
    try:
        return segments.end(data)
    except Endless:
        return 0


def index(head: bytes, size: int, carried: Carried) -> tuple[int, bytes] | None:
    """What the multi-picture index of a new picture of `size` bytes, which begins with `head`, must state when what is
    carried is put behind it, and where that stands; None where there is no index."""
    found = _entries(head)
    if found is None:
        return None
    at, place, entry, images = found
    if carried.indexed:
        pictures = ((_PRIMARY, size, 0, 0, 0), (bytes(4), len(carried.behind), size - at, 0, 0))
        return place, b"".join(entry.pack(*each) for each in pictures)
    source = carried.source
    shift = (size - at) - (end(source) - _index(source))
    map_at, was, now = carried.exchanged or (0, 0, 0)
    map_at -= _index(source)
    corrected = [entry.pack(images[0][0], size, 0, *images[0][3:])] if images else []
    for kind, length, offset, *others in images[1:]:
        is_map, follows = carried.exchanged and offset == map_at, carried.exchanged and offset > map_at
        moved = offset + shift + (now - was if follows else 0) if offset else 0
        if not 0 <= moved < 1 << 32:
            return None
        corrected.append(entry.pack(kind, now if is_map else length, moved, *others))
    return place, b"".join(corrected)


def followed(picture: bytes, carried: Carried) -> bytes:
    """A picture with what lies behind it, and the index of that."""
    found = index(picture[:HEAD_MOST], len(picture), carried) if carried.behind else None
    if found is not None:
        at, content = found
        picture = b"".join([picture[:at], content, picture[at + len(content) :]])
    return b"".join([picture, carried.behind])


def listed(data: bytes) -> list[int]:
    """Where the further pictures begin that the index of a file names."""
    found = _entries(data)
    return [found[0] + offset for _, _, offset, *_ in found[3] if offset] if found else []


def _entries(head: bytes) -> tuple[int, int, struct.Struct, list[tuple[bytes, int, int, int, int]]] | None:
    """Where the index begins, from which its offsets count, where its list of pictures stands, and that list."""
    structure = directories.structure(head, at) if (at := _index(head)) else None
    try:
        entries = structure.entries(structure.first(), _VALUES_MOST) if structure else iter(())
        found = next((each for each in entries if each.tag == _ENTRIES), None)
    except Endless:
        return None
    if structure is None or found is None or found.at + found.size > len(head):
        return None
    entry = struct.Struct(structure.order + "4sIIHH")
    places = range(found.at, found.at + found.size - entry.size + 1, entry.size)
    return at, found.at, entry, [entry.unpack_from(head, place) for place in places]


def _index(data: bytes) -> int:
    """Where the index begins, from which its offsets count; 0 where there is none."""
    for segment in segments.header(data):
        if segment.marker == APP2 and data[segment.body : segment.body + len(INDEX)] == INDEX:
            return segment.body + len(INDEX)
    return 0
