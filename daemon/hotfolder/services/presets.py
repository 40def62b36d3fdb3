"""The presets that are configured, the built-in ones among them."""

from __future__ import annotations

from hotfolder.config.derived import derived
from hotfolder.presets import CHOSEN, Preset
from hotfolder.services.answers import Answer
from hotfolder.services.offline import Knowing


@derived(Preset, only=CHOSEN, shown=True)
class PresetSpec(Answer):
    """How a thumbnail is made; sizes in pixels, quality from 1 to 100."""


def presets(known: Knowing) -> dict[str, PresetSpec]:
    """By name."""
    return {
        name: PresetSpec(**{option: getattr(preset, option) for option in CHOSEN})
        for name, preset in known.config.all_presets().items()
    }
