"""The registry: every layout of an output, one file each. The names that a configuration takes are derived from it."""

from __future__ import annotations

from hotfolder.store.layouts import mirror
from hotfolder.store.layouts.layout import Layout, Target, targets

BUILT_IN: tuple[Layout, ...] = (mirror.LAYOUT,)
PROMISED = ("sidecar", "freedesktop", "synology")
"""Names of the contract whose layouts are not written yet: a configuration that has one is told so."""
_known = {layout.name: layout for layout in BUILT_IN}


def register(layout: Layout) -> None:
    """Adds a layout, or puts another in the place of one of the same name."""
    _known[layout.name] = layout


def of(name: str) -> Layout:
    """The layout of this name. Raises KeyError."""
    return _known[name]


def known() -> tuple[str, ...]:
    """The names of those that can be used."""
    return tuple(_known)


def names() -> tuple[str, ...]:
    """All names that a configuration may have."""
    return tuple(dict.fromkeys((*_known, *PROMISED)))


def areas() -> tuple[bytes, ...]:
    """The folders of outputs that belong to a layout, whichever it is."""
    return tuple(dict.fromkeys(area for layout in _known.values() for area in layout.areas))


__all__ = ["Layout", "Target", "areas", "known", "names", "of", "register", "targets"]
