"""Sources that were being decoded when the process died, or when their thread hung: a helper decides about each.

Kept in the index until that has happened; a few at most, so that they stand in memory, too.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable

from hotfolder.index.database import Database
from hotfolder.loop import Loop
from hotfolder.model import Job

Key = tuple[int, bytes]


class Suspects:
    """By the id of the watch and the path."""

    def __init__(self, index: Database) -> None:
        self._index = index
        self._lock = threading.Lock()
        rows = index.read().execute("SELECT watch_id, path FROM suspect").fetchall()
        self._known: set[Key] = {(watch_id, path) for watch_id, path in rows}

    def __contains__(self, key: Key) -> bool:
        return key in self._known  # asked for every job; a set's membership is atomic

    def all(self) -> list[Key]:
        with self._lock:
            return sorted(self._known)

    def add(self, keys: Iterable[Key]) -> None:
        """Committed when this returns. Raises sqlite3.Error."""
        rows = [(*key, time.time()) for key in keys]
        query = "INSERT OR IGNORE INTO suspect (watch_id, path, noted_at) VALUES (?, ?, ?)"
        self._index.write(lambda c: c.executemany(query, rows)).result()
        with self._lock:
            self._known |= {(watch_id, path) for watch_id, path, _ in rows}

    def clear(self, key: Key) -> None:
        """It has been decided."""
        with self._lock:
            if key not in self._known:
                return
            self._known.discard(key)
        query = "DELETE FROM suspect WHERE watch_id = ? AND path = ?"
        self._index.write(lambda c: c.execute(query, key))


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
