"""ICC profiles made here: of matrix and curve, from primaries and a transfer function; what the curves of others do.

Profiles are version 4 (ICC.1:2022); code points are those of ITU-T H.273, as in CICP (`cICP`, `nclx`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

Matrix = tuple[tuple[float, float, float], ...]
Chromaticity = tuple[float, float]

D65 = (0.3127, 0.3290)
PRIMARIES: dict[int, tuple[Chromaticity, ...]] = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), D65),
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
}
"""Red, green, blue and white by `colour_primaries`."""
BT709 = 1
PQ, HLG, LINEAR = 16, 18, 8
GAMMAS = {4: 2.2, 5: 2.8, LINEAR: 1.0}
"""Pure powers by `transfer_characteristics`. All others that are not HDR count as sRGB's curve, those of BT.709 and
BT.601 too: that is how their makers looked at them, and how browsers show them."""
_BRADFORD: Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
STRAIGHT = 0.004
"""So near to a straight line a curve counts as one, of 1: a step of eight bits."""
_MODEL, _PCS = slice(16, 20), slice(20, 24)
"""Where a profile tells its colour model and what it connects to."""
_TABLES = frozenset({b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1"})
"""Tags that stand in place of primaries and curves where they are there."""
D50 = (0.96420, 1.0, 0.82491)


@dataclass(frozen=True, slots=True)
class Space:
    """A colour space of three primaries (adapted to D50, one column each, as ICC has it) and one curve.

    No `columns`: grey. `gamma` None stands for sRGB's curve.
    """

    name: str
    columns: Matrix | None
    gamma: float | None = None

    def profile(self) -> bytes:
        """The space as an ICC profile."""
        return _profile(self)


def of_cicp(primaries: int, transfer: int, *, grey: bool = False) -> Space | None:
    """None for sRGB itself, and for code points that say nothing. Of a `grey` picture only the curve counts."""
    gamma = GAMMAS.get(transfer)
    if primaries not in PRIMARIES or (gamma is None and (grey or primaries == BT709)):
        return None
    name = {1: "BT.709", 9: "BT.2020", 11: "DCI P3", 12: "Display P3"}.get(primaries, f"CICP {primaries}")
    name = name if gamma is None else f"{name}, gamma {gamma:g}"
    return Space(name, None if grey else columns(*PRIMARIES[primaries]), gamma)


def columns(red: Chromaticity, green: Chromaticity, blue: Chromaticity, white: Chromaticity) -> Matrix:
    """From linear RGB to XYZ under D50 (Bradford), rows X, Y, Z. Raises ZeroDivisionError for what is no triangle."""
    xyz = _transposed(tuple(_xyz(each) for each in (red, green, blue)))
    target = _xyz(white)
    scale = _apply(_inverse(xyz), target)
    scaled = tuple(tuple(row[i] * scale[i] for i in range(3)) for row in xyz)
    cone, cone_d50 = _apply(_BRADFORD, target), _apply(_BRADFORD, D50)
    gains = tuple(tuple(cone_d50[i] / cone[i] if i == j else 0.0 for j in range(3)) for i in range(3))
    return multiply(multiply(_inverse(_BRADFORD), multiply(gains, _BRADFORD)), scaled)  # type: ignore[arg-type]


def between(source: int, target: int = BT709) -> Matrix:
    """From linear RGB of one `colour_primaries` to that of another."""
    return multiply(_inverse(columns(*PRIMARIES[target])), columns(*PRIMARIES.get(source, PRIMARIES[BT709])))


@cache
def display_p3() -> bytes:
    """DCI-P3 primaries, the white of D65, the curve of sRGB."""
    return Space("Display P3", columns(*PRIMARIES[12])).profile()


def linear_space(profile: bytes) -> Space | None:
    """The primaries of a profile whose curves are straight lines; None for any other, broken ones too."""
    try:
        tags = _tags(profile)
        names = [b"kTRC"] if is_grey(profile) else [b"rTRC", b"gTRC", b"bTRC"]
        if profile[_PCS] != b"XYZ " or _TABLES & tags.keys() or not all(_is_straight(tags[name]) for name in names):
            return None
        rows = None
        if len(names) == 3:
            rows = _transposed(tuple(_s15(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")))
    except (KeyError, struct.error, IndexError, ArithmeticError):
        return None
    return Space("From linear light", rows, 1.0)


def is_grey(profile: bytes) -> bool:
    """Whether it is one for grey pictures."""
    return profile[_MODEL] == b"GRAY"


def coloured(profile: bytes) -> bytes:
    """A profile for grey as one for RGB that means the same where the three are equal: formats and transforms that know
    no grey take it. Raises ValueError for what has no curve that can be read."""
    try:
        tags = _tags(profile)
        curve = tags[b"kTRC"]
        if _TABLES & tags.keys():
            raise KeyError("tables in place of the curve")
        if profile[_PCS] != b"XYZ ":  # Lab: the curve makes lightness of the numbers
            steps = (_of_lightness(_at(curve, step / 4095)) for step in range(4096))
            curve = b"curv\0\0\0\0" + struct.pack(">I4096H", 4096, *(round(65535 * min(1, step)) for step in steps))
        _at(curve, 0.5)
    except (KeyError, struct.error, IndexError, ArithmeticError) as error:
        raise ValueError("a profile for grey without its curve") from error
    return _profile(Space("Grey", columns(*PRIMARIES[BT709])), curve)


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = [struct.unpack_from(">4sII", profile, 132 + 12 * at) for at in range(min(count, 100))]
    return {name: profile[start : start + length] for name, start, length in entries}


def _is_straight(curve: bytes) -> bool:
    return all(abs(_at(curve, step / 64) - step / 64) < STRAIGHT for step in range(65))


def _at(curve: bytes, x: float) -> float:
    """What a curve of ICC.1:2022 (10.6, 10.18) makes of a number from 0 to 1."""
    kind = curve[:4]
    if kind == b"curv":
        (count,) = struct.unpack_from(">I", curve, 8)
        if count == 0:
            return x
        if count == 1:
            return float(x ** (struct.unpack_from(">H", curve, 12)[0] / 256))
        below = min(int(x * (count - 1)), count - 2)
        low, high = struct.unpack_from(">HH", curve, 12 + 2 * below)
        return float(low + (high - low) * (x * (count - 1) - below)) / 65535
    if kind != b"para":
        raise IndexError("no curve")
    (function,) = struct.unpack_from(">H", curve, 8)
    g, *rest = (n / 65536 for n in struct.unpack_from(f">{(1, 3, 4, 5, 7)[function]}i", curve, 12))
    a, b, c, d, e, f = _PARAMETERS[function](*rest)
    return float(max(a * x + b, 0.0) ** g + e if x >= d else c * x + f)


_PARAMETERS: tuple[Callable[..., tuple[float, ...]], ...] = (
    lambda: (1, 0, 0, 0, 0, 0),
    lambda a, b: (a, b, 0, -b / a, 0, 0),
    lambda a, b, c: (a, b, 0, -b / a, c, c),
    lambda a, b, c, d: (a, b, c, d, 0, 0),
    lambda a, b, c, d, e, f: (a, b, c, d, e, f),
)
"""Of the five kinds of parametric curves, as (a, b, c, d, e, f) of the last and longest."""


def _of_lightness(lightness: float) -> float:
    """CIE's L* from 0 to 1 as light."""
    return float(((100 * lightness + 16) / 116) ** 3) if lightness > 0.08 else 100 * lightness / 903.3


