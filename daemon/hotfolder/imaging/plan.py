"""The plan: how all thumbnails of a watch come from one decode, each from the next larger one that serves.

Pure arithmetic on sizes. A rendition's pixels follow from the source, its own preset and the plan, never from what
else happens to be missing: rendering one preset walks the same steps as rendering all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from hotfolder.presets import ANALYSIS, OPTIMIZED, AnalyzeSpec, OptimizeSpec, Preset

Size = tuple[int, int]
Box = tuple[float, float, float, float]

PARENT_RATIO = 4 / 3
"""A rendition serves as another's parent where it has at least this many times the pixels needed in each direction."""
DRAFT_RATIO = 1.2
"""JPEG is decoded at the smallest DCT scale that leaves this many times the pixels of the largest need; others are
averaged so far."""
DRAFT_SCALES = (8, 4, 2, 1)
ANALYZED_SIDE = 512
"""Pixels of the longer side of the picture that is analysed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thumbnail: from which parent (None: the decoded picture), to which size, on which canvas.

    `size` is that of the scaled picture, `canvas` that of the file where it differs (pad); `crop`: whether the
    parent is cropped to the canvas's shape first (cover).
    """

    preset: Preset
    parent: str | None
    size: Size
    canvas: Size
    crop: bool


@dataclass(frozen=True)
class Plan:
    """All presets of a watch, whether there is an optimized copy (then the source is decoded whole) and an analysis."""

    presets: tuple[Preset, ...]
    optimize: OptimizeSpec | None = None
    analyze: AnalyzeSpec | None = None

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.presets, key=lambda preset: preset.name))
        object.__setattr__(self, "presets", ordered)

    def to_json(self) -> str:
        content = {
            "presets": [preset.as_dict() for preset in self.presets],
            "optimize": self.optimize.as_dict() if self.optimize else None,
            "analyze": self.analyze.as_dict() if self.analyze else None,
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Raises ValueError, KeyError or TypeError for what `to_json` has not written."""
        content = json.loads(text)
        optimize, analyze = content["optimize"], content.get("analyze")
        presets = tuple(Preset(**fields) for fields in content["presets"])
        return cls(presets, OptimizeSpec(**optimize) if optimize else None, AnalyzeSpec(**analyze) if analyze else None)

    @cached_property
    def signature(self) -> str:
        return hashlib.md5(self.to_json().encode(), usedforsecurity=False).hexdigest()

    def names(self) -> tuple[str, ...]:
        """All that is made by this plan."""
        names = [preset.name for preset in self.presets]
        return (*names, *((OPTIMIZED,) if self.optimize else ()), *((ANALYSIS,) if self.analyze else ()))

    def steps(self, size: Size) -> tuple[Step, ...]:
        """All thumbnails of a picture of this upright size, each behind its parent."""
        by_need = sorted(self.presets, key=lambda p: (-_area(needed(p, size)), p.name))
        steps: list[Step] = []
        for preset in by_need:
            parent = _parent(steps, preset, size)
            steps.append(Step(preset, parent, scaled(preset, size), canvas(preset, size), preset.fit == "cover"))
        return tuple(steps)

    def scale(self, size: Size) -> int:
        """The denominator (1, 2, 4, 8) at which a JPEG of this size may be decoded."""
        needs = [needed(preset, size) for preset in self.presets]
        if self.analyze is not None:
            needs.append(analyzed(size))
        return 1 if self.optimize is not None else _scale(size, needs)

    def shrunk(self, size: Size, decoded: Size) -> int:
        """The denominator by which a picture of this size, decoded in that one, may be made smaller for thumbnails."""
        return _scale(decoded, [needed(preset, size) for preset in self.presets])


def analyzed(size: Size) -> Size:
    """The size at which a picture of this size is analysed."""
    factor = min(1.0, ANALYZED_SIDE / max(size))
    return (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))


def needed(preset: Preset, size: Size) -> Size:
    """The size that the whole picture has where this thumbnail is taken from it."""
    wide, high = size
    if preset.fit == "stretch":
        return (preset.width, preset.height)
    if preset.fit == "cover":
        factor = max(preset.width / wide, preset.height / high)
        return (max(1, round(wide * factor)), max(1, round(high * factor)))
    return scaled(preset, size)


def scaled(preset: Preset, size: Size) -> Size:
    """The size of the picture within the thumbnail; `contain` and `pad` never enlarge it."""
    if preset.fit in ("cover", "stretch"):
        return (preset.width, preset.height)
    factor = min(preset.width / size[0], preset.height / size[1], 1.0)
    return (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))


def canvas(preset: Preset, size: Size) -> Size:
    """The size of the thumbnail's file."""
    return scaled(preset, size) if preset.fit == "contain" else (preset.width, preset.height)


def crop_box(size: Size, shape: Size, centre: tuple[float, float] = (0.5, 0.5)) -> Box:
    """The largest box of the shape of `shape` within a picture of `size`, around `centre` (0–1 in each direction)."""
    factor = min(size[0] / shape[0], size[1] / shape[1])
    wide, high = min(float(size[0]), shape[0] * factor), min(float(size[1]), shape[1] * factor)
    left = min(max(0.0, centre[0] * size[0] - wide / 2), size[0] - wide)
    top = min(max(0.0, centre[1] * size[1] - high / 2), size[1] - high)
    return (left, top, left + wide, top + high)


def _parent(steps: list[Step], preset: Preset, size: Size) -> str | None:
    """The smallest thumbnail so far that shows the whole picture, unaltered, with enough pixels."""
    wide, high = needed(preset, size)
    best: Step | None = None
    for step in steps:
        if step.preset.fit not in ("contain", "pad") or step.preset.sharpen or step.preset.contrast:
            continue
        if step.preset.colorspace != preset.colorspace:
            continue
        enough = step.size[0] >= wide * PARENT_RATIO and step.size[1] >= high * PARENT_RATIO
        if enough and (best is None or _area(step.size) < _area(best.size)):
            best = step
    return best.preset.name if best else None


def _scale(size: Size, needs: Sequence[Size]) -> int:
    if not needs:
        return 1
    wide, high = max(n[0] for n in needs) * DRAFT_RATIO, max(n[1] for n in needs) * DRAFT_RATIO
    return next(d for d in DRAFT_SCALES if d == 1 or (size[0] / d >= wide and size[1] / d >= high))


def _area(size: Size) -> int:
    return size[0] * size[1]
