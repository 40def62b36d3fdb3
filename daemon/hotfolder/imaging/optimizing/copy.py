"""The optimized copy: encoded anew by its mode, and never larger than its source where the rules allow that.

Where encoding saves too little, the source's own picture is kept, rewritten without loss or as it is. How the modes
find their quality is told in docs/optimization.md.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import BinaryIO

from PIL import Image, ImageEnhance, ImageFilter

from hotfolder.imaging import formats, native
from hotfolder.imaging.colour import convert as colour
from hotfolder.imaging.decoding.decode import Opened
from hotfolder.imaging.formats import Carried, Settings, tables
from hotfolder.imaging.formats.values import Dial
from hotfolder.imaging.metadata import carried as metadata
from hotfolder.imaging.optimizing import enhance
from hotfolder.imaging.rendering import gainmap, resize
from hotfolder.imaging.rendering.base import Base
from hotfolder.imaging.rendering.encode import encode, encode_planes, fits, flattened
from hotfolder.imaging.rendering.gainmap import Gain
from hotfolder.imaging.rendition import Rendition
from hotfolder.presets import OPTIMIZED, Format, OptimizeSpec

BACKGROUND = "#ffffff"


def goal(opened: Opened, spec: OptimizeSpec) -> Format | None:
    """The format of the copy; None where it cannot carry this source, or the source's cannot be written."""
    format_name = opened.format if spec.format == "keep" else spec.format
    if format_name not in formats.written() or not fits(goal_size(opened.size, spec), format_name):
        return None
    return format_name


def write(opened: Opened, base: Base, spec: OptimizeSpec, file: BinaryIO) -> Rendition | None:
    """Write the copy of the `base`, decoded in full size, into `file`; None where none can be made of this source."""
    format_name = goal(opened, spec)
    if format_name is None:
        return None
    if opened.animated:
        return _unchanged(opened, spec, file, format_name)
    pixels, source = goal_size(opened.size, spec), len(opened.data)
    same = not opened.partial and format_name == opened.format and pixels == opened.size
    gain = _gain(opened, spec, format_name)
    ours = same and opened.kind.is_ours(opened.data, opened.image)
    if ours and _stands(opened, spec, _rewritten(opened, spec, gain)):
        return _written(opened, pixels, _replace(file, opened.data))
    job = _Job(opened, base, spec, file, same, gain)
    size = job.worth_it()
    if size is not None and size <= source * (1 - spec.min_saving):
        return _written(opened, pixels, size)
    kept = _kept(opened, spec, gain) if job.same else None
    if kept is not None and (size is None or len(kept) <= max(source, size)):
        return _written(opened, pixels, _replace(file, kept))
    size = size or job.in_any_case()
    return _written(opened, pixels, size)


def _written(opened: Opened, size: tuple[int, int], written: int) -> Rendition:
    return Rendition(OPTIMIZED, *size, written, "larger" if written > len(opened.data) else "")


