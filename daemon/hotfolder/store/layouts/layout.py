"""What a layout is: which name each rendition of a source gets, and in which area of the output it lies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from hotfolder.presets import OptimizeSpec, Preset
from hotfolder.store.names import NAME_MAX


@dataclass(frozen=True, slots=True)
class Target:
    """One rendition's place: its preset, its area below the output, its file name."""

    preset: str
    area: bytes
    name: bytes


class Layout(Protocol):
    """Pure naming, from a source's name alone. A rendition lies at ``<output>/<area>/<folder of its source>/<name>``:
    index, renames of folders and notes of what is in work stand on that."""

    @property
    def name(self) -> str:
        """As the configuration calls it."""

    @property
    def areas(self) -> tuple[bytes, ...]:
        """Folders of the output that are the layout's own: nothing of others may lie in them."""

    def thumbnail(self, name: bytes, preset: Preset, name_max: int) -> Target:
        """Of a source of this name. The target's name has at most `name_max` bytes; presets are told apart by their
        suffixes, since the names of those of orders are no names of files."""

    def copy(self, name: bytes, spec: OptimizeSpec, name_max: int) -> Target:
        """The same of the optimized copy."""


def targets(
    layout: Layout, name: bytes, presets: Iterable[Preset], optimize: OptimizeSpec | None, name_max: int = NAME_MAX
) -> tuple[Target, ...]:
    """All renditions of a source of this name."""
    found = [layout.thumbnail(name, preset, name_max) for preset in presets]
    if optimize is not None:
        found.append(layout.copy(name, optimize, name_max))
    return tuple(found)
