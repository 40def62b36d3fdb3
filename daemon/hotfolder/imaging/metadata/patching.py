"""EXIF blocks patched where they stand: a block that is kept stays as it is but for the few values that must change,
all of their own size, so that maker notes, whose offsets count from its beginning, stay whole.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

from hotfolder.imaging import formats
from hotfolder.imaging.containers import directories
from hotfolder.imaging.containers.directories import Entry
from hotfolder.imaging.decoding.decode import upright
from hotfolder.imaging.formats import opening
from hotfolder.imaging.formats.opening import ORIENTATION
from hotfolder.imaging.formats.values import UPRIGHT
from hotfolder.imaging.metadata import blocks

THUMBNAIL_MOST = 1024
"""Pixels of its longer side."""
_WIDE, _HIGH = 0x0100, 0x0101
_THUMBNAIL, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_SIZES = {_WIDE: 0, _HIGH: 1}
_EXIF_SIZES = {0xA002: 0, 0xA003: 1}
_RELATED_SIZES = {0x1001: 0, 0x1002: 1}
"""Tags that state the picture's width (0) and height (1)."""
_COLOUR_SPACE = 0xA001
_CODES = {1: "B", 3: "H", 4: "I", 9: "i"}
_SHORT, _RATIONAL = 3, 5
_SUBJECTS = (0x9214, 0xA214)
"""Where the subject is, in pixels."""
_SENSOR = (0xA20E, 0xA20F)
"""Pixels a length on the focal plane, across and down."""

Size = tuple[int, int]


def patched(found: bytes, before: Size, size: Size, *, resized: bool) -> bytes:
    """The block as it stands, for an upright picture of this size that had another before: its orientation, its
    thumbnail turned with the picture and, where it is `resized`, what is told in pixels. Of the same length."""
    patch = _Patch(found)
    if patch.main is None:
        return found
    orientation = patch.set(patch.main, {ORIENTATION: UPRIGHT})
    if orientation is None or not 1 <= orientation <= 8:
        orientation = UPRIGHT
    if resized:
        for place, tags in patch.sizes():
            patch.set(place, {tag: size[side] for tag, side in tags.items()})
    if resized or orientation != UPRIGHT:
        patch.map(_Map(orientation, before, size))
    if orientation != UPRIGHT:
        patch.turn_thumbnail(orientation)
    return bytes(patch.data)


def as_srgb(found: bytes) -> bytes:
    """The block for a picture that was converted to sRGB."""
    patch = _Patch(found)
    patch.set(patch.shot, {_COLOUR_SPACE: 1})
    return bytes(patch.data)


@dataclass(frozen=True, slots=True)
class _Map:
    """From places in the picture as it lay to places in the copy: turned, then scaled."""

    orientation: int
    before: Size
    size: Size

    @property
    def crosses(self) -> bool:
        return self.orientation >= 5

    @property
    def factors(self) -> tuple[float, float]:
        return self.size[0] / self.before[0], self.size[1] / self.before[1]

    def point(self, x: int, y: int) -> tuple[float, float]:
        if self.crosses:
            x, y = y, x
        if self.orientation in (2, 3, 6, 7):
            x = self.before[0] - 1 - x
        if self.orientation in (3, 4, 7, 8):
            y = self.before[1] - 1 - y
        return x * self.factors[0], y * self.factors[1]

    def subject(self, numbers: tuple[int, ...]) -> list[float]:
        """A point, and behind it nothing, a circle's diameter, or a rectangle's width and height."""
        x, y, *extent = numbers
        if self.crosses:
            extent.reverse()
        return [*self.point(x, y), *(side * factor for side, factor in zip(extent, self.factors, strict=False))]


class _Patch:
    """A block whose values are set one by one."""

    def __init__(self, found: bytes) -> None:
        self.data = bytearray(found)
        self.main, self.shot, _ = blocks.directories_of(blocks.structures(found))

    def sizes(self) -> list[tuple[blocks.Place | None, dict[int, int]]]:
        related = blocks.pointed(self.shot, directories.INTEROPERABILITY)
        return [(self.main, _SIZES), (self.shot, _EXIF_SIZES), (related, _RELATED_SIZES)]

    def set(self, place: blocks.Place | None, new: dict[int, int]) -> int | None:
        """Gives single numbers a new value; returns the last old one."""
        old = None
        for entry in blocks.entries(place):
            assert place is not None
            code = _CODES.get(entry.kind)
            if entry.tag not in new or code is None or entry.values != 1:
                continue
            old = place[0].number(entry)
            if old is not None and new[entry.tag] < 1 << 8 * entry.size:
                struct.pack_into(place[0].order + code, self.data, entry.at, new[entry.tag])
        return old

    def map(self, places: _Map) -> None:
        """What the directory of the shot tells in pixels: where the subject is, how fine the sensor was."""
        assert self.main is not None
        order, fine = self.main[0].order, dict[int, Entry]()
        for entry in blocks.entries(self.shot):
            if entry.at + entry.size > len(self.data):
                continue
            if entry.tag in _SUBJECTS and entry.kind == _SHORT and 2 <= entry.values <= 4:
                code = f"{order}{entry.values}H"
                new = places.subject(struct.unpack_from(code, self.data, entry.at))
                struct.pack_into(code, self.data, entry.at, *(min(max(round(side), 0), 0xFFFF) for side in new))
            if entry.tag in _SENSOR and entry.kind == _RATIONAL and entry.values == 1:
                fine[entry.tag] = entry
        if len(fine) == len(_SENSOR):
            old = [struct.unpack_from(order + "II", self.data, fine[tag].at) for tag in _SENSOR]
            for tag, (above, below), factor in zip(
                _SENSOR, old[:: -1 if places.crosses else 1], places.factors, strict=True
            ):
                struct.pack_into(order + "II", self.data, fine[tag].at, min(round(above * factor), 0xFFFFFFFF), below)

    def turn_thumbnail(self, orientation: int) -> None:
        """A thumbnail lies as the picture lay. One that cannot be turned is cut off."""
        assert self.main is not None
        structure, first = self.main
        pointer = structure.following(first)
        offset = structure.offset_at(pointer) if pointer else 0
        if not offset:
            return
        second = (structure, offset)
        known = {entry.tag: structure.number(entry) or 0 for entry in blocks.entries(second)}
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
