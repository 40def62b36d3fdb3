"""The gain map of a source, decoded once and drawn for each rendition that carries it.

It lies as the source's picture lies, whatever its own EXIF says, and covers it from edge to edge at any size (Ultra HDR
1.1). What does not decode whole, or has more pixels than its picture, is no gain map: then there is none.
"""

from __future__ import annotations

import os
from dataclasses import replace

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging.decoding.decode import Limits, Opened, open_image
from hotfolder.imaging.formats import Carried, Format, Settings
from hotfolder.imaging.formats.values import UPRIGHT, GainMap
from hotfolder.imaging.metadata import carried as metadata
from hotfolder.imaging.metadata import gainmap
from hotfolder.imaging.metadata.gainmap import Behind
from hotfolder.imaging.plan import Box, Plan, Size
from hotfolder.imaging.rendering import resize
from hotfolder.imaging.rendering.base import Base
from hotfolder.imaging.rendering.encode import encode, encode_planes

QUALITY_LEAST = 85
"""A map is small, and what is wrong in it is seen enlarged."""

WHOLE = (0.0, 0.0, 1.0, 1.0)


class Gain:
    """A sound gain map, and the picture that it belongs to."""

    def __init__(self, found: GainMap, picture: Opened, opened: Opened, base: Base) -> None:
        self._found, self._picture, self._opened, self._base = found, picture, opened, base

    @property
    def is_coloured(self) -> bool:
        """Whether it is of the picture's own primaries, and wrong for others."""
        return self._base.mode != "L"

    def as_it_lies(self, *, everything: bool) -> Behind | None:
        """Its own picture, with what its numbers mean, or with `everything` that it carries; None where that cannot be
        had."""
        if self._found.headroom:
            return None
        if everything:
            return Behind(self._found, self._found.data)
        said = Carried(xmp=gainmap.alone(self._found.xmp), marker=self._found.marker)
        try:
            return Behind(self._found, self._opened.kind.rewrite(self._found.data, said))
        except (ValueError, IndexError):
            return None

    def drawn(
        self, size: Size, goal: Format, settings: Settings, box: Box = WHOLE, *, everything: bool = False
    ) -> Behind | None:
        """For an upright picture of this size and format that shows the `box` of the source (in parts of its sides)."""
        wide, high = self._picture.size
        lies = size == (wide, high) and box == WHOLE and self._picture.orientation == UPRIGHT
        if lies and self._opened.kind is goal:
            return self.as_it_lies(everything=everything)
        sides = (
            max(1, round(side * own / whole))
            for side, own, whole in zip(size, self._opened.size, (wide, high), strict=True)
        )
        return Behind(
            self._found, self._encoded((next(sides), next(sides)), goal, settings, box, everything=everything)
        )

    def _encoded(self, size: Size, goal: Format, settings: Settings, box: Box, *, everything: bool) -> bytes:
        xmp = self._found.xmp if everything else gainmap.alone(self._found.xmp)
        icc = metadata.icc_of(self._opened.image) if self._opened.kind is goal else None
        carried = Carried(icc=icc, xmp=xmp, marker=self._found.marker)
        settings = replace(settings, quality=max(settings.quality, QUALITY_LEAST))
        (wide, high), (left, top, right, bottom), name = self._opened.size, box, goal.name
        shown = (left * wide, top * high, right * wide, bottom * high)
        with open(os.memfd_create("gain-map", os.MFD_CLOEXEC), "w+b") as file:
            if self._base.planes is not None:
                encode_planes(self._base.planes.scaled(size, shown), file, name, settings, carried)
            else:
                encode(resize.scale(self._base.image, size, shown), file, name, settings, carried)
            file.seek(0)
            return file.read()


def _in_logarithms(found: GainMap, opened: Opened) -> GainMap:
    """One of Apple's as others understand it, as it will be decoded."""
    image, table = opened.image, gainmap.logarithms(found.headroom)
    opened.pixels = lambda: image.convert("L").point(table)
    return gainmap.translated(found)


def of(picture: Opened) -> Gain | None:
    """The gain map of a source; None where it has none that is sound. Raises SourceError(TIMEOUT) where a Stop ends
    it."""
    found = picture.kind.gain_map(picture.data)
    if found is None or (found.xmp and not gainmap.numbers(found.xmp)):
        return None
    try:
        opened = open_image(found.data, Limits(max_pixels=picture.width * picture.height))
        if opened.kind is not picture.kind:
            return None
        if found.headroom:
            if opened.pixels is not None:
                return None
            found = _in_logarithms(found, opened)
        opened.orientation = picture.orientation
        opened.width, opened.height = opened.image.size
        if picture.orientation >= 5:
            opened.width, opened.height = opened.height, opened.width
        base = Base(opened, Plan(()))
        return Gain(found, picture, opened, base) if base.mode in ("L", "RGB") else None
    except SourceError as error:
        if error.reason is Reason.TIMEOUT:
            raise
        return None
