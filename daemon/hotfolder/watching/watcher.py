"""One watch at work: its events, its reconciles one after the other, and what follows when a root comes or goes.

Owns the intake, the tree of kernel watches and one thread that reconciles. A reconcile is asked for by anyone, any
number of times: requests for one folder are one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hotfolder import logs, mounts
from hotfolder.config import Watch
from hotfolder.keeping import atomic, folders, sources
from hotfolder.keeping.database import Database
from hotfolder.metrics import Metrics
from hotfolder.model import Job, Lane
from hotfolder.watching import moving
from hotfolder.watching.grounds import RootAway
from hotfolder.watching.inotify import TreeWatcher
from hotfolder.watching.intake import Intake
from hotfolder.watching.reconcile import Findings, Reconcile
from hotfolder.watching.rules import Rules
from hotfolder.watching.schedule import Schedule
from hotfolder.watching.settle import Pace
from hotfolder.watching.sweep import Guard, sweep
from hotfolder.working.queue import JobQueue
from hotfolder.working.site import Site

AWAY_SECONDS = 2.0
"""How often a root that is away is looked for."""
IDLE_SECONDS = 0.2

log = logs.get("watching")


@dataclass(slots=True)
class Request:
    """A reconcile that somebody waits for."""

    folders: tuple[bytes, ...]
    verify: bool = False
    confirm: bool = False
    findings: list[Findings] = field(default_factory=list)
    problem: str | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Watcher:
    """`live`: with events (the daemon); otherwise it only reconciles when asked (scan)."""

    def __init__(
        self, config: Watch, site: Site, rules: Rules, index: Database, queue: JobQueue, metrics: Metrics,
        kick: Callable[[], None], *, live: bool,
    ) -> None:  # fmt: skip
        self.config = config
        self.site = site
        self.rules = rules
        self.state = "ok"
        self.held = 0
        self._index = index
        self._queue = queue
        self._metrics = metrics
        self._kick = kick
        self._live = live
        self._guard = Guard(config.delete_guard.fraction, config.delete_guard.min)
        pace = Pace(config.settle, config.settle_after_close, site.network)
        self.intake = Intake(config.name, rules, pace, self, metrics)
        self._tree: TreeWatcher | None = None
        self._backend = self._choose_backend()
        self._changed = threading.Condition()
        self._requests: list[Request] = []
        self._open: list[Request] = []
        self._stopped = False
        self._nudged = False
        self._offline = False
        self._degraded = False
        self._reconciled = False
        self._sweep_wanted = False
        self._confirm = False
        self._schedule = Schedule(config.poll_interval, config.rescan_interval)
        self._thread = threading.Thread(target=self._run, name=f"hotfolder-reconcile-{config.name}", daemon=True)

    def _choose_backend(self) -> str:
        """Events where the file system has them; network mounts, also those below the root, are polled."""
        if self.config.backend != "auto":
            return self.config.backend
        known = mounts.read()
        root = os.fsencode(os.path.realpath(self.config.path))
        mount = mounts.of(root, known)
        backend: str = mounts.backend_for(mount.fstype) if mount else "inotify"
        below = [m for m in known if m.point.startswith(root.rstrip(b"/") + b"/")]
        if backend == "inotify" and any(mounts.backend_for(m.fstype) != "inotify" for m in below):
            return "hybrid"
        return backend

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Watch, and (live) ask for the first reconcile."""
        self._metrics.know_watch(self.config.name)
        self.intake.start()
        if self._live:
            self._watch_tree()
            self.request(Request((b"",)))
            self._schedule.plan_rescan()
        self._show_state()
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._tree is not None:
            self._tree.stop()
        self.intake.stop()
        if self._thread.ident is not None:
            self._thread.join(5.0)
        for request in (*self._requests, *self._open):
            request.problem = "stopped"
            request.done.set()

    def _watch_tree(self) -> None:
        if self._backend == "polling":
            self._schedule.poll_within(0.0)
            return
        tree = TreeWatcher(self.config.path, self.rules.enters, self.intake, recursive=self.config.recursive)
        try:
            tree.start()
        except OSError as error:
            self._fall_back(error)
            return
        self._tree = tree
        if self._backend == "hybrid":
            self._schedule.poll_within(self.config.poll_interval)

    @property
    def watches(self) -> int:
        """Kernel watches in use."""
        return self._tree.watches if self._tree is not None else 0

    def _show_state(self) -> None:
        if self._offline:
            self.state = "offline"
        elif self._degraded or self.held:
            self.state = "degraded"
        else:
            self.state = "polling" if self._backend == "polling" else "ok"
        self._metrics.set_state(self.config.name, self.state)
        self._metrics.held_deletions.labels(self.config.name).set(self.held)

    # -- Outlet: called by the intake ----------------------------------------------------------------------------------

    def look_at(self, job: Job) -> None:
        """Into the fresh lane; where that is full the source waits in the index, as part of the backlog."""
        if self._queue.offer(job):
            return
        folder, _, name = job.path.rpartition(b"/")

        def wait(connection: sqlite3.Connection) -> None:
            folder_id = folders.ensure(connection, self.site.id, folder, folds=self.site.folds)
            sources.wait(connection, self.site.id, folder_id, name, time.time(), young=True)

        self._index.write(wait).add_done_callback(lambda done: self._kick())

    def reconcile(self, folder: bytes) -> None:
        self.request(Request((folder,)))

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
        with self._changed:
            self._sweep_wanted = self._nudged = True
            self._changed.notify_all()

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
        with self._changed:
            self._offline = self._nudged = True
            self._changed.notify_all()
        log.error(
            "root_away", watch=self.config.name, path=os.fsencode(self.config.path), next="waiting for its return"
        )
        self._show_state()

    def fall_back(self, folder: bytes, error: OSError) -> None:
        self._fall_back(error, folder)

    def _fall_back(self, error: OSError, folder: bytes = b"") -> None:
        if not self._degraded:
            remedy = "raise fs.inotify.max_user_watches; until then this watch is polled, too"
            log.warning("not_watched", watch=self.config.name, path=folder or b".", error=error, next=remedy)
        self._degraded = True
        self._schedule.poll_within(self.config.poll_interval)
        self._show_state()

    # -- reconciling ---------------------------------------------------------------------------------------------------

    def request(self, request: Request) -> Request:
        """Ask for a reconcile; `request.done` is set when it, and the work that it found, has been done."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
        return request

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_to_do, self._wait_seconds())
                if self._stopped:
                    return
                requests, self._requests = self._requests, []
                self._nudged = False
            try:
                if self._offline and not self._returned():
                    self._give_up(requests)
                    continue
                if self._schedule.is_due():
                    requests.append(Request((b"",)))
                for request in requests:
                    self._reconcile(request, requests)
                self._after_work()
            except sqlite3.Error as error:
                log.error("reconcile_failed", watch=self.config.name, error=error)
                for request in requests:
                    request.problem = f"the index cannot be written: {error}"
                    request.done.set()

    def _has_to_do(self) -> bool:
        return self._stopped or self._nudged or bool(self._requests)

    def _wait_seconds(self) -> float | None:
        if self._offline:
            return AWAY_SECONDS
        if self._open or self._sweep_wanted:
            return IDLE_SECONDS
        return self._schedule.seconds()

    def _reconcile(self, request: Request, beside: list[Request]) -> None:
        whole = any(b"" in other.folders and other is not request and not other.done.is_set() for other in beside)
        if whole and b"" not in request.folders and not request.verify:
            self._open.append(request)  # a walk of everything is part of this round anyway
            return
        for folder in request.folders:
            walk = Reconcile(
                self._index, self.site, self.rules, ensure=self._ensure, known=self._knows,
                stop=lambda: self._stopped, verify=request.verify,
            )  # fmt: skip
            try:
                findings = walk.run(folder)
            except RootAway as error:
                request.problem = str(error)
                self.offline()
                request.done.set()
                return
            request.findings.append(findings)
            self._note_end(folder, findings)
        self._confirm = self._confirm or request.confirm
        self._sweep_wanted = True
        self._open.append(request)
        self._kick()

    def _note_end(self, folder: bytes, findings: Findings) -> None:
        name = self.config.name
        if not folder:
            self._metrics.reconcile_seconds.labels(name).observe(findings.seconds)
            self._metrics.last_reconcile.labels(name).set(time.time())
            if self._reconciled and self._live and self._backend != "polling":
                self._metrics.missed_changes.labels(name).inc(findings.unannounced)
            self._reconciled = self._reconciled or findings.complete
            if self._backend != "inotify" or self._degraded:
                self._schedule.polled(findings.seconds)
        log.debug(
            "reconciled", watch=name, path=folder or b".", sources=findings.sources, new=findings.new,
            changed=findings.changed, vanished=findings.vanished, seconds=findings.seconds,
        )  # fmt: skip

    def _ensure(self, folder: bytes) -> bool:
        return self._tree.ensure(folder) if self._tree is not None else True

    def _knows(self, path: bytes) -> bool:
        return self.intake.knows(path) or self._queue.holds(self.config.name, path)

    def _after_work(self) -> None:
        """When nothing of this watch waits any more: sweep, and tell those who wait for that."""
        if not (self._sweep_wanted or self._open) or not self.idle():
            return
        if self._sweep_wanted:
            swept = sweep(
                self._index, self.site, self.rules, self._guard, self._offer_patiently, confirm=self._confirm
            )  # fmt: skip
            self._sweep_wanted = self._confirm = False
            self.held = swept.held
            self._show_state()
            if swept.removed:
                return  # comes again when the removals have been done
        done, self._open = self._open, []
        for request in done:
            request.done.set()

    def idle(self) -> bool:
        """Nothing of this watch is noted, waits or is in work."""
        if self.intake.waiting or self._queue.busy(self.config.name):
            return False
        query = "SELECT 1 FROM source WHERE state = 0 AND retry_at <= ? AND watch_id = ? LIMIT 1"
        return self._index.read().execute(query, (time.time() + IDLE_SECONDS, self.site.id)).fetchone() is None

    def _offer_patiently(self, job: Job) -> bool:
        while not self._queue.offer(job):
            if self._stopped:
                return False
            self._queue.wait_room(Lane.BACKLOG, IDLE_SECONDS)
        return True

    # -- a root that was away ------------------------------------------------------------------------------------------

    def _returned(self) -> bool:
        try:
            os.close(atomic.open_root(self.config.path))
        except OSError:
            return False
        self._offline = False
        if self._live:
            if self._tree is not None:
                self._tree.stop()
                self._tree = None
            self.rules.forget()
            self._watch_tree()
            self.request(Request((b"",)))
            log.info("root_back", watch=self.config.name, next="reconcile")
        self._show_state()
        return True

    def _give_up(self, requests: list[Request]) -> None:
        for request in requests:
            request.problem = f"{self.config.path} is away"
            request.done.set()
