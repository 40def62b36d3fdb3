"""Which colour space a file declares beside an ICC profile: by code points (CICP), or by a gamma and primaries.

ITU-T H.273 (code points), ISO/IEC 23008-12 (the boxes of an item). Nothing is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hotfolder.imaging.colour import profiles
from hotfolder.imaging.containers.boxes import Box

SRGB_GAMMA = 1 / 2.2


@dataclass(frozen=True, slots=True)
class Cicp:
    """`colour_primaries` and `transfer_characteristics` of H.273, and the brightest pixel in cd/m² where it is told."""

    primaries: int
    transfer: int
    peak: float | None = None

    @property
    def is_hdr(self) -> bool:
        return self.transfer in (profiles.PQ, profiles.HLG)


def by_gamma(info: Mapping[Any, Any], *, grey: bool) -> profiles.Space | None:
    """What gAMA and cHRM say, where neither sRGB nor a profile stands beside them; None for what is sRGB anyway. Of a
    `grey` picture only the gamma counts."""
    if "srgb" in info or "gamma" not in info:
        return None
    gamma, points = info["gamma"], info.get("chromaticity")
    primaries = profiles.PRIMARIES[profiles.BT709]
    if points and not grey:
        white, *colours = zip(points[::2], points[1::2], strict=True)
        primaries = (*colours, white)
    usual = profiles.PRIMARIES[profiles.BT709]
    same = all(abs(a - b) < 0.003 for one, two in zip(primaries, usual, strict=True) for a, b in zip(one, two))  # noqa: B905
    curve = None if abs(gamma - SRGB_GAMMA) < 0.01 else 1 / gamma if 0.1 <= gamma <= 2 else None
    if same and curve is None:
        return None
    try:
        return profiles.Space("From gAMA and cHRM", None if grey else profiles.columns(*primaries), curve)
    except ZeroDivisionError:
        return None


def of_properties(data: bytes, said: Iterable[Box]) -> Cicp | None:
    """What the properties of a picture in an ISO base media file declare (ISO/IEC 23008-12); None where they declare
    nothing, or nothing that can be read."""
    found: Cicp | None = None
    peak: float | None = None
    try:
        for each in said:
            if each.kind == b"colr" and data[each.body : each.body + 4] == b"nclx":
                found = Cicp(*struct.unpack_from(">HH", data, each.body + 4))
            elif each.kind == b"clli":
                peak = float(struct.unpack_from(">H", data, each.body)[0]) or None
    except struct.error:
        return None
    return Cicp(found.primaries, found.transfer, peak) if found else None


def is_video_range(data: bytes, said: Iterable[Box]) -> bool:
    """Whether these properties say that a picture uses the codes of television alone."""
    for each in said:
        if each.kind == b"colr" and data[each.body : each.body + 4] == b"nclx" and each.body + 11 <= each.end:
            return not data[each.body + 10] & 0x80
    return False
