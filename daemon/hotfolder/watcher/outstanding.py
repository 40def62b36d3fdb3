"""What of one watch is known and not done yet: noted, in the queue, or a row that waits in the index."""

from __future__ import annotations

import time
from collections.abc import Callable

from hotfolder.index import backlog
from hotfolder.index.database import Database
from hotfolder.model import Job, Lane
from hotfolder.pipeline.retries import SCAN_DELAYS
from hotfolder.queue.queue import JobQueue
from hotfolder.watcher.intake import Intake
from hotfolder.watcher.watched import Watched

IDLE_SECONDS = 0.2
"""How often who waits for an end looks for it."""


class Outstanding:
    """`feed`: rows wait that did not before."""

    def __init__(
        self, watched: Watched, index: Database, queue: JobQueue, intake: Intake, feed: Callable[[], None]
    ) -> None:
        self._watched = watched
        self._index = index
        self._queue = queue
        self._intake = intake
        self.feed = feed

    def knows(self, path: bytes) -> bool:
        """Whether something is known to have happened to it that has not been worked on yet."""
        return self._intake.knows(path) or self.queued(path)

    def look_again(self, folder: bytes) -> None:
        """Something below it may have gone or moved, or is left out by now: what is in work there may have been opened
        before, and is looked at once more when it has ended. Raises OSError where the machine is short of something."""
        prefix = folder + b"/" if folder else b""
        now = time.monotonic()
        for path in self._queue.in_work(self._watched.name):
            if path.startswith(prefix):
                unwanted = not self._watched.rules.is_source(path)
                self._queue.offer(Job(self._watched.name, path, Lane.FRESH, now, now, unwanted=unwanted))

    def queued(self, path: bytes) -> bool:
        """Whether it waits for a worker or is in work."""
        return self._queue.holds(self._watched.name, path)

    def is_idle(self) -> bool:
        """Nothing is noted, waits or is in work; of a scan, that decides, nor waits for another try."""
        working = self._intake.waiting or self._queue.busy(self._watched.name)
        return not working and not self._rows_wait(tries=not self._watched.live)

    def is_only_fresh(self) -> bool:
        """What walks found has been done; only what comes in anew may not."""
        return not self._queue.depth(Lane.BACKLOG, self._watched.name) and not self._rows_wait()

    def _rows_wait(self, *, tries: bool = False) -> bool:
        soon = time.time() + IDLE_SECONDS
        by = soon + max(SCAN_DELAYS) if tries else None
        return backlog.any_due(self._index.read(), self._watched.site.id, soon, by)

    def deletions(self) -> tuple[list[bytes], list[bytes]]:
        """The files and the folders whose deletion events reported, and that no worker has begun with."""
        files, folders = self._intake.deletions()
        return files + self._queue.deleted(self._watched.name), folders
