"""The analysis record: what is known of one image, as one flat value. Units and ranges are in docs/analysis.md.

None means that the file does not state it, or that this part of the analysis is switched off.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from functools import cache

BLURRED_BELOW = 0.15
"""A sharpness under this, in a picture that shows anything at all, means: likely blurred. See docs/analysis.md."""
BLANK_BELOW = 0.02
"""A contrast under this: a blank page or a lens cap, of which neither blur nor likeness can be judged."""

JUDGED_FROM = 64
"""Pixels of the shorter side from which on sharpness means something."""


VERDICTS = ("sharp", "blurred", "blank")
CAMERA_CLASSES = ("phone", "action", "camera", "unknown")
_CLASSES = (
    ("action", re.compile(r"\b(?:gopro|hero\d|dji|insta360|parrot|bushnell|sp360)", re.IGNORECASE)),
    (
        "phone",
        re.compile(
            r"\b(?:iphone|ipad|ipod|pixel|nexus|huawei|honor|xiaomi|redmi|poco|oneplus|oppo|vivo|realme|motorola|nokia|htc"
            r"|lge?|blackberry|fairphone|xperia|galaxy|samsung (?:sm|gt|sch|sgh|sph|shv)-|(?:sm|gt)-[a-z]\d)",
            re.IGNORECASE,
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Record:
    """One image. The first group always stands; then EXIF, position, pixels, hash and placeholder as configured."""

    format: str
    mode: str
    width: int
    height: int
    megapixels: float
    orientation: int
    animated: bool
    profile: str | None = None

    camera: str | None = None
    lens: str | None = None
    taken_at: str | None = None
    exposure_time: float | None = None
    f_number: float | None = None
    iso: int | None = None
    focal_length: float | None = None
    focal_length_35mm: float | None = None
    exposure_bias: float | None = None
    rating: int | None = None

    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None

    sharpness: float | None = None
    blur: float | None = None
    laplacian: float | None = None
    noise: float | None = None
    exposure: float | None = None
    clipped_low: float | None = None
    clipped_high: float | None = None
    contrast: float | None = None
    colourfulness: float | None = None
    colours: tuple[tuple[str, float], ...] | None = None

    phash: str | None = None
    placeholder: str | None = None

    @property
    def blurred(self) -> bool:
        """Likely blurred; False where it was not measured, shows nothing or is too small to tell."""
        if self.sharpness is None or self.contrast is None or min(self.width, self.height) < JUDGED_FROM:
            return False
        return self.sharpness < BLURRED_BELOW and self.contrast >= BLANK_BELOW

    @property
    def blank(self) -> bool:
        return self.contrast is not None and self.contrast < BLANK_BELOW

    @property
    def verdict(self) -> str | None:
        """``blurred``, ``blank`` or ``sharp``; None where the pixels were not measured."""
        if self.sharpness is None:
            return None
        return "blurred" if self.blurred else "blank" if self.blank else "sharp"

    @property
    def camera_class(self) -> str:
        """``phone``, ``action``, ``camera``, or ``unknown`` where the file names no maker."""
        if not self.camera:
            return "unknown"
        return next((kind for kind, pattern in _CLASSES if pattern.search(self.camera)), "camera")

    def to_json(self) -> str:
        """Compact, and the same text for the same record."""
        found = {name: getattr(self, name) for name in _names()}
        return json.dumps(found, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """What `to_json` has written, also where an older or newer version of this class has."""
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, found: dict[str, object]) -> Record:
        values = {name: value for name, value in found.items() if name in _names()}
        if isinstance(colours := values.get("colours"), list):
            values["colours"] = tuple((name, share) for name, share in colours)
        return cls(**values)  # type: ignore[arg-type]


@cache
def _names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(Record))
