"""The presets that are configured, the built-in ones among them."""

from __future__ import annotations

from hotfolder.config.schema import WrittenFormat
from hotfolder.presets import Fit
from hotfolder.services.answers import Answer
from hotfolder.services.offline import Knowing


class PresetSpec(Answer):
    """How a thumbnail is made; sizes in pixels, quality from 1 to 100."""

    width: int
    height: int
    fit: Fit
    format: WrittenFormat
    quality: int
    suffix: str


def presets(known: Knowing) -> dict[str, PresetSpec]:
    """By name."""
    return {
        name: PresetSpec(
            width=preset.width,
            height=preset.height,
            fit=preset.fit,
            format=preset.format,
            quality=preset.quality,
            suffix=preset.suffix,
        )
        for name, preset in known.config.all_presets().items()
    }
