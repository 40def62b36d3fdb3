"""ICC profiles made here: of matrix and curve, from primaries and a transfer function; and which ones are linear.

Profiles are version 4 (ICC.1:2022); code points are those of ITU-T H.273, as in CICP (`cICP`, `nclx`).
"""

from __future__ import annotations

import struct
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
_D50 = (0.96420, 1.0, 0.82491)


@dataclass(frozen=True, slots=True)
class Space:
    """A colour space of three primaries (adapted to D50, one column each, as ICC has it) and one curve.

    `gamma` None stands for sRGB's curve.
    """

    name: str
    columns: Matrix
    gamma: float | None = None

    def profile(self) -> bytes:
        """The space as an ICC profile."""
        return _profile(self)


def of_cicp(primaries: int, transfer: int) -> Space | None:
    """None for sRGB itself, and for code points that say nothing."""
    gamma = GAMMAS.get(transfer)
    if primaries not in PRIMARIES or (primaries == BT709 and gamma is None):
        return None
    name = {1: "BT.709", 9: "BT.2020", 11: "DCI P3", 12: "Display P3"}.get(primaries, f"CICP {primaries}")
    return Space(name if gamma is None else f"{name}, gamma {gamma:g}", columns(*PRIMARIES[primaries]), gamma)


def columns(red: Chromaticity, green: Chromaticity, blue: Chromaticity, white: Chromaticity) -> Matrix:
    """From linear RGB to XYZ under D50 (Bradford), rows X, Y, Z. Raises ZeroDivisionError for what is no triangle."""
    xyz = _transposed(tuple(_xyz(each) for each in (red, green, blue)))
    target = _xyz(white)
    scale = _apply(_inverse(xyz), target)
    scaled = tuple(tuple(row[i] * scale[i] for i in range(3)) for row in xyz)
    cone, cone_d50 = _apply(_BRADFORD, target), _apply(_BRADFORD, _D50)
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
        if not all(_is_straight(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")):
            return None
        rows = _transposed(tuple(_s15(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")))
    except (KeyError, struct.error, IndexError):
        return None
    return Space("From linear light", rows, 1.0)


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = [struct.unpack_from(">4sII", profile, 132 + 12 * at) for at in range(min(count, 100))]
    return {name: profile[start : start + length] for name, start, length in entries}


def _is_straight(curve: bytes) -> bool:
    if curve[:4] == b"curv":
        (count,) = struct.unpack_from(">I", curve, 8)
        return count == 0 or (count == 1 and curve[12:14] == b"\x01\x00")
    kind, gamma = struct.unpack_from(">HxxI", curve, 8)
    return curve[:4] == b"para" and kind == 0 and gamma == 0x10000


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


def _profile(space: Space) -> bytes:
    def s15(*numbers: float) -> bytes:
        return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)

    def text(words: str) -> bytes:
        encoded = words.encode("utf-16-be")
        return b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(encoded), 28) + encoded

    def xyz(*numbers: float) -> bytes:
        return b"XYZ \0\0\0\0" + s15(*numbers)

    if space.gamma is None:
        curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + s15(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    else:
        curve = b"para\0\0\0\0" + struct.pack(">HH", 0, 0) + s15(space.gamma)
    red, green, blue = _transposed(space.columns)
    tags = {
        b"desc": text(space.name),
        b"cprt": text("Public domain"),
        b"wtpt": xyz(*_D50),
        b"rXYZ": xyz(*red),
        b"gXYZ": xyz(*green),
        b"bXYZ": xyz(*blue),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + b"\0" * (-len(value) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"\0\0\0\0", 0x04000000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + b"\0" * 28 + s15(*_D50)
    return head.ljust(128, b"\0") + table + body
