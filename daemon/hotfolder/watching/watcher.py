"""One watch at work: its events, what workers tell of it, and what follows when its root comes or goes.

Owns the intake, the tree of kernel watches, the condition and the rounds (the thread that walks).
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future

from hotfolder import logs
from hotfolder.config import Watch
from hotfolder.errors import Reason
from hotfolder.keeping import atomic, folders, sources
from hotfolder.keeping.database import Database
from hotfolder.metrics import Metrics
from hotfolder.model import Job, Outcome, Result
from hotfolder.watching import condition, moving
from hotfolder.watching.condition import Condition
from hotfolder.watching.coverage import Coverage
from hotfolder.watching.inotify import TreeWatcher
from hotfolder.watching.intake import Intake
from hotfolder.watching.rounds import Request, Rounds
from hotfolder.watching.rules import Rules
from hotfolder.watching.settle import Pace
from hotfolder.working.queue import JobQueue
from hotfolder.working.site import Site

log = logs.get("watching")


class Watcher:
    """`live`: with events (the daemon); otherwise it only reconciles when asked (scan)."""

    def __init__(
        self, config: Watch, site: Site, rules: Rules, index: Database, queue: JobQueue, metrics: Metrics,
        kick: Callable[[], None], *, live: bool,
    ) -> None:  # fmt: skip
        self.config = config
        self.site = site
        self.rules = rules
        self._index = index
        self._queue = queue
        self._metrics = metrics
        self._kick = kick
        self.live = live
        self.condition = Condition(config.name, metrics)
        self.coverage = Coverage(config.path, config.backend)
        pace = Pace(config.settle, config.settle_after_close, lambda path: not self.coverage.by_events(path))
        self.intake = Intake(config.name, rules, pace, self, metrics)
        self._tree: TreeWatcher | None = None
        self.rounds = Rounds(self, index, queue, metrics, kick, live=live)

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Watch, and (live) ask for the first reconcile."""
        self._metrics.know_watch(self.config.name)
        self.intake.start()
        if self.live:
            self.watch_tree()
            self.rounds.start_live()
        self.condition.show()
        self.rounds.start()

    def end(self) -> None:
        """Begin no more walks; `stop` waits."""
        self.rounds.end()

    def stop(self) -> None:
        self.end()
        if self._tree is not None:
            self._tree.stop()
        self.intake.stop()
        self.rounds.stop()

    def request(self, request: Request) -> Request:
        """Ask for a reconcile; `request.done` is set when it, and the work that it found, has been done."""
        return self.rounds.request(request)

    def watch_tree(self) -> None:
        """Begin with events, anew where there were some; and with polls where events do not reach."""
        if self._tree is not None:
            self._tree.stop()
            self._tree = None
        self.coverage.rewatch()
        self.condition.set(condition.EVENTS, None)
        self.condition.polled = self.coverage.mostly_polled
        if self.coverage.by_events(b""):
            tree = TreeWatcher(self.config.path, self._watches, self.intake, recursive=self.config.recursive)
            try:
                tree.start()
            except OSError as error:
                self.fall_back(b"", error)
            else:
                self._tree = tree
        if self.coverage.polled():
            self.rounds.poll_within(0.0 if self.condition.polled else self.config.poll_interval)

    def _watches(self, folder: bytes) -> bool:
        return self.coverage.by_events(folder) and self.rules.enters(folder)

    def ensure(self, folder: bytes) -> None:
        """Have the events of this folder from now on, where it has any. Called before it is listed."""
        if self._tree is not None and self.coverage.by_events(folder):
            self._tree.ensure(folder)

    def knows(self, path: bytes) -> bool:
        """Whether something is known to have happened to it that has not been worked on yet."""
        return self.intake.knows(path) or self.queued(path)

    def queued(self, path: bytes) -> bool:
        """Whether it waits for a worker or is in work."""
        return self._queue.holds(self.config.name, path)

    @property
    def watches(self) -> int:
        """Kernel watches in use."""
        return self._tree.watches if self._tree is not None else 0

    # -- what workers and the beat tell --------------------------------------------------------------------------------

    def told(self, job: Job, outcome: Outcome) -> None:
        """How a job of this watch ended."""
        if outcome.result is Result.CHANGED:
            self.intake.again(job, outcome.look)
            if outcome.reason is Reason.UNREACHABLE:
                self._hangs()
        elif outcome.reason is Reason.OUTPUT_ERROR and outcome.message:
            self.condition.set(condition.OUTPUT, outcome.message)
        elif outcome.result is Result.DONE and condition.OUTPUT in self.condition.troubles:
            self.condition.set(condition.OUTPUT, None)
            self._index.write(lambda c: sources.release(c, self.site.id)).add_done_callback(lambda done: self._kick())
        elif outcome.result is Result.RETRIED and outcome.reason is Reason.UNREACHABLE:
            self.rounds.look_for_root()

    def check(self, index_problem: str | None, workers: int) -> None:
        """Part of the daemon's beat; touches no root. A mount that may hang gets at most half of the workers."""
        self.rounds.limit_jobs(max(1, workers // 2) if self.site.network else None)
        self.condition.set(condition.INDEX, f"the index cannot be written: {index_problem}" if index_problem else None)
        if self.rounds.hangs():
            self._hangs()

    def mounts_changed(self) -> None:
        """Something was mounted or unmounted somewhere."""
        places = self.coverage.refresh()
        if places:
            log.info("mounts_changed", watch=self.config.name, path=places[0] or b".", places=len(places))
            self.rules.forget()
            self.request(Request(tuple(places)))
        elif not self.coverage.root_remounted:
            return  # elsewhere on this machine: nothing of ours
        if self.coverage.polled():
            self.rounds.poll_within(self.config.poll_interval)
        self.condition.polled = self.coverage.mostly_polled
        self.condition.show()
        if self.coverage.root_remounted:
            self.rounds.look_for_root()

    def _hangs(self) -> None:
        if self.condition.set(condition.ROOT, f"{self.config.path} does not answer"):
            self.rounds.look_for_root()

    # -- Outlet: called by the intake ----------------------------------------------------------------------------------

    def look_at(self, job: Job) -> None:
        """Into the fresh lane; where that is full the source waits in the index, as part of the backlog."""
        if self._queue.offer(job):
            return
        folder, _, name = job.path.rpartition(b"/")

        def wait(connection: sqlite3.Connection) -> None:
            folder_id = folders.ensure(connection, self.site.id, folder, folds=self.site.folds)
            sources.wait(connection, self.site.id, folder_id, name, time.time(), young=True)

        def waits(done: Future[None]) -> None:
            if done.exception() is not None:
                self.intake.again(job, None)  # the index cannot be written for now
            self._kick()

        self._index.write(wait).add_done_callback(waits)

    def reconcile(self, folder: bytes) -> None:
        self.request(Request((folder,)))

    def events_lost(self) -> None:
        self.rounds.events_lost()

    def folder_moved(self, old: bytes, new: bytes) -> None:
        try:
            root_fd = atomic.open_root(self.site.root)
        except OSError:
            return  # the root is away: its own event says so
        try:
            moving.move_folder(self._index, self.site, root_fd, old, new)
        finally:
            os.close(root_fd)
        self.request(Request((new,)))
        self.folder_deleted(old)

    def folder_deleted(self, folder: bytes) -> None:
        """An event said so: what was below it is gone for certain, and no guard holds it."""
        folder_id = folders.find(self._index.read(), self.site.id, folder)
        if folder_id is None or self._exists(folder) or folders.has_mounts(self._index.read(), folder_id):
            return

        def mark(connection: sqlite3.Connection) -> None:
            for _ in range(2):
                sources.mark_gone(connection, (), (folder_id,))

        self._index.write(mark).result()
        self.rounds.sweep_soon()

    def _exists(self, folder: bytes) -> bool:
        try:
            root_fd = atomic.open_root(self.site.root)
        except OSError:
            return True  # unknown
        try:
            return not atomic.is_gone(root_fd, folder)
        finally:
            os.close(root_fd)

    def offline(self) -> None:
        """The root went; it is looked for until it is back."""
        self.condition.set(condition.ROOT, f"{self.config.path} is away")
        self.rounds.look_for_root()

    def fall_back(self, folder: bytes, error: OSError) -> None:
        """This folder cannot be watched: it is polled, with all below it."""
        if error.errno in (errno.ENOSPC, errno.EMFILE, errno.ENFILE):
            limit = "max_user_watches" if error.errno == errno.ENOSPC else "max_user_instances"
            text = f"the kernel's limit is reached: raise fs.inotify.{limit}; until then folders are polled"
            self.condition.set(condition.EVENTS, text)
        elif folder == b"" and error.errno == errno.ENOENT:
            self.offline()
            return
        self.coverage.unwatched(folder)
        self.rounds.poll_within(self.config.poll_interval)
