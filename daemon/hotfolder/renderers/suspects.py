"""Sources that were being decoded when the process died, or when their thread hung: a helper decides about each.

Kept in the index until that has happened; a few at most, so that they stand in memory, too.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable

from hotfolder.index import suspects
from hotfolder.index.database import Database
from hotfolder.index.suspects import Key
from hotfolder.loop import Loop
from hotfolder.model import Job


class Suspects:
    """By the id of the watch and the path."""

    def __init__(self, index: Database) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._known: set[Key] = set()

    def load(self) -> None:
        """Those of former lives; once the index is open."""
        self._known = suspects.keys(self._index.read())

    def __contains__(self, key: Key) -> bool:
        return key in self._known  # asked for every job; a set's membership is atomic

    def all(self) -> list[Key]:
        with self._lock:
            return sorted(self._known)

    def add(self, keys: Iterable[Key]) -> None:
        """Committed when this returns. Raises sqlite3.Error."""
        added = set(keys)
        self._index.write(lambda c: suspects.add(c, added, time.time())).result()
        with self._lock:
            self._known |= added

    def clear(self, key: Key) -> None:
        """It has been decided."""
        with self._lock:
            if key not in self._known:
                return
            self._known.discard(key)
        self._index.write(lambda c: suspects.remove(c, key))


class Line:
    """Suspects are worked on one after the other, on a thread of their own, so that none holds up a worker."""

    def __init__(self, work: Callable[[Job], None]) -> None:
        self._work = work
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.loop = Loop("suspects", self._round)

    def add(self, job: Job) -> None:
        """The thread starts with the first; most daemons never have one. Called by all workers."""
        self._jobs.put(job)
        self.loop.start()

    def stop(self) -> None:
        """Begin no more; a helper that is at work is not waited for."""
        self.loop.end()
        self._jobs.put(None)

    def _round(self) -> bool:
        job = self._jobs.get()
        if job is None:
            return False
        self._work(job)
        return True
