"""GIF, of which the first frame counts. Pillow looks at the second one, too, to say whether it moves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from hotfolder.imaging.formats.format import Format
from hotfolder.imaging.formats.values import Memory

if TYPE_CHECKING:
    from PIL import Image

    from hotfolder.imaging.formats.opening import Found

FRAMES = 2
"""Frames up to which decoders read."""
_EXTENSION, _FRAME, _END = 0x21, 0x2C, 0x3B
_COMMENT, _APPLICATION, _CONTROL = 0xFE, 0xFF, 0xF9
_DISPOSAL = 0b11100
_LOOP = b"NETSCAPE2.0"
_BLOCK = re.compile(rb"[!,;]")


class Gif(Format):
    """256 colours, and old."""

    name = "gif"
    marks = (b"GIF87a", b"GIF89a")
    extensions = ("gif",)
    media_type = "image/gif"
    plugins = ("GIF",)
    memory = Memory(decoding=5)

    def cut_short(self, data: bytes) -> bool:
        return not data[-64:].rstrip(b"\0").endswith(b";")

    def open(self, data: bytes) -> Found:
        from hotfolder.imaging.formats import opening

        found = opening.by_pillow(self, _undisposed(data))
        image = found.image
        box = next((tile.extents for tile in getattr(image, "tile", ())), None)
        if box is None or box == (0, 0, *image.size):
            return found
        return replace(found, pixels=lambda: _on_nothing(image, box))

    def pieces(self, data: bytes) -> Iterator[int]:
        """Comments and application blocks up to the second frame, and whatever stands between blocks: decoders pass
        over it, byte by byte."""
        blocks, frames = _Blocks.of(data), 0
        while blocks.at + 10 < len(data) and data[blocks.at] != _END and frames < FRAMES:
            start = blocks.at
            if data[start] == _EXTENSION:
                yield from _extension(blocks, first=not frames)
            elif data[start] == _FRAME:
                frames += 1
                blocks.at += 11 + _palette(data[start + 9])
                while frames < FRAMES and blocks.next():
                    pass
            else:
                yield blocks.skip()


FORMAT = Gif()


def _on_nothing(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """A frame that is smaller than its canvas: Pillow fills the rest with a colour."""
    from PIL import Image

    image.load()
    canvas = Image.new("RGBA", image.size)
    canvas.paste(image.convert("RGBA").crop(box), box[:2])
    return canvas


def _undisposed(data: bytes) -> bytes:
    """A file that does not say what is to become of its first frame: Pillow takes that frame's room for it once more
    when it opens the file, before anybody knows how large that is. The same file, where that is no more than a copy."""
    controls, frame = _first_frame(data)
    wide, high = (int.from_bytes(data[at : at + 2], "little") for at in (frame + 5, frame + 7))
    if wide * high <= len(data):
        return data
    parts, behind = [], 0
    for at in controls:
        parts += [data[behind:at], bytes([data[at] & ~_DISPOSAL])]
        behind = at + 1
    return b"".join([*parts, data[behind:]]) if parts else data


def _first_frame(data: bytes) -> tuple[list[int], int]:
    """Where the flags of graphic controls before it stand, and where it begins."""
    blocks, controls = _Blocks.of(data), []
    while blocks.at + 10 < len(data) and data[blocks.at] not in (_FRAME, _END):
        start = blocks.at
        if data[start] != _EXTENSION:
            blocks.skip()
            continue
        if data[start + 1] == _CONTROL and data[start + 2]:
            controls.append(start + 3)
        for _ in _extension(blocks, first=True):
            pass
    return controls, blocks.at


class _Blocks:
    """The blocks of data from a place on."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Those behind the head of a file."""
        return cls(data, 13 + (_palette(data[10]) if len(data) > 10 else 0))

    def skip(self) -> int:
        """Go on to what may begin a block; gives the bytes passed over."""
        start, behind = self.at, _BLOCK.search(self.data, self.at)
        self.at = behind.start() if behind else len(self.data)
        return self.at - start

    def next(self) -> int:
        """The length of the next one's content; 0 where it is empty, and at the end of the file."""
        length = self.data[self.at] if self.at < len(self.data) else 0
        self.at += 1 + length
        return length


def _extension(blocks: _Blocks, *, first: bool) -> Iterator[int]:
    """The lengths of an extension's blocks, as Pillow steps through them: in all but comments an empty first block ends
    nothing, nor does an empty one behind the mark of a loop."""
    label = blocks.data[blocks.at + 1]
    blocks.at += 2
    start = blocks.at + 1
    length = blocks.next()
    yield length + 1
    if label == _COMMENT:
        while length and (length := blocks.next()):
            yield length + 1
        return
    if first and label == _APPLICATION and blocks.data[start : start + length].startswith(_LOOP):
        yield blocks.next() + 1
    while length := blocks.next():
        yield length + 1


def _palette(flags: int) -> int:
    """Bytes of the colours that follow."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
