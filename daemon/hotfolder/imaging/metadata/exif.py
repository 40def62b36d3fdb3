"""What a file states of how it was taken, read straight from its TIFF structure: the same for every format.

Own reader, since this one has bounds: it looks at a fixed number of entries, copies only values of at most VALUE_MAX
bytes, follows no chain of directories and raises nothing, whatever the bytes are. It also reads camera RAW, which the
image library does not. Tags are those of Exif 3.0 (CIPA DC-008).
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hotfolder.imaging.containers import directories
from hotfolder.imaging.decoding.decode import Opened
from hotfolder.imaging.metadata import blocks

VALUE_MAX = 1024
TEXT_MAX = 100
XMP_MAX = 1 << 18
_TEXTS = (2, 7, 129)
_NUMBERS = {1: "B", 3: "H", 4: "I", 9: "i", 11: "f", 12: "d", 13: "I"}
_FRACTIONS = {5: "I", 10: "i"}
_KINDS = frozenset((*_TEXTS, *_NUMBERS, *_FRACTIONS))
"""Types of values, by their numbers."""
_RATING = re.compile(rb"xmp:Rating\s*(?:=\s*[\"']|>)\s*([0-5])\b")
_OFFSET = re.compile(r"[+-]\d\d:\d\d")

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
    main, shot, place = (_directory(each) for each in blocks.places(opened))
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


# -- reading the directories -------------------------------------------------------------------------------------------


def _directory(place: blocks.Place | None) -> Tags:
    """The tags of one directory."""
    tags: Tags = {}
    for entry in blocks.entries(place):
        assert place is not None
        readable = entry.kind in _KINDS and 0 < entry.size <= VALUE_MAX
        if readable and entry.at + entry.size <= len(place[0].data):
            tags.setdefault(entry.tag, _value(place[0], entry))
    return tags


def _value(structure: directories.Structure, entry: directories.Entry) -> Any:
    """Text as bytes, one number as itself, several as a tuple, a fraction without sense as NaN."""
    data, order, count = structure.data, structure.order, entry.values
    if entry.kind in _TEXTS:
        return data[entry.at : entry.at + entry.size]
    if entry.kind in _NUMBERS:
        numbers: tuple[Any, ...] = struct.unpack_from(f"{order}{count}{_NUMBERS[entry.kind]}", data, entry.at)
    else:
        pairs = struct.unpack_from(f"{order}{2 * count}{_FRACTIONS[entry.kind]}", data, entry.at)
        numbers = tuple(a / b if b else math.nan for a, b in zip(pairs[::2], pairs[1::2], strict=True))
    return numbers[0] if count == 1 else numbers


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
