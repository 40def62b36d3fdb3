"""JPEG XL (ISO/IEC 18181), bare or in its container."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hotfolder.imaging.containers import boxes
from hotfolder.imaging.formats.format import Format
from hotfolder.imaging.formats.values import Extra, Memory

if TYPE_CHECKING:
    from PIL import Image

    from hotfolder.imaging.formats.opening import Found

BARE = b"\xff\x0a"
HEAD = 14
"""Bytes in which the size stands."""
_RATIOS = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_WIDTHS = (9, 13, 18, 30)
"""Bits of a side, by a number of two bits before it."""


class Jxl(Format):
    """By libjxl, in the extra of the same name; opening decodes."""

    name = "jxl"
    marks = (BARE, b"\x00\x00\x00\x0cJXL ")
    extensions = ("jxl",)
    media_type = "image/jxl"
    plugins = ("JXL",)
    distribution = "pillow-jxl-plugin"
    extra = Extra("jxl", "pillow_jxl", "JPEG XL")
    is_risky = True
    memory = Memory(decoding=16)

    def claimed(self, data: bytes) -> Iterator[tuple[int, int]]:
        """The SizeHeader of the codestream."""
        head = _codestream(data)
        if not head.startswith(BARE):
            return
        bits = _Bits(head[2:])
        small = bits.take(1)
        high = bits.side(small)
        ratio = bits.take(3)
        yield high * _RATIOS[ratio][0] // _RATIOS[ratio][1] if ratio else bits.side(small), high

    def open(self, data: bytes) -> Found:
        from pillow_jxl import JpegXLImagePlugin

        JpegXLImagePlugin.DECODE_THREADS = 0  # workers share the processor already
        return super().open(data)

    def is_upright(self, image: Image.Image) -> bool:
        """But for one that is made of a JPEG, bit for bit."""
        return not getattr(image, "jpeg", False)


FORMAT = Jxl()


class _Bits:
    """Numbers of some bits, the lowest first."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        return value

    def side(self, small: int) -> int:
        """Pixels of a side: a multiple of eight where all is small."""
        return 8 * (self.take(5) + 1) if small else self.take(_WIDTHS[self.take(2)]) + 1


def _codestream(data: bytes) -> bytes:
    """Its first bytes, which may be strewn over several boxes."""
    if data.startswith(BARE):
        return data[:HEAD]
    found = b""
    for box in boxes.walk(data):
        if box.kind in (b"jxlc", b"jxlp"):
            start = box.body + (4 if box.kind == b"jxlp" else 0)
            found += data[start : min(box.end, start + HEAD)]
        if len(found) >= HEAD:
            break
    return found[:HEAD]