def _s15(tag: bytes) -> tuple[float, float, float]:
    x, y, z = struct.unpack_from(">3i", tag, 8)
    return (x / 65536, y / 65536, z / 65536)


def _xyz(at: Chromaticity) -> tuple[float, float, float]:
    x, y = at
    return (x / y, 1.0, (1 - x - y) / y)


def _transposed(rows: Matrix) -> Matrix:
    return tuple(zip(*rows, strict=True))


def _apply(matrix: Matrix, vector: tuple[float, float, float]) -> tuple[float, float, float]:
    x, y, z = (sum(row[i] * vector[i] for i in range(3)) for row in matrix)
    return (x, y, z)


def multiply(left: Matrix, right: Matrix) -> Matrix:
    turned = _transposed(right)
    return tuple(_apply(turned, row) for row in left)


def _inverse(m: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = m
    cofactors = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    determinant = a * cofactors[0][0] + b * cofactors[1][0] + c * cofactors[2][0]
    return tuple((x / determinant, y / determinant, z / determinant) for x, y, z in cofactors)


def _profile(space: Space, curve: bytes = b"") -> bytes:
    """The profile of a space, or of its primaries with another curve."""

    def s15(*numbers: float) -> bytes:
        return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)

    def text(words: str) -> bytes:
        encoded = words.encode("utf-16-be")
        return b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(encoded), 28) + encoded

    def xyz(*numbers: float) -> bytes:
        return b"XYZ \0\0\0\0" + s15(*numbers)

    if not curve and space.gamma is None:
        curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + s15(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    elif not curve:
        curve = b"para\0\0\0\0" + struct.pack(">HH", 0, 0) + s15(space.gamma or 1.0)
    tags = {b"desc": text(space.name), b"cprt": text("Public domain"), b"wtpt": xyz(*D50)}
    if space.columns is None:
        tags[b"kTRC"] = curve
    else:
        tags.update(zip((b"rXYZ", b"gXYZ", b"bXYZ"), (xyz(*each) for each in _transposed(space.columns)), strict=True))
        tags.update(dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + b"\0" * (-len(value) % 4)
    model = b"GRAY" if space.columns is None else b"RGB "
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"\0\0\0\0", 0x04000000, b"mntr", model, b"XYZ ")
    head += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + b"\0" * 28 + s15(*D50)
    return head.ljust(128, b"\0") + table + body
