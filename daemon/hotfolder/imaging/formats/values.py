"""What a format states of itself in numbers, and what it is told when it writes: plain values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from ctypes import Array, c_ubyte
from dataclasses import dataclass, replace
from typing import Literal

UPRIGHT = 1
"""The orientation, as EXIF numbers them, of a picture that is not turned."""
NO_END = "no_end"
"""A note: nothing is missing but the mark of the picture's end."""


@dataclass(frozen=True, slots=True)
class Extra:
    """What has to be installed for a format: the extra's name, the module that it brings, and what it makes readable,
    in words for people."""

    name: str
    module: str
    title: str


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes a pixel of the full size, measured by benchmarks/memory.py.

    `decoding`: what the decoder holds beside the picture; 0 works line by line. `kept`: what of it stays until the
    picture is closed. `encoding`: what the encoder of a
    full-size copy takes; None of the others: the same for pictures with alpha, in inks, and for one that is stored
    anew without loss.
    """

    decoding: float = 0.0
    kept: float = 0.0
    encoding: float = 0.0
    encoding_alpha: float | None = None
    encoding_inks: float | None = None
    encoding_lossless: float | None = None


class Unusual(Exception):
    """The core does not serve: the picture is damaged, or not a simple one. Other decoders judge it."""


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a picture of 8 bits a sample as the compiled core takes them.

    `channels`: 1 (grey, or numbers of colours in the `palette`, three bytes each), 3 or 4. `filter`: that of all lines
    (PNG, third edition, 9: 0 is none, 1 differences); None: each begins with the number of its own. `pieces` are cut
    anywhere; getting them raises Unusual. `packed`: bytes of each piece but the last when it is unpacked by LZW; 0:
    it needs no unpacking.
    """

    channels: int
    palette: bytes
    pieces: Iterator[bytes | memoryview]
    filter: int | None = None
    packed: int = 0


Plane = bytearray | Array[c_ubyte]


@dataclass(frozen=True, slots=True)
class Samples:
    """Brightness and the two colours (ITU-R BT.601), one byte a sample: what lossy formats hold.

    `size` is that of brightness, which may have been made smaller; colour has half of it, rounded up. `strides`: bytes
    from row to row. `is_video`: in the range of video, which leaves room above and below. `scale`: they are still to be
    averaged down by it. `owner` has the memory they lie in, where that is none of Python's.
    """

    planes: tuple[Plane, Plane, Plane]
    size: tuple[int, int]
    strides: tuple[int, int, int]
    is_video: bool
    scale: int = 1
    owner: object = None


@dataclass(frozen=True, slots=True)
class Dial:
    """The setting of an encoder that mode `auto` searches: whole numbers, finer with each one.

    `gain` is the score that one of them is usually worth, `start` the one at which usually a photo scores 85.
    """

    lowest: int
    highest: int
    start: int
    gain: float

    def clamp(self, setting: float) -> int:
        """The whole setting that is no coarser, within the bounds."""
        return min(self.highest, max(self.lowest, math.ceil(setting - 0.05)))

    def up_to(self, highest: int) -> Dial:
        """The same dial with a lower end."""
        return replace(self, highest=max(self.lowest, min(self.highest, highest)))


@dataclass(frozen=True, slots=True)
class Settings:
    """How a picture is written. `quality` is 1–100, and ignored by formats that lose nothing; `tables`, where a format
    has them, stand in place of it. `exact`: nothing is lost, where the format can do that. `background` (#rrggbb)
    shows through where the format has no alpha."""

    quality: int = 0
    progressive: bool = True
    background: str = "#ffffff"
    tables: Sequence[Sequence[int]] | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Density:
    """Pixels a metre, or an inch, for print; without a length the shape of a pixel alone."""

    across: int
    down: int
    length: Literal["metre", "inch", ""] = ""

    def turned(self) -> Density:
        """That of a picture turned by a quarter."""
        return replace(self, across=self.down, down=self.across)


@dataclass(frozen=True, slots=True)
class GainMap:
    """A second picture that says how much brighter the first is, part by part, where a display can show it.

    `data`: a file of its own, which begins at `at` in the source; `pixels`: as many as its header claims. What its
    numbers mean: `xmp`, a packet, and `marker`, the segment that ISO 21496-1 has for it; `announced`: the one in the
    first picture, which only says that there is a map. Each may be empty. `listed`: whether the index of the source
    names it at its place. `headroom`: how many times as bright as white its brightest part becomes, where its numbers
    are Apple's, of which neither packet nor marker speaks.
    """

    data: bytes
    at: int
    pixels: int = 0
    xmp: bytes = b""
    marker: bytes = b""
    announced: bytes = b""
    listed: bool = False
    headroom: float = 0.0


@dataclass(frozen=True, slots=True)
class Carried:
    """The metadata that a written file has; a format leaves out what it has no place for.

    `source`: a file of the same format, whose other metadata are carried as they stand; `behind`: what lay behind its
    picture, and lies behind the new one; `turned`: whether that lies otherwise than the source's. `exchanged`: what of
    that was put in place of a gain map of another length: where that lay in the source, its length there, and now.

    `marker`: the segment of ISO 21496-1, of a picture or of its gain map; `indexed`: whether the gain map is all that
    lies behind, so that a new index names these two.
    """

    exif: bytes = b""
    icc: bytes | None = None
    xmp: bytes = b""
    comment: bytes = b""
    iptc: bytes = b""
    density: Density | None = None
    source: bytes = b""
    behind: bytes | memoryview = b""
    turned: bool = False
    exchanged: tuple[int, int, int] | None = None
    marker: bytes = b""
    indexed: bool = False
