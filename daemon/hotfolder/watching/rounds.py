"""The thread that walks one watch: reconciles one after the other, then sweeps, and looks for a root that is away.

A reconcile is asked for by anyone, any number of times: requests for one folder are one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hotfolder import logs
from hotfolder.keeping import atomic, watches
from hotfolder.keeping.database import Database
from hotfolder.metrics import Metrics
from hotfolder.model import Job, Lane
from hotfolder.watching import condition
from hotfolder.watching.grounds import Grounds, RootAway
from hotfolder.watching.reconcile import Findings, Reconcile
from hotfolder.watching.schedule import Schedule
from hotfolder.watching.sweep import Guard, sweep
from hotfolder.working.oversight import HUNG_SECONDS
from hotfolder.working.queue import JobQueue

if TYPE_CHECKING:
    from hotfolder.watching.watcher import Watcher

AWAY_SECONDS = 2.0
"""How often a root that is away is looked for."""
IDLE_SECONDS = 0.2

log = logs.get("watching")


@dataclass(slots=True)
class Request:
    """A reconcile that somebody waits for. `expected`: what it finds need not have been announced by events."""

    folders: tuple[bytes, ...]
    verify: bool = False
    confirm: bool = False
    adopt: bool = False
    expected: bool = True
    findings: list[Findings] = field(default_factory=list)
    problem: str | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Rounds:
    """Started once; `live`: polls and rescans by itself."""

    def __init__(
        self, watcher: Watcher, index: Database, queue: JobQueue, metrics: Metrics, kick: Callable[[], None], *,
        live: bool,
    ) -> None:  # fmt: skip
        self._watcher = watcher
        self._name = watcher.config.name
        self._index = index
        self._queue = queue
        self._metrics = metrics
        self._kick = kick
        self._live = live
        self._guard = Guard(watcher.config.delete_guard.fraction, watcher.config.delete_guard.min)
        self._schedule = Schedule(watcher.config.poll_interval, watcher.config.rescan_interval)
        self._changed = threading.Condition()
        self._requests: list[Request] = []
        self._open: list[Request] = []
        self._stopped = False
        self._nudged = False
        self._away = False
        self._most_jobs: int | None = None
        self._touching: float | None = None
        self._reconciled = False
        self._sweep_wanted = False
        self._confirm = False
        self._thread = threading.Thread(target=self._run, name=f"hotfolder-reconcile-{self._name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def start_live(self) -> None:
        """The first reconcile, and the regular ones."""
        self.request(Request((b"",)))
        self._schedule.plan_rescan()

    def end(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def stop(self) -> None:
        """After `end`. A walk of a mount that hangs is left behind."""
        if self._thread.ident is not None:
            self._thread.join(0.5 if self.hangs() else 5.0)
        for request in (*self._requests, *self._open):
            request.problem = "stopped"
            request.done.set()

    # -- asking -------------------------------------------------------------------------------------------------------

    def request(self, request: Request) -> Request:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
        return request

    def events_lost(self) -> None:
        with self._changed:
            self._schedule.events_lost()
            self._nudge()

    def poll_within(self, seconds: float) -> None:
        with self._changed:
            self._schedule.poll_within(seconds)
            self._nudge()

    def sweep_soon(self) -> None:
        with self._changed:
            self._sweep_wanted = True
            self._nudge()

    def look_for_root(self) -> None:
        """The root may be away: its jobs wait until it answers."""
        with self._changed:
            if not self._away:
                self._away = True
                self._queue.limit(self._name, 0)
            self._nudge()

    def limit_jobs(self, most: int | None) -> None:
        """So many jobs of this watch may be in work at once, while its root is there."""
        with self._changed:
            if most != self._most_jobs:
                self._most_jobs = most
                if not self._away:
                    self._queue.limit(self._name, most)

    def _nudge(self) -> None:
        self._nudged = True
        self._changed.notify_all()

    def hangs(self) -> bool:
        """Whether the root has not answered for long."""
        since = self._touching
        return since is not None and time.monotonic() - since > HUNG_SECONDS

    @contextmanager
    def _touch(self) -> Iterator[None]:
        """What may hang; within it `_step` says that it goes on."""
        self._touching = time.monotonic()
        try:
            yield
        finally:
            self._touching = None

    def _step(self) -> None:
        if self._touching is not None:
            if self.hangs():
                self._watcher.condition.set(condition.ROOT, None)
            self._touching = time.monotonic()

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_to_do, self._wait_seconds())
                if self._stopped:
                    return
                requests, self._requests = self._requests, []
                self._nudged = False
            try:
                if self._away and not self._found():
                    self._give_up(requests)
                    continue
                self._walk(requests)
                self._after_work()
            except (sqlite3.Error, OSError) as error:
                log.error("reconcile_failed", watch=self._name, reason=str(error), next="tried again")
                self._schedule.try_again({b""})
                for request in requests:
                    request.problem = str(error)
                    request.done.set()

    def _has_to_do(self) -> bool:
        return self._stopped or self._nudged or bool(self._requests)

    def _wait_seconds(self) -> float | None:
        if self._away:
            return AWAY_SECONDS
        if self._open or self._sweep_wanted:
            return IDLE_SECONDS
        return self._schedule.seconds()

    def _walk(self, requests: list[Request]) -> None:
        with self._changed:
            lost, poll = self._schedule.lost_due(), self._schedule.poll_due()
            if lost:
                requests.append(Request((b"",)))
            if self._schedule.rescan_due():
                requests.append(Request((b"",), expected=False))
            if again := self._schedule.again_due():
                requests.append(Request(again))
        if poll and (places := self._watcher.coverage.polled()):
            polled = Request(places)
            requests.append(polled)
        else:
            polled = None
        for request in requests:
            self._reconcile(request, requests)
        with self._changed:
            if lost:
                self._schedule.walked_for_lost()
            if polled is not None:
                self._schedule.polled(sum(each.seconds for each in polled.findings))

    def _reconcile(self, request: Request, beside: list[Request]) -> None:
        whole = any(b"" in other.folders and other is not request and not other.done.is_set() for other in beside)
        if whole and b"" not in request.folders and not request.verify:
            self._open.append(request)  # a walk of everything is part of this round anyway
            return
        if request.adopt:
            self._watcher.site.adopts.set()
        if request.confirm:
            self._index.write(lambda c: watches.confirm(c, self._watcher.site.id)).result()
        for folder in dict.fromkeys(request.folders):
            walk = Reconcile(
                self._index, self._watcher.site, self._watcher.rules, ensure=self._watcher.ensure,
                known=self._watcher.knows, ground=self._watcher.coverage.ground, step=self._step,
                stop=lambda: self._stopped, verify=request.verify,
            )  # fmt: skip
            try:
                with self._touch():
                    findings = walk.run(folder)
            except RootAway as error:
                request.problem = str(error)
                self._watcher.offline()
                request.done.set()
                return
            request.findings.append(findings)
            self._note_end(folder, findings, expected=request.expected)
        self._confirm = self._confirm or request.confirm
        self._sweep_wanted = True
        self._open.append(request)
        self._kick()

    def _note_end(self, folder: bytes, findings: Findings, *, expected: bool) -> None:
        if self._live:
            self._schedule.try_again(findings.unread)
        if not folder:
            self._metrics.reconcile_seconds.observe(findings.seconds)
            self._metrics.last_reconcile.labels(self._name).set(time.time())
            if self._live and self._reconciled and not expected:
                self._count_missed(findings)
            self._reconciled = self._reconciled or findings.complete
            if findings.complete:
                self._schedule.all_read()
        log.debug(
            "reconciled", watch=self._name, path=folder or b".", sources=findings.sources, new=findings.new,
            changed=findings.changed, vanished=findings.vanished, seconds=findings.seconds,
        )  # fmt: skip

    def _count_missed(self, findings: Findings) -> None:
        """Changes that no event announced; who misses again and again is deaf, and polled from then on."""
        watcher = self._watcher
        self._metrics.missed_changes.labels(self._name).inc(findings.missed.total())
        for ground in watcher.coverage.missed(findings.missed):
            log.warning(
                "deaf", watch=self._name, path=ground or b".", next="polled from now on",
                why="three reconciles in a row found changes that no event had announced",
            )  # fmt: skip
            watcher.condition.polled = watcher.coverage.mostly_polled
            watcher.condition.show()
            self._schedule.poll_within(watcher.config.poll_interval)

    def _after_work(self) -> None:
        """When nothing of this watch waits any more: sweep, and tell those who wait for that."""
        if not (self._sweep_wanted or self._open) or not self.idle():
            return
        if self._sweep_wanted:
            with self._touch():
                swept = sweep(
                    self._index, self._watcher.site, self._watcher.rules, self._guard, self._offer_patiently,
                    confirm=self._confirm,
                )  # fmt: skip
            self._sweep_wanted = self._confirm = False
            self._watcher.condition.hold(swept.held)
            if swept.removed:
                return  # comes again when the removals have been done
        done, self._open = self._open, []
        self._watcher.site.adopts.clear()
        for request in done:
            request.done.set()

    def idle(self) -> bool:
        """Nothing of this watch is noted, waits or is in work."""
        if self._watcher.intake.waiting or self._queue.busy(self._name):
            return False
        query = "SELECT 1 FROM source WHERE state = 0 AND retry_at <= ? AND watch_id = ? LIMIT 1"
        now = time.time() + IDLE_SECONDS
        return self._index.read().execute(query, (now, self._watcher.site.id)).fetchone() is None

    def _offer_patiently(self, job: Job) -> bool:
        while not self._queue.offer(job):
            if self._stopped:
                return False
            self._step()
            self._queue.wait_room(Lane.BACKLOG, IDLE_SECONDS)
        self._step()
        return True

    # -- a root that was away ------------------------------------------------------------------------------------------

    def _found(self) -> bool:
        """Look whether the root answers, and is the one that was there before."""
        watcher = self._watcher
        try:
            with self._touch():
                root_fd = atomic.open_root(watcher.config.path)
                try:
                    with os.scandir(root_fd) as entries:
                        next(entries, None)
                    Grounds(self._index, watcher.site).same_root(root_fd, remember=False)
                finally:
                    os.close(root_fd)
        except RootAway as error:
            watcher.condition.set(condition.ROOT, str(error))
            return False
        except OSError as error:
            watcher.condition.set(condition.ROOT, f"{watcher.config.path}: {os.strerror(error.errno or 0)}")
            return False
        self._away = False
        self._queue.limit(self._name, self._most_jobs)
        watcher.condition.set(condition.ROOT, None)
        if self._live:
            watcher.rules.forget()
            watcher.coverage.refresh()
            watcher.watch_tree()
            self.request(Request((b"",)))
        return True

    def _give_up(self, requests: list[Request]) -> None:
        for request in (*requests, *self._open):
            request.problem = f"{self._watcher.config.path} is away"
            request.done.set()
        self._open = []
