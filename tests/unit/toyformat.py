"""A format from outside: eight-bit grey as digits behind a mark, read, limited and written in one file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from hotfolder.imaging import formats
from hotfolder.imaging.formats.format import Format
from hotfolder.imaging.formats.opening import Found
from hotfolder.imaging.formats.values import UPRIGHT, Carried, Extra, Memory, Settings


class Toy(Format):
    """``TOY 1 wide high comment\\n``, then a byte for each pixel."""

    name = "toy"
    marks = (b"TOY 1 ",)
    extensions = ("toy", "ty")
    media_type = "image/x-toy"
    extra = Extra("toys", "json", "Toy pictures")
    memory = Memory(decoding=2, encoding=3)
    is_written = True
    longest_side = 5000

    def claimed(self, data: bytes) -> Iterator[tuple[int, int]]:
        wide, high = data[:60].split()[2:4]
        yield int(wide), int(high)

    def pieces(self, data: bytes) -> Iterator[int]:
        yield data.find(b"\n")

    def cut_short(self, data: bytes) -> bool:
        [(wide, high)] = self.claimed(data)
        return len(data) < data.find(b"\n") + 1 + wide * high

    def open(self, data: bytes) -> Found:
        [size] = self.claimed(data)
        pixels = data[data.find(b"\n") + 1 :]
        return Found(Image.new("L", (1, 1)), size, UPRIGHT, lambda: Image.frombytes("L", size, pixels))

    def write(self, image: Image.Image, file: BinaryIO, settings: Settings, carried: Carried) -> None:
        grey = image.convert("L")
        file.write(b"TOY 1 %d %d \n" % grey.size + grey.tobytes())


formats.register(Toy())
