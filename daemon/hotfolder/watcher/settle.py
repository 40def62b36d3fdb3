"""When is a path that something happened to due to be looked at? Pure: events and times in, due times out.

A close after writing, or a rename, is enough by itself; where neither is seen a quiet time serves. What a look found
unfinished waits again, longer each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hotfolder.model import Kind, Version

DELETE_SECONDS = 2.0
"""A deletion waits this long, so that delete-and-make-again changes nothing."""
TWICE_SECONDS = 10.0
"""A path that is closed again within this time is still being worked on by someone."""
LONGEST_WAIT = 5.0
NETWORK_WAIT = 5.0
"""Network file systems cache attributes: two looks are at least this far apart."""


@dataclass(slots=True)
class Note:
    """What is known of one path until it is looked at. Times are of time.monotonic()."""

    path: bytes
    first: float
    due: float
    seen_changing: float | None = None
    closed: bool = False
    deleted: bool = False
    look: Version | None = None
    waits: int = 0
    hint: bytes | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """The times of one watch, in seconds."""

    settle: float = 0.5
    after_close: float = 0.0
    slow: Callable[[bytes], bool] = lambda path: False
    """Whether attributes of this path may be cached by a network file system."""

    def event(self, note: Note | None, path: bytes, kind: Kind, now: float, last_close: float | None) -> Note:
        """The note after an event; `last_close` is when the path was closed before, if lately."""
        if note is None:
            note = Note(path, now, now + self.settle)
        note.seen_changing = now
        note.look = None
        note.waits = 0
        if kind in (Kind.CREATED, Kind.MOVED):
            note.deleted = False  # a file that is closed after its deletion is no new one
        if kind is Kind.DELETED:
            note.deleted = True
            note.due = now + DELETE_SECONDS
        elif kind is Kind.MOVED:
            note.closed = True
            note.due = now
        elif kind is Kind.CLOSED:
            again = last_close is not None and now - last_close < TWICE_SECONDS
            note.closed = True
            note.due = now + (max(self.settle, self.after_close) if again else self.after_close)
        elif note.closed:
            note.due = min(note.due, now + self.settle)
        else:
            note.due = now + self.settle
        return note

    def unfinished(self, note: Note, look: Version | None, now: float) -> Note:
        """The note after a look that found a writer, or nothing to compare with."""
        note.waits += 1
        note.look = look
        note.closed = False
        wait = NETWORK_WAIT if self.slow(note.path) else min(LONGEST_WAIT, self.settle * 2 ** min(note.waits - 1, 8))
        note.due = now + max(wait, 0.05)
        return note
