"""Layout `mirror`: the tree of the sources again, once for thumbnails and once for copies.

The rules are the contract's ("Where renditions go").
"""

from __future__ import annotations

from hotfolder.imaging import formats
from hotfolder.presets import OPTIMIZED, OptimizeSpec, Preset
from hotfolder.store.layouts.layout import Target
from hotfolder.store.names import bounded, is_image_name, split

THUMBNAILS = b"thumbnails"
OPTIMIZED_FOLDER = b"optimized"


class Mirror:
    """``thumbnails/<folder>/<name><suffix>.<ext>`` and ``optimized/<folder>/<name>``."""

    name = "mirror"
    areas = (THUMBNAILS, OPTIMIZED_FOLDER)

    def thumbnail(self, name: bytes, preset: Preset, name_max: int) -> Target:
        """Where the source has the format's extension, it stays, as it is written; else it stands before the suffix."""
        own = formats.writing(preset.format).suffixes
        stem, extension = split(name)
        suffix = preset.suffix.encode()
        if extension.lower() in own and not is_image_name(stem):
            made = bounded(stem, suffix + extension, name, name_max)
        else:
            made = bounded(name, suffix + own[0], name, name_max)
        return Target(preset.name, THUMBNAILS, made)

    def copy(self, name: bytes, spec: OptimizeSpec, name_max: int) -> Target:
        """The source's own name under ``format: keep``; otherwise that name with the format's extension added."""
        if spec.format == "keep":
            made = bounded(*split(name), name, name_max)
        else:
            made = bounded(name, formats.writing(spec.format).suffixes[0], name, name_max)
        return Target(OPTIMIZED, OPTIMIZED_FOLDER, made)


LAYOUT = Mirror()
