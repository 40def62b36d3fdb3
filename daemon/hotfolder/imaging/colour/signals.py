"""Which colour space a file declares beside an ICC profile: by code points (CICP), or by a gamma and primaries.

ITU-T H.273 (code points), ISO/IEC 23008-12 (the boxes of an item). Nothing is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hotfolder.imaging.colour import profiles
from hotfolder.imaging.containers import Endless, boxes

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


def of_primary_item(data: bytes) -> Cicp | None:
    """What the primary item of an ISO base media file declares (ISO/IEC 23008-12); None where it declares
    nothing, or nothing that can be read."""
    try:
        return _of_primary_item(data)
    except (struct.error, IndexError, Endless):
        return None


def _of_primary_item(data: bytes) -> Cicp | None:
    outer = _by_kind(data, 0, len(data))
    if b"meta" not in outer:
        return None
    meta = _by_kind(data, outer[b"meta"].body + 4, outer[b"meta"].end)
    if b"pitm" not in meta or b"iprp" not in meta:
        return None
    start = meta[b"pitm"].body
    (primary,) = struct.unpack_from(">I" if data[start] else ">H", data, start + 4)
    inner = _by_kind(data, meta[b"iprp"].body, meta[b"iprp"].end)
    if b"ipco" not in inner or b"ipma" not in inner:
        return None
    properties = list(boxes.inside(data, inner[b"ipco"].body, inner[b"ipco"].end))
    found: Cicp | None = None
    peak: float | None = None
    for number in _associated(data, inner[b"ipma"].body, primary):
        if not 0 < number <= len(properties):
            continue
        kind, at = properties[number - 1].kind, properties[number - 1].body
        if kind == b"colr" and data[at : at + 4] == b"nclx":
            found = Cicp(*struct.unpack_from(">HH", data, at + 4))
        elif kind == b"clli":
            peak = float(struct.unpack_from(">H", data, at)[0]) or None
    return Cicp(found.primaries, found.transfer, peak) if found else None


def _by_kind(data: bytes, at: int, end: int) -> dict[bytes, boxes.Box]:
    """The last box of each kind."""
    return {box.kind: box for box in boxes.inside(data, at, end)}


def _associated(data: bytes, at: int, item: int) -> Iterator[int]:
    """Numbers, from 1, of the properties of an item (`ipma`)."""
    version, wide = data[at], data[at + 3] & 1
    (entries,) = struct.unpack_from(">I", data, at + 4)
    at += 8
    for _ in range(min(entries, boxes.MOST)):
        (here,) = struct.unpack_from(">I" if version else ">H", data, at)
        at += 4 if version else 2
        count = data[at]
        at += 1
        for _ in range(count):
            number = struct.unpack_from(">H", data, at)[0] & 0x7FFF if wide else data[at] & 0x7F
            at += 2 if wide else 1
            if here == item:
                yield number