class _Job:
    """One picture to encode, and the file that it is written into; what is written last stands."""

    def __init__(
        self, opened: Opened, base: Base, spec: OptimizeSpec, file: BinaryIO, same: bool, gain: Gain | None
    ) -> None:
        self._opened, self._spec, self._file = opened, spec, file
        name = goal(opened, spec)
        assert name is not None
        self._name, self._format, self._gain = name, formats.of(name), gain
        self._source_tables = getattr(opened.image, "quantization", None) or {}
        self._base, self._may_keep = base, same
        self._inks = not self._format.has_inks and base.mode == "CMYK"

    @cached_property
    def _carried(self) -> Carried:
        rule, size, behind = self._spec.metadata, goal_size(self._opened.size, self._spec), None
        if self._gain is not None:
            behind = self._gain.drawn(size, self._format, Settings(self._spec.quality), everything=rule == "keep")
        carried = metadata.carried(self._opened, rule, self._format, size, behind)
        return metadata.as_srgb(carried) if self._inks else carried

    @cached_property
    def _plain_picture(self) -> Image.Image:
        picture = resize.scale(self._base.image, goal_size(self._opened.size, self._spec))
        if self._inks:  # the format does not carry them
            picture, _, _ = colour.convert(picture, metadata.icc_of(self._opened.image))
        return picture if self._format.has_alpha else flattened(picture, BACKGROUND)

    @cached_property
    def _picture(self) -> Image.Image:
        return _enhanced(self._plain_picture, self._spec)

    @cached_property
    def _altered(self) -> bool:
        return _may_alter(self._spec) and self._picture is not self._plain_picture

    @property
    def same(self) -> bool:
        """Whether it is to have the source's format, size and pixels, so that those of the source could serve."""
        return self._may_keep and not self._altered

    def worth_it(self) -> int | None:
        """Bytes written; None where the source's own picture is better kept."""
        mode = self._spec.mode
        exact = self._format.loses_nothing and (mode == "auto" or self._opened.kind.loses_bits(self._opened.data))
        if mode == "lossless" or exact:
            return None if self.same else self._plain()
        if mode == "auto":
            return self._searched()
        return None if self.same and self._as_good_already() else self._plain()

    def in_any_case(self) -> int:
        """Bytes written, of a source that cannot be kept: as well as can be where the target is out of reach."""
        if self._spec.mode == "auto" and not self._format.loses_nothing:
            dial, turn = self._dial()
            return self._best(turn(dial.highest))
        return self._plain()

    def _plain(self) -> int:
        settings = Settings(self._quality())
        if self._spec.mode == "lossless" and not self._format.in_planes:
            return self._write(self._picture, replace(settings, exact=True))
        return self._best(settings)

    @cached_property
    def _planes(self) -> native.Picture | None:
        """The picture as it is to be encoded, where it can stay planes."""
        if not self._format.in_planes or self._altered or self._base.decoded is None:
            return None
        return self._base.decoded.scaled(goal_size(self._opened.size, self._spec))

    def _best(self, settings: Settings) -> int:
        """The copy as it is to stay."""
        if self._planes is None:
            size = self._format.marked(self._file, self._write(self._picture, settings, small=True))
            self._file.flush()
            return size
        self._empty()
        return encode_planes(self._planes, self._file, self._name, settings, self._carried, small=True)

    def _quality(self) -> int:
        """What the spec asks for, but never more than a JPEG of this size was written with."""
        known = tables.quality_of(self._source_tables) if self.same else None
        return min(self._spec.quality, known or 100)

    def _as_good_already(self) -> bool:
        """Progressive and of no higher quality: encoding it again would give the same size, and lose once more."""
        known = tables.quality_of(self._source_tables)
        progressive = bool(self._opened.image.info.get("progressive"))
        return progressive and known is not None and known <= self._spec.quality

    def _searched(self) -> int | None:
        from hotfolder.imaging.optimizing import search  # brings numpy and OpenCV

        dial, turn = self._dial()
        if self._planes is not None:
            assert self._base.decoded is not None
            sheet, attempt = search.of_planes(self._base.decoded, self._opened.size, self._planes, tables.pair)
        else:
            sheet = search.Sheet(self._picture.size, self._picture.crop)

            def attempt(setting: int) -> list[Image.Image]:
                self._write(sheet.image, replace(turn(setting), progressive=False))
                self._file.seek(0)
                return [Image.open(io.BytesIO(self._file.read()))]

        setting = search.Search(sheet, self._spec.target, dial, attempt).setting()
        return None if setting is None else self._best(turn(setting))

    def _dial(self) -> tuple[Dial, Callable[[int], Settings]]:
        """What is searched in this format, and what a setting stands for."""
        dial = self._format.dial
        assert dial is not None
        if not self._format.in_planes:
            return dial, Settings
        if self.same and self._source_tables:
            dial = dial.up_to(tables.finest(self._source_tables))
        return dial, lambda setting: Settings(tables=tables.pair(setting))

    def _write(self, picture: Image.Image, settings: Settings, *, small: bool = False) -> int:
        self._empty()
        return encode(picture, self._file, self._name, settings, self._carried, small=small)

    def _empty(self) -> None:
        self._file.seek(0)
        self._file.truncate()


