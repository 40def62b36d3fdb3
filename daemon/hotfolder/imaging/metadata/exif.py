"""What a file says of how it was taken, read straight from its TIFF structure: the same for every format.

Own reader, since this one has bounds: it looks at a fixed number of entries, copies only the values that it is asked
for, each of at most VALUE_MAX bytes, follows no chain of directories and raises nothing, whatever the bytes are. It
also reads camera RAW, which the image library does not. Tags are those of Exif 3.0 (CIPA DC-008).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hotfolder.imaging.decoding.decode import Opened

ENTRIES_MAX = 512
VALUE_MAX = 1024
TEXT_MAX = 100
XMP_MAX = 1 << 18
BOXES_MAX = 1 << 16
"""Bytes at the start of a CR3 in which the boxes with its tags are looked for."""

EXIF_IFD = 0x8769
GPS_IFD = 0x8825
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8, 129: 1}
_NUMBERS = {1: "B", 3: "H", 4: "I", 9: "i"}
_RATING = re.compile(rb"xmp:Rating\s*(?:=\s*[\"']|>)\s*([0-5])\b")
_OFFSET = re.compile(r"[+-]\d\d:\d\d")
_CANON_BOXES = (b"CMT1", b"CMT2", b"CMT4")

Tags = dict[int, Any]


@dataclass(frozen=True, slots=True)
class Shot:
    """How a picture was taken: seconds, f-number, ISO, millimetres, EV, stars (0–5), degrees, metres above the sea."""

    camera: str | None = None
    lens: str | None = None
    taken_at: str | None = None
    exposure_time: float | None = None
    f_number: float | None = None
    iso: int | None = None
    focal_length: float | None = None
    focal_length_35mm: float | None = None
    exposure_bias: float | None = None
    rating: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None


def read(opened: Opened, *, gps: bool) -> Shot:
    """What is known of the shot. Fields that are missing, broken or out of all reason are None."""
    main, shot, place = _directories(opened)
    rating = _within(main.get(0x4746), 0, 5)
    return Shot(
        camera=_camera(main.get(0x010F), main.get(0x0110)),
        lens=_text(shot.get(0xA434)),
        taken_at=_taken_at(main, shot),
        exposure_time=_within(shot.get(0x829A), 1e-7, 1e5),
        f_number=_within(shot.get(0x829D), 0.1, 1000),
        iso=_iso(shot),
        focal_length=_within(shot.get(0x920A), 0.1, 1e5),
        focal_length_35mm=_within(shot.get(0xA405), 1, 1e5),
        exposure_bias=_within(shot.get(0x9204), -20, 20),
        rating=_xmp_rating(opened) if rating is None else int(rating),
        **(_position(place) if gps else {}),
    )


# -- finding and walking the directories -------------------------------------------------------------------------------


def _directories(opened: Opened) -> tuple[Tags, Tags, Tags]:
    """The main directory, that of the shot and that of the position."""
    found = list(_structures(opened))
    if len(found) == len(_CANON_BOXES):
        main, shot, place = (_directory(data, start) for data, start in found)
        return main, shot, place
    if not found:
        return {}, {}, {}
    data, start = found[0]
    main = _directory(data, start)
    below = (_directory(data, start, main.get(tag, 0)) if tag in main else {} for tag in (EXIF_IFD, GPS_IFD))
    return main, *below  # type: ignore[return-value]


def _structures(opened: Opened) -> Iterator[tuple[bytes, int]]:
    """Where TIFF structures begin: one, or those of a CR3 in the order of _CANON_BOXES."""
    data = opened.data
    if opened.format in ("tiff", "raw") and data[:2] in (b"II", b"MM"):
        yield data, 0
        return
    if opened.format == "raw" and data[4:12] == b"ftypcrx ":
        places = [data.find(name, 0, BOXES_MAX) for name in _CANON_BOXES]
        if min(places) >= 0:
            yield from ((data, at + 4) for at in places)
            return
    info = opened.image.info
    block = info.get("exif")
    if not isinstance(block, bytes):
        block = _from_text(info.get("Raw profile type exif"))
    if block:
        yield block, 6 if block.startswith(b"Exif\0\0") else 0


def _from_text(profile: object) -> bytes:
    """EXIF in a text chunk of a PNG, as ImageMagick writes it: three lines, then hexadecimal digits."""
    if not isinstance(profile, str) or len(profile) > 4 * BOXES_MAX:
        return b""
    try:
        return bytes.fromhex("".join(profile.split("\n")[3:]))
    except ValueError:
        return b""


def _directory(data: bytes, start: int, offset: int | None = None) -> Tags:
    """The tags of one directory; the first one of the structure where no offset is given."""
    order = {b"II": "<", b"MM": ">"}.get(data[start : start + 2])
    tags: Tags = {}
    if order is None or (offset is not None and not isinstance(offset, int)):
        return tags
    try:
        if offset is None:
            (offset,) = struct.unpack_from(order + "I", data, start + 4)
        (count,) = struct.unpack_from(order + "H", data, start + offset)
        for n in range(min(count, ENTRIES_MAX)):
            at = start + offset + 2 + 12 * n
            tag, kind, length = struct.unpack_from(order + "HHI", data, at)
            size = _SIZES.get(kind, 0) * length
            if 0 < size <= VALUE_MAX:
                where = at + 8 if size <= 4 else start + struct.unpack_from(order + "I", data, at + 8)[0]
                if where + size <= len(data):
                    tags.setdefault(tag, _value(data, order, kind, length, where))
    except struct.error:
        pass  # it ends before it should: what was read so far stands
    return tags


def _value(data: bytes, order: str, kind: int, length: int, where: int) -> Any:
    """Text as bytes, one number as itself, several as a tuple, a fraction without sense as NaN."""
    if kind in (2, 7, 129):
        return data[where : where + length]
    if kind in _NUMBERS:
        numbers: tuple[Any, ...] = struct.unpack_from(f"{order}{length}{_NUMBERS[kind]}", data, where)
    else:
        pairs = struct.unpack_from(f"{order}{2 * length}{'I' if kind == 5 else 'i'}", data, where)
        numbers = tuple(a / b if b else math.nan for a, b in zip(pairs[::2], pairs[1::2], strict=True))
    return numbers[0] if length == 1 else numbers


# -- from tags to facts ------------------------------------------------------------------------------------------------


def _text(value: object) -> str | None:
    if not isinstance(value, bytes):
        return None
    value = value.split(b"\0")[0]
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return "".join(c for c in text if c.isprintable()).strip()[:TEXT_MAX] or None


def _within(value: object, least: float, most: float) -> float | None:
    if isinstance(value, tuple) and value:
        value = value[0]
    if not isinstance(value, int | float) or not least <= value <= most:
        return None
    return round(float(value), 6)


def _camera(make: object, model: object) -> str | None:
    """Make and model as one name; cameras like to say the make twice, and in capitals."""
    maker, name = _text(make), _text(model)
    if maker is None or name is None:
        return name or maker
    words = name.lower().split()
    if any(word in words for word in maker.lower().replace(",", " ").split() if len(word) > 2):
        return name
    return f"{maker} {name}"[:TEXT_MAX]


def _iso(shot: Tags) -> int | None:
    """65535 in the old tag, or none: then the tags of Exif 2.3 have it (recommended exposure index, sensitivity)."""
    for tag in (0x8827, 0x8832, 0x8831):
        value = _within(shot.get(tag), 1, 10_000_000)
        if value is not None and value != 65535:
            return int(value)
    return None


def _taken_at(main: Tags, shot: Tags) -> str | None:
    """RFC 3339; without a zone where the camera does not tell it. The first of original, digitized and changed."""
    for tags, tag, zone in ((shot, 0x9003, 0x9011), (shot, 0x9004, 0x9012), (main, 0x0132, 0x9010)):
        text = _text(tags.get(tag))
        try:
            moment = datetime.strptime(text or "", "%Y:%m:%d %H:%M:%S")
        except ValueError:
            continue
        offset = _text(shot.get(zone)) or ""
        return moment.isoformat() + (offset if _OFFSET.fullmatch(offset) else "")
    return None


def _xmp_rating(opened: Opened) -> int | None:
    xmp = opened.image.info.get("xmp")
    found = _RATING.search(xmp[:XMP_MAX]) if isinstance(xmp, bytes) else None
    return int(found[1]) if found else None


def _position(place: Tags) -> dict[str, float | None]:
    latitude = _degrees(place.get(2), _text(place.get(1)), "S", 90)
    longitude = _degrees(place.get(4), _text(place.get(3)), "W", 180)
    if latitude is None or longitude is None:
        return {}
    altitude = _within(place.get(6), 0, 100_000)
    if altitude is not None and place.get(5) in (1, b"\1"):
        altitude = -altitude
    return {"latitude": latitude, "longitude": longitude, "altitude": altitude}


def _degrees(value: object, reference: str | None, negative: str, most: float) -> float | None:
    if not isinstance(value, tuple) or len(value) != 3:
        return None
    degrees = value[0] + value[1] / 60 + value[2] / 3600
    found = _within(degrees, 0, most)
    return -found if found and reference == negative else found
