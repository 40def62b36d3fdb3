"""hotfolder: drop an image into a folder; a moment later every rendition you need is there, and it stays right.

The library face is `render`, `batch`, `open_index`, `Preset` and `OptimizeSpec`; see docs/library.md. Importing the
package costs nothing: what is asked for is imported then.
"""

from __future__ import annotations

import importlib

from hotfolder.version import VERSION

TYPE_CHECKING = False  # typing is slow to import, and this package is the first that a command imports
if TYPE_CHECKING:
    from hotfolder.errors import HotfolderError, MissingExtra, SourceError
    from hotfolder.library import batch, open_index, render
    from hotfolder.presets import OptimizeSpec, Preset

__version__ = VERSION
__all__ = ["HotfolderError", "MissingExtra", "OptimizeSpec", "Preset", "SourceError", "batch", "open_index", "render"]

_HOMES = {
    "errors": ("HotfolderError", "MissingExtra", "SourceError"),
    "library": ("batch", "open_index", "render"),
    "presets": ("OptimizeSpec", "Preset"),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"hotfolder.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
