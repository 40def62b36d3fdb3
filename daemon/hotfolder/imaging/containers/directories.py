"""The first page of a TIFF as its directory describes it: enough to say which decoder shows it right.

TIFF 6.0 and BigTIFF. Only numbers are read, none of them trusted: offsets that lead out of the file give no value.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

TAGS = {
    256: "width", 257: "height", 258: "bits", 259: "compression", 262: "photometric", 274: "orientation",
    277: "samples", 284: "planar", 339: "sample_format",
}  # fmt: skip
ICC = 34675
DNG_VERSION = 50706
ENTRIES_MAX = 4096
UINT, SINT, FLOAT = 1, 2, 3
"""Values of `sample_format`."""
WHITE_IS_ZERO = 0
SEPARATE = 2
PLAIN = 1
"""Compression: none."""


@dataclass(frozen=True, slots=True)
class Page:
    """Pixels, bits a sample, and the tags by their values; `icc` is the embedded profile."""

    width: int = 0
    height: int = 0
    bits: int = 1
    compression: int = 1
    photometric: int = 1
    orientation: int = 1
    samples: int = 1
    planar: int = 1
    sample_format: int = UINT
    icc: bytes = b""
    is_dng: bool = False

    def __str__(self) -> str:
        kind = {SINT: "signed ", FLOAT: "float "}.get(self.sample_format, "")
        layout = ", planes apart" if self.planar == SEPARATE else ""
        return (
            f"a TIFF of {self.samples} × {self.bits} bits {kind}({layout.removeprefix(', ') or 'interleaved'}, "
            f"photometric {self.photometric}, compression {self.compression})"
        )


def first_page(data: bytes) -> Page | None:
    """None where the file has no directory that can be read."""
    try:
        return _page(data)
    except (struct.error, IndexError, OverflowError):  # offsets may have 64 bits
        return None


def _page(data: bytes) -> Page | None:
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return None
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    start = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
    count = struct.unpack_from(order + ("Q" if big else "H"), data, start)[0]
    entry = struct.Struct(order + ("HHQ" if big else "HHI"))
    step, inline = (20, 8) if big else (12, 4)
    at = start + (8 if big else 2)
    found: dict[str, int] = {}
    icc, is_dng = b"", False
    for number in range(min(count, ENTRIES_MAX)):
        tag, kind, length = entry.unpack_from(data, at + number * step)
        here = at + number * step + step - inline
        size = {1: 1, 3: 2, 4: 4, 7: 1, 16: 8}.get(kind)
        if size is None:
            continue
        if size * length > inline:
            here = struct.unpack_from(order + ("Q" if big else "I"), data, here)[0]
        if tag in TAGS and length:
            code = {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
            found[TAGS[tag]] = struct.unpack_from(order + code, data, here)[0]
        elif tag == ICC:
            icc = data[here : here + size * length]
        is_dng = is_dng or tag == DNG_VERSION
    return Page(**found, icc=icc, is_dng=is_dng)
