"""What moves the pixels of a picture in ISO boxes: its clean aperture, turns and mirrors, one after another as they are
said (ISO/IEC 23008-12, 6.3, 6.5.9, 6.5.10, 6.5.12)."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from hotfolder.imaging.containers.boxes import Box

Part = tuple[int, int, int, int]
"""Left, upper, right, lower."""
_Axis = tuple[int, int, int]
"""Where a place lies in the picture as it is coded: so often x, so often y, and so much more."""

_ORIENTATIONS = {
    ((1, 0), (0, 1)): 1,
    ((-1, 0), (0, 1)): 2,
    ((-1, 0), (0, -1)): 3,
    ((1, 0), (0, -1)): 4,
    ((0, 1), (1, 0)): 5,
    ((0, 1), (-1, 0)): 6,
    ((0, -1), (-1, 0)): 7,
    ((0, -1), (1, 0)): 8,
}
"""EXIF's, by how often x and y of what is shown count in those of what is coded."""


class Moved(NamedTuple):
    """The part of the picture, as it is coded, that is to be seen, and EXIF's orientation for it."""

    part: Part
    orientation: int


def moved(data: bytes, said: list[Box], size: tuple[int, int]) -> Moved:
    """What these properties make of a picture of this size. An aperture that is no part of what is there by then is
    that of the whole picture, before any turn, where most readers have it; where it is no part of that, it is passed
    over."""
    steps = [each for each in said if each.kind in (b"clap", b"irot", b"imir")]
    turns = [each for each in steps if each.kind != b"clap"]
    for order in (steps, sorted(steps, key=lambda each: each.kind != b"clap")):
        try:
            return _moved(data, order, size)
        except ValueError:
            continue
    return _moved(data, turns, size)


def _moved(data: bytes, steps: Iterable[Box], size: tuple[int, int]) -> Moved:
    """In this order. Raises ValueError for an aperture that is none."""
    across: _Axis = (1, 0, 0)
    down: _Axis = (0, 1, 0)
    wide, high = size
    for step in steps:
        value = data[step.body] if step.body < step.end else 0
        if step.kind == b"irot":
            for _ in range(value & 3):
                across, down = _quarter(across, wide), _quarter(down, wide)
                wide, high = high, wide
        elif step.kind == b"imir":
            across, down = (_mirrored(axis, wide, high, value & 1) for axis in (across, down))
        else:
            left, upper, right, lower = _aperture(data, step, (wide, high))
            across, down = ((x, y, more + x * left + y * upper) for x, y, more in (across, down))
            wide, high = right - left, lower - upper
    (left, right), (upper, lower) = (sorted((more, more + x * wide + y * high)) for x, y, more in (across, down))
    return Moved((left, upper, right, lower), _ORIENTATIONS[across[:2], down[:2]])


def _quarter(axis: _Axis, wide: int) -> _Axis:
    """Anticlockwise."""
    x, y, more = axis
    return (y, -x, more + x * wide)


def _mirrored(axis: _Axis, wide: int, high: int, sideways: int) -> _Axis:
    x, y, more = axis
    return (-x, y, more + x * wide) if sideways else (x, -y, more + y * high)


def _aperture(data: bytes, said: Box, size: tuple[int, int]) -> Part:
    """The part of a picture of this size, in whole pixels, the nearest ones. Raises ValueError where it is none."""
    try:
        wide, wide_by, high, high_by, x, x_by, y, y_by = struct.unpack_from(">IIIIiIiI", data, said.body)
        width, height = Fraction(wide, wide_by), Fraction(high, high_by)
        left = Fraction(x, x_by) + (size[0] - width) / 2
        upper = Fraction(y, y_by) + (size[1] - height) / 2
    except (struct.error, ZeroDivisionError) as error:
        raise ValueError("an aperture without size") from error
    part = (_whole(left), _whole(upper), _whole(left + width), _whole(upper + height))
    if not (0 <= part[0] < part[2] <= size[0] and 0 <= part[1] < part[3] <= size[1]):
        raise ValueError("an aperture beyond the picture")
    return part


def _whole(edge: Fraction) -> int:
    return math.floor(edge + Fraction(1, 2))
