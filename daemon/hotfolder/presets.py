"""The one truth of presets: the options of thumbnails, optimized copies and analyses, with their bounds and defaults.

Configuration, API and docs are derived from the fields here (`config/derived.py`): a new option is a new field. Pure
values: nothing here reads a file or knows a pixel. A specification's `signature` is made of its fields alone, so that
an update of a library or of hotfolder makes nothing again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most that a number may be."""

    least: float
    most: float


Fit = Literal["contain", "cover", "stretch", "pad"]
Gravity = Literal["centre", "attention"]
Colorspace = Literal["srgb", "p3", "keep"]
Hdr = Literal["drop", "keep"]
OptimizeMode = Literal["lossless", "lossy", "auto"]
MetadataRule = Literal["keep", "safe", "strip"]
Format = Annotated[str, "written"]
"""The name of a format that can be written: one of `imaging.formats.written()`."""
CopyFormat = Annotated[str, "copied"]
"""What a copy's format can be: one of `imaging.formats.copied()`; "keep" is that of the source."""
Pixels = Annotated[int, Bounds(1, 65535)]
Quality = Annotated[int, Bounds(1, 100)]
"""As libjpeg counts."""
Fraction = Annotated[float, Bounds(0, 1)]
Score = Annotated[float, Bounds(1, 100)]
"""SSIMULACRA2."""
Sharpen = Annotated[float, Bounds(0, 5)]
Contrast = Annotated[float, Bounds(-1, 1)]

OPTIMIZED = "optimized"
"""The name under which the optimized copy stands beside the presets in the index and in results."""
ANALYSIS = "analysis"
"""The name under which the analysis record is asked for beside the presets; it is no file."""

DEFAULT_FORMAT: Format = "jpeg"
"""What every program shows."""


@dataclass(frozen=True, slots=True)
class Preset:
    """How one thumbnail is made. `background` as #rrggbb."""

    name: str
    width: Pixels
    height: Pixels
    fit: Fit = "contain"
    format: Format = DEFAULT_FORMAT
    quality: Quality = 85
    suffix: str = ""
    background: str = "#ffffff"
    gravity: Gravity = "centre"
    progressive: bool = True
    sharpen: Sharpen = 0.0
    contrast: Contrast = 0.0
    colorspace: Colorspace = "srgb"
    hdr: Hdr = "drop"

    @property
    def signature(self) -> str:
        return _signature(self)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


CHOSEN = ("width", "height", "fit", "format", "quality", "suffix")
"""The options by which presets are shown, and which callers of the API choose for sizes of their own."""


@dataclass(frozen=True, slots=True)
class OptimizeSpec:
    """How the optimized copy is made. `max_dimension`: of its longer side; `target`: what mode `auto` keeps."""

    # Whole numbers, as they stand in the signatures of copies that were made before.
    mode: OptimizeMode = "lossy"
    quality: Quality = 85
    max_dimension: Pixels | None = None
    format: CopyFormat = "keep"
    metadata: MetadataRule = "safe"
    min_saving: Fraction = 0.03
    target: Score = 85
    sharpen: Sharpen = 0
    contrast: Contrast = 0
    auto_enhance: bool = False

    @property
    def signature(self) -> str:
        return _signature(self)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


COPY_CHOSEN = ("mode", "quality", "max_dimension", "format")
"""The options of a copy that callers of the API choose."""


@dataclass(frozen=True, slots=True)
class AnalyzeSpec:
    """Which parts the analysis record has; what the header states is always in it."""

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


_LATER = {"hdr": "drop"}
"""Options that came later, with their defaults, by which nothing that was made before changes."""


@lru_cache(256)  # a few specifications, asked for with every image
def _signature(spec: Preset | OptimizeSpec | AnalyzeSpec) -> str:
    """32 hex digits over the fields in alphabetical order; a preset's name is no field of what it makes."""
    fields = {key: value for key, value in asdict(spec).items() if key != "name" and _LATER.get(key) != value}
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
