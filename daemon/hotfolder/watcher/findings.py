"""What one reconcile has found, and how much of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Findings:
    """`complete`: every folder was listed to its end. `stopped`: the walk was ended before its own end."""

    sources: int = 0
    new: int = 0
    changed: int = 0
    vanished: int = 0
    missed: Counter[bytes] = field(default_factory=Counter)
    """What no event had announced, by the mount that it lies on."""
    to_read: int = 0
    """Bytes of the new and changed sources."""
    complete: bool = True
    unread: set[bytes] = field(default_factory=set)
    """Folders to try again."""
    away: Counter[bytes] = field(default_factory=Counter)
    """Sources that lie on a volume that is not there now, by the folder in which they were missed."""
    stopped: bool = False
    seconds: float = 0.0
