"""What came of one job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hotfolder.errors import Reason
from hotfolder.model import Result, Version

if TYPE_CHECKING:
    from hotfolder.imaging.record import Record
    from hotfolder.imaging.rendition import Rendition


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a worker reports of one job."""

    result: Result
    renditions: tuple[Rendition, ...] = ()
    source_bytes: int = 0
    seconds: float = 0.0
    reason: Reason | None = None
    message: str = ""
    extra: str = ""
    retry_at: float | None = None
    """RETRIED: when it is tried again, in seconds since 1970."""
    notes: tuple[str, ...] = ()
    look: Version | None = None
    """CHANGED: what was seen, for the next look to compare with."""
    stirs: bool = False
    """CHANGED: it was seen to change, or someone has it open for writing; not only that nothing is known of it yet."""
    old_path: bytes | None = None
    """REUSED by a rename: where the source and its renditions were before."""
    removed: bool = False
    """GONE: its row and renditions have been removed."""
    record: Record | None = None
    """What the analysis found, where it was made."""
    source_id: int | None = None
    """Its row in the index, where it has one."""
