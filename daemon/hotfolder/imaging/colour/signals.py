"""Which colour space a file declares beside an ICC profile: CICP in AVIF, HEIF and PNG, and PNG's older chunks.

ISO/IEC 23008-12 (boxes), ITU-T H.273 (code points), PNG third edition (cICP, cLLI, gAMA, cHRM). Nothing is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hotfolder.imaging.colour import profiles

BOXES_MAX = 4096
SRGB_GAMMA = 1 / 2.2
PNG_HEAD_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Cicp:
    """`colour_primaries` and `transfer_characteristics` of H.273, and the brightest pixel in cd/m² where it is told."""

    primaries: int
    transfer: int
    peak: float | None = None

    @property
    def is_hdr(self) -> bool:
        return self.transfer in (profiles.PQ, profiles.HLG)


def cicp_of(kind: str, data: bytes) -> Cicp | None:
    """What the picture that is shown declares; None where it says nothing, or what it says cannot be read."""
    try:
        if kind in ("avif", "heif"):
            return _of_primary_item(data)
        return _of_png(data) if kind == "png" else None
    except (struct.error, IndexError, OverflowError):
        return None


def png_space(info: Mapping[Any, Any]) -> profiles.Space | None:
    """What gAMA and cHRM say, where neither sRGB nor a profile stands beside them; None for what is sRGB anyway."""
    if "srgb" in info or "gamma" not in info:
        return None
    gamma, points = info["gamma"], info.get("chromaticity")
    primaries = profiles.PRIMARIES[profiles.BT709]
    if points:
        white, *colours = zip(points[::2], points[1::2], strict=True)
        primaries = (*colours, white)
    usual = profiles.PRIMARIES[profiles.BT709]
    same = all(abs(a - b) < 0.003 for one, two in zip(primaries, usual, strict=True) for a, b in zip(one, two))  # noqa: B905
    curve = None if abs(gamma - SRGB_GAMMA) < 0.01 else 1 / gamma if 0.1 <= gamma <= 2 else None
    if same and curve is None:
        return None
    try:
        return profiles.Space("From gAMA and cHRM", profiles.columns(*primaries), curve)
    except ZeroDivisionError:
        return None


def _of_png(data: bytes) -> Cicp | None:
    found: dict[bytes, bytes] = {}
    at = 8
    for _ in range(PNG_HEAD_MAX):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"IDAT", b"IEND"):
            break
        found[kind] = data[at + 8 : at + 8 + min(length, 64)]
        at += 12 + length
    if b"cICP" not in found:
        return None
    light = struct.unpack(">I", found[b"cLLI"][:4])[0] / 10_000 if b"cLLI" in found else None
    return Cicp(found[b"cICP"][0], found[b"cICP"][1], light or None)


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each box."""
    for _ in range(BOXES_MAX):
        if at + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1:
            (length,), head = struct.unpack_from(">Q", data, at + 8), 16
        length = length or end - at
        if length < head or at + length > end:
            return
        yield kind, at + head, at + length
        at += length


def _of_primary_item(data: bytes) -> Cicp | None:
    parts = {kind: span for kind, *span in _boxes(data, 0, len(data))}
    if b"meta" not in parts:
        return None
    meta = {kind: span for kind, *span in _boxes(data, parts[b"meta"][0] + 4, parts[b"meta"][1])}
    if b"pitm" not in meta or b"iprp" not in meta:
        return None
    start = meta[b"pitm"][0]
    (primary,) = struct.unpack_from(">I" if data[start] else ">H", data, start + 4)
    inner = {kind: span for kind, *span in _boxes(data, *meta[b"iprp"])}
    properties = list(_boxes(data, *inner[b"ipco"])) if b"ipco" in inner else []
    found: Cicp | None = None
    peak: float | None = None
    for number in _associated(data, inner[b"ipma"][0], primary) if b"ipma" in inner else ():
        if not 0 < number <= len(properties):
            continue
        kind, at, _ = properties[number - 1]
        if kind == b"colr" and data[at : at + 4] == b"nclx":
            found = Cicp(*struct.unpack_from(">HH", data, at + 4))
        elif kind == b"clli":
            peak = float(struct.unpack_from(">H", data, at)[0]) or None
    return Cicp(found.primaries, found.transfer, peak) if found else None


def _associated(data: bytes, at: int, item: int) -> Iterator[int]:
    """Numbers, from 1, of the properties of an item (`ipma`)."""
    version, wide = data[at], data[at + 3] & 1
    (entries,) = struct.unpack_from(">I", data, at + 4)
    at += 8
    for _ in range(min(entries, BOXES_MAX)):
        (here,) = struct.unpack_from(">I" if version else ">H", data, at)
        at += 4 if version else 2
        count = data[at]
        at += 1
        for _ in range(count):
            number = struct.unpack_from(">H", data, at)[0] & 0x7FFF if wide else data[at] & 0x7F
            at += 2 if wide else 1
            if here == item:
                yield number
