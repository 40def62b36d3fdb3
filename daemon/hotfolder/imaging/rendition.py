"""One rendition as a value: what is drawn here, what the index keeps and what is reported are this, or more of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rendition:
    """Pixels, bytes, and a note: ``larger`` than its source, or ``kept`` where none could be made."""

    preset: str
    width: int
    height: int
    bytes: int
    note: str
