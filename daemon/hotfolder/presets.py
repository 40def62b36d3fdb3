"""Presets: named thumbnail specifications, and the specification of the optimized copy.

Pure values: nothing here reads a file or knows a pixel. A specification's `signature` is made of its fields alone,
so that an update of a library or of hotfolder makes nothing again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

Fit = Literal["contain", "cover", "stretch", "pad"]
Format = str
"""The name of a format that can be written: one of `imaging.formats.written()`."""
Gravity = Literal["centre", "attention"]
Colorspace = Literal["srgb", "p3", "keep"]
OptimizeMode = Literal["lossless", "lossy", "auto"]
MetadataRule = Literal["keep", "safe", "strip"]

OPTIMIZED = "optimized"
"""The name under which the optimized copy stands beside the presets in the index and in results."""
ANALYSIS = "analysis"
"""The name under which the analysis record is asked for beside the presets; it is no file."""

DEFAULT_FORMAT: Format = "jpeg"
"""What every program shows."""


@dataclass(frozen=True, slots=True)
class Preset:
    """How one thumbnail is made. Sizes in pixels, quality on libjpeg's scale 1–100, background as #rrggbb."""

    name: str
    width: int
    height: int
    fit: Fit = "contain"
    format: Format = DEFAULT_FORMAT
    quality: int = 85
    suffix: str = ""
    background: str = "#ffffff"
    gravity: Gravity = "centre"
    progressive: bool = True
    sharpen: float = 0.0
    contrast: float = 0.0
    colorspace: Colorspace = "srgb"

    @property
    def signature(self) -> str:
        return _signature(self)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class OptimizeSpec:
    """How the optimized copy is made: `max_dimension` in pixels, `min_saving` a fraction, `quality` as libjpeg's."""

    mode: OptimizeMode = "lossy"
    quality: int = 85
    max_dimension: int | None = None
    format: Format | Literal["keep"] = "keep"
    metadata: MetadataRule = "safe"
    min_saving: float = 0.03
    target: float = 85.0
    sharpen: float = 0.0
    contrast: float = 0.0
    auto_enhance: bool = False

    @property
    def signature(self) -> str:
        return _signature(self)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class AnalyzeSpec:
    """Which parts the analysis record has; what the header says is always in it."""

    exif: bool = True
    gps: bool = False
    pixels: bool = True
    phash: bool = True
    placeholder: bool = True

    @property
    def signature(self) -> str:
        return _signature(self)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@lru_cache(256)  # a few specifications, asked for with every image
def _signature(spec: Preset | OptimizeSpec | AnalyzeSpec) -> str:
    """32 hex digits over the fields in alphabetical order; a preset's name is no field of what it makes."""
    fields = {key: value for key, value in asdict(spec).items() if key != "name"}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


BUILT_IN: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("small", 150, 150, suffix="_thumb_small"),
        Preset("medium", 300, 300, suffix="_thumb_medium"),
        Preset("large", 600, 600, suffix="_thumb_large"),
        Preset("preview", 1200, 800, suffix="_preview"),
        Preset("square", 400, 400, fit="cover", suffix="_square"),
        Preset("banner", 1200, 300, fit="cover", suffix="_banner"),
    )
}
