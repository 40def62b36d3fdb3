"""Pixels, and nothing of the daemon: decode once, make every rendition. Imports only presets and errors.

What stands here is loaded when it is asked for: names and types of formats (`imaging.formats`) are needed at every
start, pictures are not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hotfolder.imaging import native
    from hotfolder.imaging.analysis.analyze import analyze_bytes
    from hotfolder.imaging.decoding.decode import Limits, Opened, open_image, stated_size
    from hotfolder.imaging.decoding.reading import read_all
    from hotfolder.imaging.formats import LENIENT, decoders, extra_names, installed_extras, is_hollow, sniff
    from hotfolder.imaging.memory import PHOTO_PIXELS, peak, photo_peak
    from hotfolder.imaging.native import Stop
    from hotfolder.imaging.plan import Plan
    from hotfolder.imaging.record import Record
    from hotfolder.imaging.rendering.resize import has_simd
    from hotfolder.imaging.rendition import Rendition
    from hotfolder.imaging.renditions import (
        SMALL_TYPE,
        Part,
        Rendered,
        narrowed,
        render,
        render_parts,
        sizes,
        small_jpeg,
    )

_FROM = {
    "analysis.analyze": ("analyze_bytes",),
    "decoding.decode": ("Limits", "Opened", "open_image", "stated_size"),
    "decoding.reading": ("read_all",),
    "formats": ("LENIENT", "decoders", "extra_names", "installed_extras", "is_hollow", "sniff"),
    "memory": ("PHOTO_PIXELS", "peak", "photo_peak"),
    "native": ("Stop",),
    "plan": ("Plan",),
    "record": ("Record",),
    "rendition": ("Rendition",),
    "renditions": (
        "SMALL_TYPE",
        "Part",
        "Rendered",
        "narrowed",
        "render",
        "render_parts",
        "sizes",
        "small_jpeg",
    ),
    "rendering.resize": ("has_simd",),
}
_MODULE = {name: module for module, names in _FROM.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "native":
        return import_module(f"{__name__}.native")
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
    return found


def load() -> None:
    """All of it now: no picture waits for it later, and none meets what an update has put in its place."""
    for module in _FROM:
        import_module(f"{__name__}.{module}")


__all__ = [
    "LENIENT",
    "PHOTO_PIXELS",
    "SMALL_TYPE",
    "Limits",
    "Opened",
    "Part",
    "Plan",
    "Record",
    "Rendered",
    "Rendition",
    "Stop",
    "analyze_bytes",
    "decoders",
    "extra_names",
    "has_simd",
    "installed_extras",
    "is_hollow",
    "load",
    "narrowed",
    "native",
    "open_image",
    "peak",
    "photo_peak",
    "read_all",
    "render",
    "render_parts",
    "sizes",
    "small_jpeg",
    "sniff",
    "stated_size",
]