def _unchanged(opened: Opened, spec: OptimizeSpec, file: BinaryIO, format_name: Format) -> Rendition | None:
    """An animation is left as it is but for its metadata, where its format allows that."""
    if format_name != opened.format or spec.max_dimension is not None:
        return None
    rewritten = _rewritten(opened, spec)
    if rewritten is None:
        return None
    return _written(opened, opened.size, _replace(file, rewritten))


def _kept(opened: Opened, spec: OptimizeSpec, gain: Gain | None) -> bytes | None:
    """The source's own picture, upright by its tag, as the metadata rule allows; None where that cannot be had."""
    rewritten = _rewritten(opened, spec, gain)
    stands = _stands(opened, spec, rewritten)
    best = opened.data if stands else rewritten
    if best is None or spec.mode == "lossy":  # there a second or two for some percent would be out of proportion
        return best
    return _smaller(best, opened)


def _smaller(data: bytes, opened: Opened) -> bytes:
    """The same pixels in fewer bytes where that can be; otherwise the very bytes that were given."""
    try:
        found = opened.kind.smaller(data, opened.width * opened.height)
    except ImportError:  # without the extra: said at the start
        return data
    return found if len(found) < len(data) else data


def _rewritten(opened: Opened, spec: OptimizeSpec, gain: Gain | None = None) -> bytes | None:
    behind = gain.as_it_lies(everything=spec.metadata == "keep") if gain is not None else None
    return metadata.rewrite(opened, spec.metadata, behind)


def _gain(opened: Opened, spec: OptimizeSpec, format_name: Format) -> Gain | None:
    """The gain map that the copy is to carry."""
    carries = formats.of(format_name).has_gain_map and spec.metadata != "strip"
    return gainmap.of(opened) if carries else None


def _stands(opened: Opened, spec: OptimizeSpec, rewritten: bytes | None) -> bool:
    """Whether the source's bytes meet the metadata rule as they are."""
    if spec.metadata == "keep":
        return True
    if rewritten is None or opened.kind.is_overwritten:
        return rewritten == opened.data
    # Nothing went but our mark, and what stays was there, perhaps in another order.
    exif = metadata.stored_exif(opened, spec.metadata).removeprefix(b"Exif\0\0")
    mark = opened.kind.mark
    ours = len(mark) if opened.data.endswith(mark) else 0
    return len(opened.data) - len(rewritten) in (0, ours) and exif in opened.data


def _replace(file: BinaryIO, content: bytes) -> int:
    file.seek(0)
    file.truncate()
    file.write(content)
    file.flush()
    return len(content)


def goal_size(size: tuple[int, int], spec: OptimizeSpec) -> tuple[int, int]:
    """The size of the copy of a picture of this size."""
    longest = max(size)
    if spec.max_dimension is None or longest <= spec.max_dimension:
        return size
    factor = spec.max_dimension / longest
    return (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))


def _may_alter(spec: OptimizeSpec) -> bool:
    return bool(spec.sharpen or spec.contrast or spec.auto_enhance)


def _enhanced(image: Image.Image, spec: OptimizeSpec) -> Image.Image:
    """The picture as the spec wants it; the very same object where nothing is altered."""
    if spec.auto_enhance:
        image = enhance.improved(image)
    if spec.sharpen:
        image = image.filter(ImageFilter.UnsharpMask(radius=1.0, percent=round(100 * spec.sharpen), threshold=2))
    return ImageEnhance.Contrast(image).enhance(1.0 + spec.contrast) if spec.contrast else image
