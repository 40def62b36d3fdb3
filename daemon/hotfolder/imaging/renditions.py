"""Decode once, make every rendition: the whole of imaging in one call, usable without the daemon.

What is written goes into files that the caller opens; names, folders and their being seen whole are the caller's.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import BinaryIO

from PIL import Image

from hotfolder.imaging import formats, native
from hotfolder.imaging.analysis.analyze import analyze
from hotfolder.imaging.colour import convert as colour
from hotfolder.imaging.decoding.decode import Limits, Opened, open_image
from hotfolder.imaging.decoding.guard import guarded
from hotfolder.imaging.formats import Carried, Settings
from hotfolder.imaging.metadata import carried as metadata
from hotfolder.imaging.optimizing import copy as optimize
from hotfolder.imaging.plan import Box, Plan, Step, analyzed
from hotfolder.imaging.record import Record
from hotfolder.imaging.rendering import gainmap, resize
from hotfolder.imaging.rendering.base import Base
from hotfolder.imaging.rendering.encode import encode, encode_planes
from hotfolder.imaging.rendition import Rendition
from hotfolder.presets import ANALYSIS, DEFAULT_FORMAT, OPTIMIZED, Colorspace, OptimizeSpec, Preset

Create = Callable[[str], BinaryIO]
Stage = Callable[[str, float], None]
Part = tuple[Plan, tuple[str, ...]]
"""Some renditions, and the plan that they are made by."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one source gave. `notes` say what was left out, such as ``icc_ignored``, and what is odd (``misnamed``)."""

    format: str
    width: int
    height: int
    decoder: str
    outputs: tuple[Rendition, ...]
    notes: tuple[str, ...]
    record: Record | None = None


