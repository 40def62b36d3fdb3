"""Mode `auto`: the coarsest setting of an encoder at which a picture still scores its target.

Tried on parts that are strewn over the whole picture, since encoders of blocks do to a part what they do to the whole;
the picture itself is encoded once. How sure the parts are is told by how much they differ, and so is the margin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image

from hotfolder.imaging.formats.values import Dial
from hotfolder.imaging.native import Picture, Tables
from hotfolder.imaging.optimizing.quality import SMALLEST, Pixels, Reference, Score
from hotfolder.imaging.plan import Size

ENCODES = 4
"""At most, of a small picture: all trials are of the whole. Of a larger one TRIALS of the parts, and the whole."""
TRIALS = 3
NEAR = 0.3
"""Score by which a trial may lie beside the goal for its neighbours to be told from it."""
ACROSS, SIDE, RIM = 7, 96, 8
"""Parts in each direction, their side in pixels, and what of it is encoded but not scored: there the neighbours in the
sheet shine in. Encoders' blocks start at multiples of 16, so a part is encoded as it is in the whole."""
BLOCK = 16
LEAST_MARGIN, ERRORS = 0.2, 2.0
"""Score by which a trial must be above the target: so much, since viewers enlarge colour in their own ways, and, of
parts, so many of their standard errors."""


Box = tuple[int, int, int, int]
Try = Callable[[int], Sequence[Image.Image]]
"""A setting → what becomes of the sheet by it, or of each of its parts."""


class Sheet:
    """Parts of a picture side by side, and their scores; a small picture is taken whole.

    `cut` returns a box of the picture, of `size` pixels; `boxes` are those that were cut, in their order.
    """

    def __init__(self, size: tuple[int, int], cut: Callable[[Box], Image.Image]) -> None:
        side = ACROSS * SIDE
        self.whole = size[0] * size[1] <= side * side or min(size) < SIDE
        self.boxes: list[Box] = [(0, 0, *size)] if self.whole else list(_boxes(size))
        parts = [cut(box) for box in self.boxes]
        self.image = parts[0] if self.whole else Image.new(parts[0].mode, (side, side))
        for number, part in enumerate([] if self.whole else parts):
            self.image.paste(part, (number % ACROSS * SIDE, number // ACROSS * SIDE))
        self._reference = Reference(self._parts([self.image]))

    def score(self, images: Sequence[Image.Image]) -> Score:
        """Of what became of the sheet, or of its parts one by one."""
        return self._reference.score(self._parts(images))

    def _parts(self, images: Sequence[Image.Image]) -> Pixels:
        pixels = np.stack([np.asarray(_seen(image)) for image in images])
        if self.whole:
            return pixels
        if len(images) == 1:
            pixels = pixels.reshape(ACROSS, SIDE, ACROSS, SIDE, 3).swapaxes(1, 2).reshape(-1, SIDE, SIDE, 3)
        return np.ascontiguousarray(pixels[:, RIM:-RIM, RIM:-RIM])


def of_planes(source: Picture, size: Size, picture: Picture, pair: Callable[[int], Tables]) -> tuple[Sheet, Try]:
    """The sheet of a `picture` that stays planes, and its trials by the tables of a setting.

    What it should look like is cut from its `source` of this size, the colour in full.
    """
    across, down = (whole / part for whole, part in zip(size, picture.size, strict=True))

    def cut(box: Box) -> Image.Image:
        left, top, right, bottom = box
        there = (left * across, top * down, right * across, bottom * down)
        return source.scaled((right - left, bottom - top), there, halved=False).image()

    sheet = Sheet(picture.size, cut)
    parts = [picture.scaled((box[2] - box[0], box[3] - box[1]), box) for box in sheet.boxes]
    return sheet, lambda setting: [part.after(pair(setting)) for part in parts]


class Search:
    """One search; `tried` maps each setting's score above what is asked for, its margin taken off."""

    def __init__(self, sheet: Sheet, target: float, dial: Dial, attempt: Try) -> None:
        self._sheet, self._target, self._dial, self._attempt = sheet, target, dial, attempt
        self.tried: dict[int, float] = {}

    def setting(self) -> int | None:
        """The lowest setting that promises the target; None where none does, or the picture is too small to tell."""
        if min(self._sheet.image.size) < SMALLEST:
            return None
        at = self._dial.clamp(self._dial.start + (self._target - 85) / self._dial.gain)
        while at not in self.tried and len(self.tried) < TRIALS:
            self._try(at)
            if 0 <= self.tried[at] <= NEAR:
                return at
            at = self._next()
        promising = [tried for tried, above in self.tried.items() if above >= 0]
        if not self._sheet.whole and at not in self.tried and self._expected(at) >= 0:
            promising.append(at)  # of a small picture only what was tried is promised
        return min(promising, default=None)

    def _try(self, at: int) -> None:
        found = self._sheet.score(self._attempt(at))
        margin = LEAST_MARGIN + (0.0 if self._sheet.whole else ERRORS * found.error)
        self.tried[at] = found.value - margin - self._target

    def _nearest(self) -> int:
        return min(self.tried, key=lambda at: abs(self.tried[at]))

    def _next(self) -> int:
        nearest = self._nearest()
        return self._dial.clamp(nearest - self.tried[nearest] / self._gain())

    def _gain(self) -> float:
        """What one more is worth here: by the trials, otherwise as usual."""
        low, high = min(self.tried), max(self.tried)
        if low == high:
            return self._dial.gain
        return min(4 * self._dial.gain, max(self._dial.gain / 4, (self.tried[high] - self.tried[low]) / (high - low)))

    def _expected(self, at: int) -> float:
        nearest = self._nearest()
        return self.tried[nearest] + (at - nearest) * self._gain() + 1e-6


def _boxes(size: tuple[int, int]) -> Iterator[Box]:
    """Where the parts lie: one in each cell of a grid, at multiples of the blocks of the encoders.

    Within its cell each lies elsewhere (by the plastic number, whose multiples fill a square evenly): what runs through
    the picture in rows or columns counts by its share.
    """
    for number in range(ACROSS * ACROSS):
        x, y = (
            int((length - SIDE) * (cell + number * irrational % 1.0) / ACROSS) // BLOCK * BLOCK
            for length, cell, irrational in zip(size, (number % ACROSS, number // ACROSS), _PLASTIC, strict=True)
        )
        yield (x, y, x + SIDE, y + SIDE)


_PLASTIC = (0.7548776662466927, 0.5698402909980532)


def _seen(image: Image.Image) -> Image.Image:
    """As it is shown: transparent parts over grey."""
    if image.mode == "RGBA":
        board = Image.new("RGB", image.size, "#808080")
        board.paste(image, mask=image.getchannel("A"))
        return board
    return image if image.mode == "RGB" else image.convert("RGB")
