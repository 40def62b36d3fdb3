"""Rows that wait become jobs as room comes.

Never more than a page of them: the backlog itself stands in the index, whatever its size.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping

from hotfolder.index import backlog, deletions, folders
from hotfolder.index.backlog import Waiting
from hotfolder.index.database import Database
from hotfolder.loop import Loop
from hotfolder.model import Job, Lane
from hotfolder.queue.queue import JobQueue
from hotfolder.telemetry import logs

PAGE = 256
POLL_SECONDS = 0.5
CLOCK_SECONDS = 60.0
"""Looked at again after this at the latest: the clock may be set meanwhile."""
_START = (-1.0, 0)

log = logs.get("working")


class Feeder:
    """Pages what waits in the index into the backlog lane, oldest and untried first.

    Each watch has its share of the lane, so that a slow one holds up no other. `watches` returns ids and names of those
    whose roots are there.
    """

    def __init__(self, index: Database, queue: JobQueue, watches: Callable[[], Mapping[int, str]]) -> None:
        self._index = index
        self._queue = queue
        self._watches = watches
        self._changed = threading.Condition()
        self._kicked = True
        self.loop = Loop("feeder", self._round, self._changed, again=self.kick)

    def start(self) -> None:
        self.loop.start()

    def kick(self) -> None:
        """Something waits that did not before."""
        with self._changed:
            self._kicked = True
            self._changed.notify_all()

    def stop(self) -> None:
        self.loop.stop()

    def _round(self) -> bool:
        self.loop.rest(lambda: self._kicked, self._pause())
        self._kicked = False  # before it feeds: a kick from here on is another round
        try:
            self._feed()
        except sqlite3.Error as error:
            log.error("backlog_unreadable", error=error)
        return True

    def _pause(self) -> float | None:
        """Seconds until a row that is put off becomes due; None where none is."""
        try:
            moments = [backlog.next_retry(self._index.read(), each, time.time()) for each in self._watches()]
        except sqlite3.Error:
            return POLL_SECONDS
        first = min((moment for moment in moments if moment is not None), default=None)
        return None if first is None else max(POLL_SECONDS / 5, min(first - time.time(), CLOCK_SECONDS))

    def _feed(self) -> None:
        """Until each watch has nothing more that is due."""
        watches = self._watches()
        lanes = self._lanes(watches)
        after = dict.fromkeys(watches, _START)
        while after and not self.loop.stopped:
            shares = {each: self._share(lanes[each], len(after)) for each in after}
            fed = False
            for watch_id in list(after):
                lane, name = lanes[watch_id], watches[watch_id]
                room = min(PAGE, shares[watch_id] - self._queue.depth(lane, name))
                if room <= 0:
                    continue
                young = lane is Lane.FRESH
                page = backlog.due(self._index.read(), watch_id, time.time(), after[watch_id], room, young=young)
                if not page:
                    del after[watch_id]
                for row in page:
                    if not self._offer(name, row, lane):
                        break
                    after[watch_id] = (row.retry_at, row.id)
                    fed = True
            if not fed and after:
                waited = {(lanes[each], watches[each]): shares[each] for each in after}
                self._queue.wait_share(waited, POLL_SECONDS)
            if self._watches() != watches or self._lanes(watches) != lanes:
                self.kick()  # a root came or went, the backlog was held or is so no more
                return

    def _lanes(self, watches: Mapping[int, str]) -> dict[int, Lane]:
        """The lane in which each watch's rows go. Where its backlog is held, drops that had no place go on as such."""
        holds_back = self._queue.holds_back
        return {
            each: Lane.FRESH if holds_back(Lane.BACKLOG, name) and not holds_back(Lane.FRESH, name) else Lane.BACKLOG
            for each, name in watches.items()
        }

    def _share(self, lane: Lane, watches: int) -> int:
        """Of the fresh lane only a part: new drops must still find room."""
        capacity = self._queue.capacity if lane is Lane.BACKLOG else self._queue.capacity // 4
        return max(1, capacity // watches)

    def _offer(self, watch: str, row: Waiting, lane: Lane) -> bool:
        """False where the lane has no room."""
        connection = self._index.read()
        folder = folders.path_of(connection, row.folder_id)
        path = folder + b"/" + row.name if folder else row.name
        if self._queue.holds(watch, path):
            return True
        # It may have been done since its page was read.
        if not backlog.waits(connection, row.id):
            return True
        now = time.monotonic()
        deleted = row.gone >= deletions.CONFIRMED
        return self._queue.offer(Job(watch, path, lane, now, now, rested=not row.young, deleted=deleted))