class _Clock:
    """Adds up what each stage took."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._at = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.spent[stage] = self.spent.get(stage, 0.0) + now - self._at
        self._at = now


def _ignore(stage: str, seconds: float) -> None:
    pass


def render(opened: Opened, plan: Plan, wanted: Collection[str], create: Create, stage: Stage = _ignore) -> Rendered:
    """Make the `wanted` renditions of the plan (preset names, OPTIMIZED) and write each into ``create(name)``; where
    ANALYSIS is wanted, too, the record stands in the result.

    `create` returns a real file opened for reading and writing and is asked only for what is written. `stage` is told
    the seconds spent in decode, analyze, resize and encode. Raises SourceError for what the image causes, OSError for
    what the disk does. `opened` is used up.
    """
    clock = _Clock()
    mode, record = opened.image.mode, None
    base = Base(opened, plan)
    clock.lap("decode")
    if plan.analyze is not None and ANALYSIS in wanted:
        with guarded(opened.decoder):
            record = analyze(opened, mode, base.small(analyzed(opened.size)), plan.analyze)
        clock.lap("analyze")
    steps = plan.steps(opened.size)
    pictures = _Pictures(steps, base, metadata.icc_of(opened.image))
    gains = _Gains(opened, pictures)
    outputs: list[Rendition] = []
    for step in steps:
        if step.preset.name in wanted:
            native.look()
            outputs.append(_thumbnail(step, pictures, gains, create, clock))
    if plan.optimize is not None and OPTIMIZED in wanted:
        native.look()
        outputs.append(_optimized(opened, base, plan, create))
        clock.lap("encode")
    for name, seconds in clock.spent.items():
        stage(name, seconds)
    notes = tuple(sorted({*pictures.notes, *opened.notes, *(("truncated",) if opened.partial else ())}))
    return Rendered(opened.format, opened.width, opened.height, opened.decoder, tuple(outputs), notes, record)


def _thumbnail(step: Step, pictures: _Pictures, gains: _Gains, create: Create, clock: _Clock) -> Rendition:
    name, preset = step.preset.name, step.preset
    planes = pictures.planes(name)
    if planes is not None:
        carried = gains.carried(step, None)
        clock.lap("resize")
        size = encode_planes(planes, create(name), preset.format, _settings(preset), carried)
    else:
        with guarded("pillow"):
            picture = resize.finish(pictures.of(name), preset, step.canvas)
        carried = gains.carried(step, pictures.icc(name))
        clock.lap("resize")
        size = encode(picture, create(name), preset.format, _settings(preset), carried)
    clock.lap("encode")
    return Rendition(name, *step.canvas, size, note="")


def narrowed(parts: Sequence[Part], only: Collection[str]) -> tuple[Part, ...]:
    """The parts without what is not wanted."""
    chosen = ((plan, tuple(preset for preset in presets if preset in only)) for plan, presets in parts)
    return tuple((plan, presets) for plan, presets in chosen if presets)


def render_parts(
    opened: Opened, parts: Sequence[Part], create: Create, limits: Limits, name: bytes, stage: Stage = _ignore
) -> Rendered:
    """Render each part by the whole of its own plan; the picture is opened anew for all but the first."""
    first, *rest = parts
    rendered = render(opened, first[0], first[1], create, stage)
    for plan, presets in rest:
        more = render(open_image(opened.data, limits, name), plan, presets, create, stage)
        rendered = replace(
            rendered,
            outputs=rendered.outputs + more.outputs,
            notes=tuple(sorted({*rendered.notes, *more.notes})),
            record=rendered.record or more.record,
        )
    return rendered


def sizes(opened: Opened, plan: Plan) -> dict[str, tuple[int, int]]:
    """The size in pixels that each rendition will have; (0, 0) for a copy that cannot be made."""
    found = {step.preset.name: step.canvas for step in plan.steps(opened.size)}
    if plan.optimize is not None:
        copied = _can_be_copied(opened, plan.optimize)
        found[OPTIMIZED] = optimize.goal_size(opened.size, plan.optimize) if copied else (0, 0)
    return found


def _can_be_copied(opened: Opened, spec: OptimizeSpec) -> bool:
    goal = optimize.goal(opened, spec)
    return goal is not None and not (opened.animated and (goal != opened.format or spec.max_dimension is not None))


def _optimized(opened: Opened, base: Base, plan: Plan, create: Create) -> Rendition:
    assert plan.optimize is not None
    copy = None
    if _can_be_copied(opened, plan.optimize):
        copy = optimize.write(opened, base, plan.optimize, create(OPTIMIZED))
    return copy or Rendition(OPTIMIZED, width=0, height=0, bytes=0, note="kept")


class _Pictures:
    """The pixels of each step, made when asked for, with those of its parents."""

    def __init__(self, steps: tuple[Step, ...], base: Base, profile: bytes | None) -> None:
        self._steps = {step.preset.name: step for step in steps}
        self._base = base
        self._profile = profile
        self._made: dict[str, Image.Image] = {}
        self._made_planes: dict[str, native.Picture] = {}
        self._icc: dict[str, bytes | None] = {}
        self._keeping: dict[Colorspace, bool] = {}
        self.notes: set[str] = set()

    def icc(self, name: str) -> bytes | None:
        """The profile that a picture made by `of` must carry; None for sRGB."""
        return self._icc[name]

    def planes(self, name: str) -> native.Picture | None:
        """The picture as planes, where it can stay so to its end: a JPEG whose colours are those of the source."""
        preset = self._steps[name].preset
        if not _stays_planes(preset) or not self._keeps_colours(preset.colorspace):
            return None
        base = self._base.planes
        return None if base is None else self._planes(name, base)

    def _planes(self, name: str, base: native.Picture) -> native.Picture:
        if name not in self._made_planes:
            step = self._steps[name]
            parent = base if step.parent is None else self._planes(step.parent, base)
            self._made_planes[name] = resize.apply(step, parent)
        return self._made_planes[name]

    def _keeps_colours(self, goal: Colorspace) -> bool:
        if goal not in self._keeping:
            pixel = Image.new(self._base.mode, (1, 1))
            same, icc, note = colour.convert(pixel, self._profile, goal)
            self.notes |= {note} if note else set()
            self._keeping[goal] = same is pixel and icc is None
        return self._keeping[goal]

    def moves_colours(self, goal: Colorspace) -> bool:
        """Whether colours are converted on the way."""
        pixel = Image.new(self._base.mode, (1, 1))
        return colour.convert(pixel, self._profile, goal)[0] is not pixel

    def shown(self, name: str) -> Box:
        """What of the source a picture that has been made shows, as parts of its sides."""
        step = self._steps[name]
        parent = self._made_planes.get(step.parent or "") if name in self._made_planes else None
        whole = parent or self._made.get(step.parent or "") or self._base.planes or self._base.image
        left, top, right, bottom = resize.crop(step, whole) or (0.0, 0.0, *whole.size)
        wide, high = whole.size
        return (left / wide, top / high, right / wide, bottom / high)

    def of(self, name: str) -> Image.Image:
        if name not in self._made:
            step = self._steps[name]
            if step.parent is not None:
                self._made[name] = resize.apply(step, self.of(step.parent))
                self._icc[name] = self._icc[step.parent]
            else:
                picture, icc, note = colour.convert(self._base.step(step), self._profile, step.preset.colorspace)
                self._made[name], self._icc[name] = picture, icc
                self.notes |= {note} if note else set()
        return self._made[name]


class _Gains:
    """The gain map of the source, for the thumbnails that are to carry it."""

    def __init__(self, opened: Opened, pictures: _Pictures) -> None:
        self._opened, self._pictures = opened, pictures

    @cached_property
    def _gain(self) -> gainmap.Gain | None:
        return gainmap.of(self._opened)

    def carried(self, step: Step, icc: bytes | None) -> Carried:
        """What a thumbnail has beside its pixels: its profile, and what is needed to show it brighter."""
        preset, goal = step.preset, formats.of(step.preset.format)
        plain = Carried(icc=icc)
        if preset.hdr == "drop" or preset.fit == "pad" or not goal.has_gain_map or self._gain is None:
            return plain
        if self._gain.is_coloured and self._pictures.moves_colours(preset.colorspace):
            return plain
        behind = self._gain.drawn(step.size, goal, _settings(preset), self._pictures.shown(preset.name))
        return metadata.with_gain_map(plain, behind, goal) if behind is not None else plain


def _settings(preset: Preset) -> Settings:
    return Settings(preset.quality, preset.progressive, preset.background)


def _stays_planes(preset: Preset) -> bool:
    return formats.of(preset.format).in_planes and preset.fit != "pad" and not preset.sharpen and not preset.contrast


SMALL_TYPE = formats.of(DEFAULT_FORMAT).media_type
"""Of what `small_jpeg` returns."""


def small_jpeg(data: bytes, name: bytes, side: int, limits: Limits | None = None) -> bytes:
    """A thumbnail of at most `side` pixels as bytes, for a page. Raises SourceError, MissingExtra."""
    preset = Preset("small", side, side, quality=75)
    with tempfile.TemporaryFile() as file:
        render(open_image(data, limits or Limits(), name), Plan((preset,)), ("small",), lambda _: file)
        file.seek(0)
        return file.read()
