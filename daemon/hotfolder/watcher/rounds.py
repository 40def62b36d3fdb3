"""The thread that walks one watch: reconciles one after the other, then sweeps, and looks for a root that is away.

A reconcile is asked for by anyone, any number of times: requests for one folder are one.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable

from hotfolder.errors import Owner, SourceError
from hotfolder.index import backlog, watches
from hotfolder.index.database import Database
from hotfolder.index.deletions import Mark
from hotfolder.loop import Loop
from hotfolder.model import Job, Lane
from hotfolder.queue.queue import JobQueue
from hotfolder.telemetry import logs
from hotfolder.telemetry.metrics import Metrics
from hotfolder.watcher import condition
from hotfolder.watcher.findings import Findings
from hotfolder.watcher.presence import ROOT_SECONDS, Presence, Touch
from hotfolder.watcher.reconcile import Reconcile
from hotfolder.watcher.request import Request
from hotfolder.watcher.schedule import Schedule
from hotfolder.watcher.sweep import Guard, sweep
from hotfolder.watcher.walk import Ground
from hotfolder.watcher.watched import Watched
from hotfolder.watches.grounds import RootAway

AWAY_SECONDS = 2.0
"""How often a root that is away is looked for."""
IDLE_SECONDS = 0.2
SWEEP_SECONDS = 5.0
"""After so long what comes in anew no longer keeps a sweep waiting; what the walk found still does."""
SECOND_LOOK_SECONDS = 10.0
"""After a walk for lost events that found more missing than the guard lets pass."""

log = logs.get("watching")


class Rounds:
    """Started once; `live`: polls and rescans by itself."""

    def __init__(
        self, watcher: Watched, index: Database, queue: JobQueue, metrics: Metrics, kick: Callable[[], None], *,
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
        self._touch, self._output_touch = Touch(), Touch()
        self._presence = Presence(watcher, index, self._touch, self._output_touch)
        self._schedule = Schedule(watcher.config.poll_interval, watcher.config.rescan_interval)
        self._changed = threading.Condition()
        self._requests: list[Request] = []
        self._open: list[Request] = []
        self._nudged = False
        self._anew = False
        self._away = True  # nothing begins before the root has been seen, on this thread
        self._looked = threading.Event()
        self._most_jobs: int | None = None
        self._reconciled = False
        self._sweep_since: float | None = None
        self._lost_mark = self._again_mark = Mark.ONCE_MORE
        self._walked_for_lost = False
        self._confirm = False
        self._at_work: list[Request] = []
        self.loop = Loop("reconcile", self._round, self._changed, subject=self._name, again=self._try_again)

    def start(self) -> None:
        self._limit()
        if self._live:
            self._schedule.plan_rescan()
        self.loop.start()
        self.look_for_root()

    def wait_for_look(self, seconds: float) -> None:
        """Until root and output have been looked at for the first time, or so long."""
        self._looked.wait(seconds)

    def end(self) -> None:
        self.loop.end()

    def stop(self) -> None:
        """After `end`. A walk of a mount that hangs is left behind."""
        self.loop.join(0.5 if self.silent() else 5.0)
        self.give_up("stopped")

    # -- asking -------------------------------------------------------------------------------------------------------

    def request(self, request: Request) -> Request:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
        return request

    def events_lost(self, *, deleted: bool) -> None:
        """`deleted`: those that came told of deletions, so that others may have been among the lost ones."""
        with self._changed:
            self._lost_mark = Mark.CERTAIN if deleted else self._lost_mark
            self._schedule.events_lost()
            self._nudge()

    def look_soon(self, folder: bytes) -> None:
        """A source was not found there, and nobody had said that it went."""
        with self._changed:
            self._schedule.look_soon(folder)
            self._nudge()

    def poll_within(self, seconds: float) -> None:
        with self._changed:
            self._schedule.poll_within(seconds)
            self._nudge()

    def sweep_soon(self) -> None:
        with self._changed:
            self._sweep_since = self._sweep_since or time.monotonic()
            self._nudge()

    def look_again(self, folder: bytes) -> None:
        """Something in it could not be seen: it is walked again before long."""
        with self._changed:
            self._schedule.try_again({folder})
            self._nudge()

    def watch_anew(self) -> None:
        """Events come no more: watch the tree again, and walk it for what was missed."""
        with self._changed:
            self._anew = True
            self._nudge()

    def look_for_root(self) -> None:
        """The root may be away: its jobs wait until it answers."""
        with self._changed:
            if not self._away:
                self._away = True
                self._limit()
            self._nudge()

    def limit_jobs(self, most: int | None) -> None:
        """So many jobs of this watch may be in work at once, while its root is there."""
        with self._changed:
            if most != self._most_jobs:
                self._most_jobs = most
                self._limit()

    def _limit(self) -> None:
        self._queue.limit(self._name, 0 if self._away or not self._watcher.site.habits.ready else self._most_jobs)

    def _nudge(self) -> None:
        self._nudged = True
        self._changed.notify_all()

    def silent(self) -> str | None:
        """What has not answered for long: condition.ROOT, or condition.OUTPUT while it is prepared."""
        if self._touch.hangs:
            return condition.ROOT
        return condition.OUTPUT if self._output_touch.hangs else None

    def give_up(self, problem: str) -> None:
        """Whoever waits for a reconcile is told so; what the thread of the rounds is at goes on."""
        with self._changed:
            waiting = [each for each in (*self._requests, *self._at_work, *self._open) if not each.done.is_set()]
            self._requests = []
        for request in waiting:
            request.problem = problem
            request.end()

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _round(self) -> bool:
        with self._changed:
            self._changed.wait_for(self._has_to_do, self._wait_seconds())
            if self.loop.stopped:
                return False
            self._at_work = requests = self._requests
            self._requests = []
            self._nudged = False
            anew, self._anew = self._anew, False
        if anew and not self._away:  # when a root is back its tree is watched anyway
            self._watch_anew()
        try:
            there = not self._away or self._found(requests)
            ready = self._prepared()
            self._looked.set()
            if not (there and ready):
                self._give_up()
                return True
            self._look_at_root()
            self._walk(requests)
            self._after_work()
        except (sqlite3.Error, OSError, SourceError) as error:
            if isinstance(error, SourceError) and error.reason.owner is Owner.OUTPUT:
                self._watcher.output_failed(error.message)
            log.error("reconcile_failed", watch=self._name, reason=str(error), next="tried again")
            self._schedule.try_again({b""})
            for request in requests:
                self._fail(request, str(error))
        return True

    def _fail(self, request: Request, problem: str) -> None:
        self._keep_mark(request)
        request.problem = problem
        request.end()

    def _watch_anew(self) -> None:
        try:
            with self._touch:
                self._watcher.watch_tree()
        except BaseException:
            self._anew = True
            raise
        self.request(Request((b"",)))

    def _try_again(self) -> None:
        """A round ended in the midst: nobody waits for it in vain, and the whole root is walked again."""
        self._schedule.try_again({b""})
        for request in self._at_work:
            if request not in self._open:
                self._fail(request, "internal error: the log has it")
        with self._changed:
            self._nudge()

    def _look_at_root(self) -> None:
        if self._live and self._presence.is_replaced():
            log.warning("root_replaced", watch=self._name, next="watched anew, and reconciled")
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Another folder may lie there than before: nothing that was known of it counts."""
        self._watcher.rules.forget()
        with self._touch:
            self._watcher.coverage.begin_anew()
            self._watcher.watch_tree()
        self.request(Request((b"",)))

    def _has_to_do(self) -> bool:
        return self.loop.stopped or self._nudged or bool(self._requests)

    def _wait_seconds(self) -> float | None:
        if self._away or not self._watcher.site.habits.ready:
            return AWAY_SECONDS
        if self._open or self._sweep_since is not None:
            return IDLE_SECONDS
        seconds = self._schedule.seconds()
        return min(ROOT_SECONDS, ROOT_SECONDS if seconds is None else seconds) if self._live else seconds

    def _walk(self, requests: list[Request]) -> None:
        with self._changed:
            lost, poll = self._schedule.lost_due(), self._schedule.poll_due()
            if lost:
                requests.append(Request((b"",), mark=self._lost_mark))
                self._lost_mark, self._walked_for_lost = Mark.ONCE_MORE, True
            if self._schedule.rescan_due():
                requests.append(Request((b"",), expected=False))
            if again := self._schedule.again_due():
                requests.append(Request(again, mark=self._again_mark))
                self._again_mark = Mark.ONCE_MORE
            soon = Request(self._schedule.soon_due(), mark=Mark.HINTED)
        polled = Request(self._watcher.coverage.polled() if poll else ())
        requests += [request for request in (soon, polled) if request.folders]
        try:
            for request in requests:
                self._reconcile(request, requests)
        finally:
            with self._changed:
                if lost:
                    self._schedule.walked_for_lost()
                if soon.folders:
                    self._schedule.looked(soon.seconds)
                if polled.folders:
                    self._schedule.polled(polled.seconds)

    def _keep_mark(self, request: Request) -> None:
        """It is walked again: what was known of deletions counts then, too."""
        if request.mark is Mark.CERTAIN:
            self._again_mark = Mark.CERTAIN

    def _reconcile(self, request: Request, beside: list[Request]) -> None:
        whole = any(b"" in other.folders and other is not request and not other.done.is_set() for other in beside)
        if whole and b"" not in request.folders and not request.verify and request.mark is not Mark.CERTAIN:
            self._open.append(request)  # a walk of everything is part of this round anyway
            return
        if request.adopt:
            self._watcher.site.adopts.set()
        if request.confirm:
            self._index.write(lambda c: watches.confirm(c, self._watcher.site.id)).result()
        habits = self._watcher.site.habits
        for folder in dict.fromkeys(request.folders):
            how = request.options(doubted=habits.doubted)
            walk = Reconcile(self._index, self._watcher.site, self._watcher.rules, how, self)
            try:
                with self._touch:
                    findings = walk.run(folder)
            except RootAway as error:
                request.problem = str(error)
                self._watcher.offline()
                request.end()
                return
            if not folder and findings.complete and not findings.stopped:
                habits.doubted = False
            request.findings.append(findings)
            self._note_end(folder, findings, expected=request.expected)
            if findings.unread:
                self._keep_mark(request)
        self._confirm = self._confirm or request.confirm
        self._sweep_since = self._sweep_since or time.monotonic()
        self._open.append(request)
        self._kick()

    def ensure(self, folder: bytes) -> None:
        self._watcher.ensure(folder)

    def ground(self, folder: bytes) -> Ground:
        return Ground(self._watcher.coverage.mount(folder), self._watcher.coverage.by_polls(folder))

    def knows(self, path: bytes) -> bool:
        return self._watcher.knows(path)

    def goes_on(self) -> bool:
        if self._touch.goes_on():
            self._watcher.condition.set(condition.ROOT, None)
        return not self.loop.stopped

    def _note_end(self, folder: bytes, findings: Findings, *, expected: bool) -> None:
        if self._live:
            self._schedule.try_again(findings.unread)
        if not folder:
            self._metrics.reconcile_seconds.observe(findings.seconds)
            self._metrics.last_reconcile.labels(self._name).set(time.time())
            if self._live and self._reconciled and not expected:
                self._watcher.missed(findings.missed)
            self._reconciled = self._reconciled or findings.complete
            if findings.complete:
                self._schedule.all_read()
        if not findings.stopped:
            self._watcher.walked(folder, findings.away)
        log.debug(
            "reconciled", watch=self._name, path=folder or b".", sources=findings.sources, new=findings.new,
            changed=findings.changed, vanished=findings.vanished, seconds=findings.seconds,
        )  # fmt: skip

    def _after_work(self) -> None:
        """When nothing of this watch waits any more: sweep, and tell those who wait for that."""
        if self._sweep_since is None and not self._open:
            return
        idle = self.idle()
        if self._sweep_since is not None and (idle or self._only_fresh(self._sweep_since)):
            with self._touch:
                swept = sweep(
                    self._index, self._watcher.site, self._watcher.rules, self._guard, self._offer_patiently,
                    confirm=self._confirm,
                )  # fmt: skip
            self._sweep_since, self._confirm = None, False
            self._watcher.condition.hold(swept.held)
            if swept.held and self._walked_for_lost:
                with self._changed:
                    self._schedule.events_lost(SECOND_LOOK_SECONDS)
            self._walked_for_lost = False
            if swept.removed:
                return  # comes again when the removals have been done
        if idle:
            done, self._open = self._open, []
            self._watcher.site.adopts.clear()
            for request in done:
                request.end()

    def idle(self) -> bool:
        """Nothing of this watch is noted, waits or is in work."""
        return not self._watcher.intake.waiting and not self._queue.busy(self._name) and not self._rows_wait()

    def _only_fresh(self, since: float) -> bool:
        """What walks found has been done; files that never stop to come do not keep what is gone."""
        if time.monotonic() - since < SWEEP_SECONDS:
            return False
        return not self._queue.depth(Lane.BACKLOG, self._name) and not self._rows_wait()

    def _rows_wait(self) -> bool:
        return backlog.any_due(self._index.read(), self._watcher.site.id, time.time() + IDLE_SECONDS)

    def _offer_patiently(self, job: Job) -> bool:
        while not self._queue.offer(job):
            if not self.goes_on():
                return False
            self._queue.wait_room(Lane.BACKLOG, IDLE_SECONDS)
        self.goes_on()
        return True

    def _found(self, requests: list[Request]) -> bool:
        if not self._presence.is_found(accept=any(request.confirm for request in requests)):
            return False
        self._away = False
        self._limit()
        if self._live:
            self._begin_anew()
        return True

    def _prepared(self) -> bool:
        if self._watcher.site.habits.ready:
            return True
        if not self._presence.prepare_output():
            return False
        self._limit()
        self._kick()
        if self._live and self._looked.is_set():
            self.request(Request((b"",)))  # the first walk could not be made
        return True

    def _give_up(self) -> None:
        found = self._watcher.condition.troubles
        self.give_up(found.get(condition.ROOT) or found.get(condition.OUTPUT) or f"{self._watcher.config.path} is away")
        self._open = []
