"""TIFFs of any layout, written by hand: what libraries write is what libraries read."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Samples = np.ndarray[Any, Any]


def lzw(data: bytes) -> bytes:
    """Literals alone, of nine bits: a clear code comes before they would grow."""
    codes = []
    for at in range(0, len(data), 200):
        codes += [256, *data[at : at + 200]]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def packbits(data: bytes) -> bytes:
    return b"".join(bytes([len(data[at : at + 100]) - 1]) + data[at : at + 100] for at in range(0, len(data), 100))


PACKED: dict[int, Callable[[bytes], bytes]] = {1: bytes, 5: lzw, 8: zlib.compress, 32773: packbits}
"""By compression."""


@dataclass
class Page:
    """One page: rows of pixels of samples of 8 or 16 bits."""

    samples: Samples
    photometric: int = 2
    compression: int = 1
    predictor: int = 1
    rows: int = 20
    """In a strip."""
    tile: int = 0
    apart: bool = False
    tags: dict[int, tuple[int, ...] | bytes] = field(default_factory=dict)

    def pieces(self, order: str) -> list[bytes]:
        """Its strips or tiles, packed."""
        high, wide, count = self.samples.shape
        planes = [self.samples[..., n : n + 1] for n in range(count)] if self.apart else [self.samples]
        step, across = (self.tile, self.tile) if self.tile else (self.rows, wide)
        found = []
        for plane in planes:
            for top in range(0, high, step):
                for left in range(0, wide, across):
                    part = plane[top : top + step, left : left + across]
                    if self.tile:
                        missing = ((0, step - part.shape[0]), (0, across - part.shape[1]), (0, 0))
                        part = np.pad(part, missing)
                    if self.predictor == 2:
                        part = np.diff(part, axis=1, prepend=part[:, :1] * 0)
                    found.append(PACKED[self.compression](part.astype(part.dtype.newbyteorder(order)).tobytes()))
        return found


def tiff(*pages: Page, order: str = "<", big: bool = False) -> bytes:
    """A file of these pages."""
    mark = b"II" if order == "<" else b"MM"
    data = bytearray(mark + (struct.pack(order + "HHHQ", 43, 8, 0, 0) if big else struct.pack(order + "HI", 42, 0)))
    link = 8 if big else 4
    word, head = ("Q", "HHQ") if big else ("I", "HHI")
    for page in pages:
        places = []
        pieces = page.pieces(order)
        for piece in pieces:
            places.append(len(data))
            data += piece
        high, wide, count = page.samples.shape
        bits = page.samples.dtype.itemsize * 8
        tags: dict[int, tuple[int, ...] | bytes] = {
            256: (wide,),
            257: (high,),
            258: (bits,) * count,
            259: (page.compression,),
            262: (page.photometric,),
            277: (count,),
            284: (2 if page.apart else 1,),
            317: (page.predictor,),
            (324 if page.tile else 273): tuple(places),
            (325 if page.tile else 279): tuple(len(piece) for piece in pieces),
        }
        tags |= {322: (page.tile,), 323: (page.tile,)} if page.tile else {278: (page.rows,)}
        entries = b""
        for tag, value in sorted((tags | page.tags).items()):
            wide_kind = big and tag in (273, 279, 324, 325)
            kind = 7 if isinstance(value, bytes) else 16 if wide_kind else 4 if tag > 270 and tag < 330 else 3
            body = (
                value
                if isinstance(value, bytes)
                else struct.pack(f"{order}{len(value)}{'HIQ'[(kind > 3) + wide_kind]}", *value)
            )
            if len(body) > struct.calcsize(word):
                data += b"\0" * (len(data) % 2)
                data += body
                body = struct.pack(order + word, len(data) - len(body))
            entries += struct.pack(order + head, tag, kind, len(value)) + body.ljust(struct.calcsize(word), b"\0")
        data += b"\0" * (len(data) % 2)
        data[link : link + struct.calcsize(word)] = struct.pack(order + word, len(data))
        total = len(tags | page.tags)
        data += struct.pack(order + ("Q" if big else "H"), total) + entries
        link = len(data)
        data += bytes(struct.calcsize(word))
    return bytes(data)
