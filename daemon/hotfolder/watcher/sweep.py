"""What reconciles did not find is removed, never more at once than the guard allows; then whoever waits is answered.

A sweep only offers jobs: the worker queries the judge (pipeline/judge.py) before anything goes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from hotfolder import paths
from hotfolder.index import deletions, folders, report, watches
from hotfolder.index.database import Database
from hotfolder.index.sources import Row
from hotfolder.model import Job, Lane
from hotfolder.queue.queue import JobQueue
from hotfolder.telemetry import logs
from hotfolder.watcher.agenda import Agenda
from hotfolder.watcher.outstanding import IDLE_SECONDS, Outstanding
from hotfolder.watcher.presence import Root
from hotfolder.watcher.watched import Watched

PAGE = 500
SWEEP_SECONDS = 5.0
"""After so long what comes in anew no longer keeps a sweep waiting; what the walk found still does."""

log = logs.get("watching")


@dataclass(frozen=True, slots=True)
class Guard:
    """A reconcile that would remove more than both of these holds them until a second one agrees."""

    fraction: float
    least: int

    def holds(self, missing: int, total: int) -> bool:
        return missing > self.least and missing > self.fraction * total


@dataclass(frozen=True, slots=True)
class Swept:
    """How many sources were handed on for removal, and how many are held."""

    removed: int = 0
    held: int = 0


class _NoRoom(Exception):
    """The queue takes no more for now: the rest goes when what it has taken is done."""


class Sweeper:
    """Called on the thread of the rounds."""

    def __init__(
        self,
        watched: Watched,
        index: Database,
        queue: JobQueue,
        agenda: Agenda,
        root: Root,
        outstanding: Outstanding,
    ) -> None:
        self._watched = watched
        self._index = index
        self._queue = queue
        self._agenda = agenda
        self._root = root
        self._outstanding = outstanding
        self._guard = Guard(watched.config.delete_guard.fraction, watched.config.delete_guard.min)

    def after_work(self) -> None:
        """When nothing of this watch waits any more: sweep, and answer those who wait for that."""
        agenda, since = self._agenda, self._agenda.sweep_since
        if since is None and not agenda.open:
            return
        idle = self._outstanding.is_idle()
        if since is not None and (idle or self._is_long_ago(since)):
            try:
                with self._root.touch, agenda.sweeping() as confirmed:
                    swept = self._sweep(confirm=confirmed)
            except _NoRoom:
                return
            agenda.swept(swept.held)
            self._watched.condition.hold(swept.held)
            if swept.removed:
                return  # comes again when the removals have been done
        if idle:
            self._watched.site.adopts.clear()
            agenda.answer()

    def _is_long_ago(self, since: float) -> bool:
        """Files that never stop to come do not keep what is gone."""
        return time.monotonic() - since >= SWEEP_SECONDS and self._outstanding.is_only_fresh()

    def _sweep(self, *, confirm: bool) -> Swept:
        """Offer a removal for each source that is marked gone."""
        index, site = self._index, self._watched.site
        missing, total = deletions.uncertain(index.read(), site.id), report.total(index.read(), site.id)
        if missing and watches.has_moved(index.read(), site.id):
            another = f"{site.root} is another root than before"
            self._warn(missing, total, f"{another}; `hotfolder scan --confirm-deletes`, if it is the right one")
            return Swept(held=missing)
        times = deletions.CONFIRMED if self._guard.holds(missing, total) and not confirm else 1
        removed = 0
        after = 0
        held = missing if times > 1 else 0
        while page := deletions.gone(index.read(), site.id, after, PAGE, times):
            after = page[-1].id
            for row in page:
                self._remove(row)
            removed += len(page)
        if held:
            self._warn(held, total, "they go when a second reconcile agrees, or by `hotfolder scan --confirm-deletes`")
        return Swept(removed, held)

    def _warn(self, held: int, total: int, following: str) -> None:
        log.warning("deletions_held", watch=self._watched.name, count=held, of=total, next=following)

    def _remove(self, row: Row) -> None:
        """Raises _NoRoom, since a lane may be held, or stand still until this very thread has found the root again."""
        path = paths.join(folders.path_of(self._index.read(), row.folder_id), row.name)
        now = time.monotonic()
        unwanted = not self._watched.rules.is_source(path)
        job = Job(self._watched.name, path, Lane.BACKLOG, now, now, deleted=True, rested=True, unwanted=unwanted)
        while not self._queue.offer(job):
            if not self._queue.wait_room(Lane.BACKLOG, IDLE_SECONDS):
                raise _NoRoom
        self._root.answers()
