"""A camera RAW in a few lines: a DNG (1.4) with a mosaic of one colour and, where asked, an embedded JPEG preview."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np

Entry = tuple[int, int, tuple[int, ...] | bytes]


def dng(
    red: int = 3000,
    width: int = 256,
    height: int = 128,
    orientation: int = 1,
    preview: bytes = b"",
    preview_size: tuple[int, int] = (0, 0),
) -> bytes:
    """Red of strength `red` (of 4095) in the upper left quarter, green everywhere else, as the sensor sees it."""
    mosaic = np.full((height, width), 64, np.uint16)
    mosaic[0::2, 1::2] = mosaic[1::2, 0::2] = 2500
    corner = mosaic[: height // 2, : width // 2]
    corner[:] = 64
    corner[0::2, 0::2] = red
    pixels = mosaic.tobytes()
    matrix = b"".join(
        struct.pack("<ii", round(v * 10000), 10000)
        for v in (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)
    )
    raw: list[Entry] = [
        (254, 4, (0,)),
        (256, 4, (width,)),
        (257, 4, (height,)),
        (258, 3, (16,)),
        (259, 3, (1,)),
        (262, 3, (32803,)),
        (273, 4, (0,)),
        (277, 3, (1,)),
        (278, 4, (height,)),
        (279, 4, (len(pixels),)),
        (284, 3, (1,)),
        (33421, 3, (2, 2)),
        (33422, 1, b"\0\1\1\2"),
        (50717, 4, (4095,)),
    ]
    general: list[Entry] = [
        (271, 2, b"Acme\0"),
        (272, 2, b"Box\0"),
        (274, 3, (orientation,)),
        (50706, 1, b"\1\4\0\0"),
        (50708, 2, b"Acme Box\0"),
        (50721, 10, matrix),
        (50728, 5, struct.pack("<6I", 1, 1, 1, 1, 1, 1)),
        (50778, 3, (21,)),
    ]
    if not preview:
        return _tiff([(sorted([*general, *raw]), pixels)])
    wide, high = preview_size
    shown: list[Entry] = [
        (254, 4, (1,)),
        (256, 4, (wide,)),
        (257, 4, (high,)),
        (258, 3, (8, 8, 8)),
        (259, 3, (7,)),
        (262, 3, (6,)),
        (273, 4, (0,)),
        (277, 3, (3,)),
        (278, 4, (high,)),
        (279, 4, (len(preview),)),
        (330, 4, (0,)),
    ]
    return _tiff([(sorted([*general, *shown]), preview), (raw, pixels)])


def _tiff(directories: Iterable[tuple[list[Entry], bytes]]) -> bytes:
    """Directories one behind the other; StripOffsets (273) of each is its data, SubIFDs (330) the next directory."""
    out = bytearray(b"II*\0\x08\0\0\0")
    for entries, data in directories:
        start = len(out)
        room = 2 + 12 * len(entries) + 4
        extra = bytearray()
        values = {tag: _bytes(kind, value) for tag, kind, value in entries}
        places = {}
        for tag, value in values.items():
            if len(value) > 4:
                places[tag] = start + room + len(extra)
                extra += value + b"\0" * (len(value) & 1)
        at = start + room + len(extra)
        values[273] = struct.pack("<I", at)
        if 330 in values:
            values[330] = struct.pack("<I", at + len(data) + (len(data) & 1))
        out += struct.pack("<H", len(entries))
        for tag, kind, _ in entries:
            value = values[tag]
            count = len(value) // {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 10: 8}[kind]
            out += struct.pack("<HHI", tag, kind, count)
            out += struct.pack("<I", places[tag]) if tag in places else value.ljust(4, b"\0")
        out += bytes(4) + extra + data + b"\0" * (len(data) & 1)
    return bytes(out)


def _bytes(kind: int, value: tuple[int, ...] | bytes) -> bytes:
    return value if isinstance(value, bytes) else struct.pack("<" + {3: "H", 4: "I"}[kind] * len(value), *value)
