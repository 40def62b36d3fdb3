"""A layout from outside: the suffix first, thumbnails in `tiles`, copies in `whole`."""

from __future__ import annotations

from hotfolder.imaging import formats
from hotfolder.presets import OPTIMIZED, OptimizeSpec, Preset
from hotfolder.store import layouts
from hotfolder.store.layouts import Target
from hotfolder.store.names import bounded


class Toy:
    """``tiles/<folder>/<suffix>--<name>.<ext>`` and ``whole/<folder>/<name>``."""

    name = "toy"
    areas = (b"tiles", b"whole")

    def thumbnail(self, name: bytes, preset: Preset, name_max: int) -> Target:
        end = formats.writing(preset.format).suffixes[0]
        made = bounded(preset.suffix.encode() + b"--" + name, end, name, name_max)
        return Target(preset.name, b"tiles", made)

    def copy(self, name: bytes, spec: OptimizeSpec, name_max: int) -> Target:
        return Target(OPTIMIZED, b"whole", bounded(name, b"", name, name_max))


layouts.register(Toy())
