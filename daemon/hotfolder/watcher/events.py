"""What may happen below a root, and who is notified of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from hotfolder.model import Kind


class Sink(Protocol):
    """Notified of events on the reader's thread: it may note, and must return."""

    def changed(self, path: bytes, kind: Kind) -> None:
        """A file. DELETED also where it was moved away; MOVED where it came from elsewhere."""

    def folder_changed(self, path: bytes, kind: Kind) -> None:
        """A folder: what lies below it has to be looked at (CREATED, MOVED, ATTRIB), or it went (DELETED)."""

    def moved(self, old: bytes, new: bytes, *, is_folder: bool) -> None:
        """Renamed within the tree; DELETED of the old path was reported before and is taken back by this."""

    def overflow(self, moved_away: Collection[bytes]) -> None:
        """Events were lost. Of these paths it may be the second half of a rename: DELETED of them is in doubt."""


class Keeper(Protocol):
    """Who has a tree watched: asked which folders belong to it, and notified where that cannot be done."""

    def enters(self, folder: bytes) -> bool:
        """Whether this folder is to be watched."""

    def root_gone(self) -> None:
        """The root was deleted, moved or unmounted."""

    def unwatched(self, folder: bytes, error: OSError) -> None:
        """This folder cannot be watched: the limit is reached, or it may not be read."""

    def deaf(self) -> None:
        """The tree has to be watched anew: its reader has ended, or an event was lost to a bug."""


def limit(name: str) -> int:
    """A limit of the kernel's inotify, such as ``max_user_watches``; 0 where there is none."""
    try:
        with open(f"/proc/sys/fs/inotify/{name}", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0
