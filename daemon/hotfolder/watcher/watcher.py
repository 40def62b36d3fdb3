"""One watch at work: its events, what workers tell of it, and what follows when its root comes or goes.

Owns the intake, the tree of kernel watches, the condition and the rounds (the thread that walks).
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from hotfolder import faults, paths, probe
from hotfolder.config import Watch
from hotfolder.errors import Owner, Reason
from hotfolder.faults import Operation
from hotfolder.index import backlog, deletions, folders, sources
from hotfolder.index.database import Database
from hotfolder.index.deletions import Mark
from hotfolder.loop import Pause
from hotfolder.model import Job, Outcome, Result
from hotfolder.paths import show
from hotfolder.pipeline import judge
from hotfolder.pipeline.judge import Verdict
from hotfolder.queue.queue import JobQueue
from hotfolder.telemetry import bugs, logs
from hotfolder.telemetry.metrics import Metrics
from hotfolder.watcher import condition, folder_moves
from hotfolder.watcher.condition import Condition
from hotfolder.watcher.coverage import Coverage
from hotfolder.watcher.intake import Intake
from hotfolder.watcher.request import Request
from hotfolder.watcher.rounds import Rounds
from hotfolder.watcher.rules import Rules
from hotfolder.watcher.settle import Pace
from hotfolder.watcher.tree import TreeWatcher
from hotfolder.watches.site import Site

FORGOTTEN_SECONDS = 60.0
"""An output that nobody has complained of for so long, and for which nothing is put off, counts as well."""

log = logs.get("watching")


class Watcher:
    """`live`: with events (the daemon); otherwise it only reconciles when asked (scan)."""

    def __init__(
        self, config: Watch, site: Site, rules: Rules, index: Database, queue: JobQueue, metrics: Metrics,
        kick: Callable[[], None], *, live: bool, clean: Callable[[Site], None] = lambda site: None,
    ) -> None:  # fmt: skip
        """`clean` is called once the output answers, before anything is written there."""
        self.config = config
        self.clean = clean
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
        self._away: dict[bytes, int] = {}
        self._most_jobs: int | None = None
        self._output_failed: float | None = None
        self._reader_pause = Pause()
        self.rounds = Rounds(self, index, queue, metrics, kick, live=live)

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Touches neither root nor output: the thread of its rounds does, and then watches and (live) reconciles."""
        self._metrics.know_watch(self.config.name)
        self.intake.start()
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
        self._keep_deletions()
        self.rounds.stop()

    def _keep_deletions(self) -> None:
        """What events told of deletions outlives this watcher: no guard of a later walk holds them."""
        files, folders_gone = self.intake.deletions()
        files += self._queue.deleted(self.config.name)
        if (not files and not folders_gone) or self.rounds.silent() == condition.ROOT:
            return
        try:
            gone = probe.ask(self.config.path, lambda: [each for at in folders_gone for each in self._gone_below(at)])
        except probe.Silent:
            gone = []

        def keep(connection: sqlite3.Connection) -> None:
            deletions.delete_at(connection, self.site.id, files, time.time())
            deletions.delete(connection, gone, time.time())

        try:
            self._index.write(keep).result()
        except sqlite3.Error as error:
            log.warning("deletions_not_noted", watch=self.config.name, reason=str(error), next="a reconcile finds them")

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
            tree = TreeWatcher(
                self.config.path,
                self.intake,
                self,
                recursive=self.config.recursive,
                name=self.config.name,
                pause=self._reader_pause,
            )
            try:
                tree.start()
            except OSError as error:
                self.unwatched(b"", error)
            else:
                self._tree = tree
            if self.rounds.loop.stopped:
                tree.stop()  # while the root did not answer
        if self.coverage.polled():
            self.rounds.poll_within(0.0 if self.condition.polled else self.config.poll_interval)
        self.condition.show()

    def root_replaced(self) -> bool:
        """Whether the root's path leads to another folder than the one that is watched; where to nothing: offline."""
        try:
            return self._tree is not None and self._tree.is_elsewhere()
        except OSError as error:
            if faults.owner(error.errno, Operation.REACH) is Owner.ROOT:
                self.offline()
            return False

    def enters(self, folder: bytes) -> bool:
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
    def stands(self) -> bool:
        """Whether its root is there and its output prepared: only then is anything done."""
        return self.condition.state != "offline" and self.site.habits.ready

    @property
    def watches(self) -> int:
        """Kernel watches in use."""
        return self._tree.watches if self._tree is not None else 0

    # -- what workers and the beat tell --------------------------------------------------------------------------------

    def told(self, job: Job, outcome: Outcome) -> None:
        """How a job of this watch ended."""
        if outcome.result is Result.CHANGED and job.unwanted:
            self.rounds.sweep_soon()  # its row is marked still
        elif outcome.result is Result.CHANGED:
            self.intake.again(job, outcome.look, stirs=outcome.stirs)
            if outcome.reason is Reason.UNREACHABLE:
                self._hangs()
        elif outcome.reason is Reason.OUTPUT_ERROR and outcome.message:
            self.output_failed(outcome.message)
        elif (outcome.result is Result.DONE or outcome.old_path or outcome.removed) and self._output_failed is not None:
            self._output_works()
        elif outcome.result is Result.RETRIED and outcome.reason is Reason.UNREACHABLE:
            self.rounds.look_for_root()
        elif outcome.result is Result.GONE:
            self._missed(job, outcome)

    def _missed(self, job: Job, outcome: Outcome) -> None:
        """A row whose file is not there: unless a note of it says itself what became of it, a walk has to."""
        if outcome.source_id is None or outcome.removed:
            return
        folder = paths.parent(job.path)
        if outcome.reason is Reason.UNREACHABLE:
            self.rounds.look_again(folder)
        elif not self.intake.knows(job.path):
            self.rounds.look_soon(folder)

    def output_failed(self, message: str) -> None:
        self._output_failed = time.monotonic()
        self.condition.set(condition.OUTPUT, message)

    def _output_works(self) -> None:
        self._output_failed = None
        self.condition.set(condition.OUTPUT, None)
        self._index.write(lambda c: backlog.release(c, self.site.id)).add_done_callback(
            bugs.callback("callback", lambda done: self._kick())
        )

    def _forget_output(self) -> None:
        """Nobody has complained for long: where nothing is put off, what met the trouble is gone itself."""
        if backlog.next_retry(self._index.read(), self.site.id, 0.0) is None:
            self._output_works()

    def check(self, index_problem: str | None, workers: int) -> None:
        """Part of the daemon's beat; touches no root. A mount that may hang gets at most half of the workers."""
        self._most_jobs = max(1, workers // 2) if self.site.network else None
        # While a folder is moved, whoever came would wait at the gate.
        self.rounds.limit_jobs(0 if self.site.gate.is_closed else self._most_jobs)
        self.condition.set(condition.INDEX, f"the index cannot be written: {index_problem}" if index_problem else None)
        if self._tree is not None and self._tree.deaf:
            self.condition.set(condition.EVENTS, "the thread that reads events has ended; it is started anew")
        if self._output_failed is not None and time.monotonic() - self._output_failed > FORGOTTEN_SECONDS:
            self._forget_output()
        self.check_answers()

    def check_answers(self) -> None:
        """A root or an output that does not answer; whoever waits for a reconcile of it is told."""
        subject = self.rounds.silent()
        if subject is None:
            return
        if subject == condition.ROOT:
            self._hangs()
        else:
            self.condition.set(subject, f"{self.site.output} does not answer")
        self.rounds.give_up(self.condition.troubles.get(subject, "it does not answer"))

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

    def walked(self, folder: bytes, away: Mapping[bytes, int]) -> None:
        """A walk of this folder has ended; `away`: how many known sources lie on what is not there now, and where."""
        prefix = folder + b"/" if folder else b""
        others = {place: n for place, n in self._away.items() if place != folder and not place.startswith(prefix)}
        self._away = others | dict(away)
        if not self._away:
            self.condition.set(condition.AWAY, None)
            return
        place = min(self._away)
        first = show(os.fsencode(self.config.path) + b"/" + place if place else os.fsencode(self.config.path))
        more = f" and {len(self._away) - 1} more folders" if len(self._away) > 1 else ""
        count = sum(self._away.values())
        text = (
            f"{first}{more}: {count} known images lie on another file system, or below another root folder, than what"
        )
        text += f" is there now; they are kept until it is back, or `hotfolder scan --confirm-deletes {first}`"
        self.condition.set(condition.AWAY, text)

    def missed(self, found: Counter[bytes]) -> None:
        """Changes that no event announced; who misses again and again is deaf, and polled from then on."""
        self._metrics.missed_changes.labels(self.config.name).inc(found.total())
        for ground in self.coverage.missed(found):
            log.warning(
                "deaf", watch=self.config.name, path=ground or b".", next="polled from now on",
                why="three reconciles in a row found changes that no event had announced",
            )  # fmt: skip
            self.condition.polled = self.coverage.mostly_polled
            self.condition.show()
            self.rounds.poll_within(self.config.poll_interval)

    def _hangs(self) -> None:
        if self.condition.set(condition.ROOT, f"{self.config.path} does not answer"):
            self.rounds.look_for_root()

    # -- Outlet: called by the intake ----------------------------------------------------------------------------------

    def look_at(self, job: Job) -> None:
        """Into the fresh lane; where that is full the source waits in the index, as part of the backlog.

        There its row says that it was deleted; where else it may have lain before, its bytes tell.
        """
        if self._queue.offer(job):
            return
        folder, name = paths.split(job.path)

        def wait(connection: sqlite3.Connection) -> None:
            if job.deleted:
                deletions.delete_at(connection, self.site.id, [job.path], time.time())
                return
            folder_id = folders.ensure(connection, self.site.id, folder, folds=self.site.folds)
            backlog.wait(connection, self.site.id, folder_id, name, time.time(), young=True)

        def waits(done: Future[None]) -> None:
            if done.exception() is not None:
                self.intake.again(job, None)  # the index cannot be written for now
            self._kick()

        self._index.write(wait).add_done_callback(bugs.callback("callback", waits))

    def reconcile(self, folder: bytes, *, deleted: bool) -> None:
        self.request(Request((folder,), mark=Mark.CERTAIN if deleted else Mark.ONCE_MORE))

    def events_lost(self, *, deleted: bool) -> None:
        self.rounds.events_lost(deleted=deleted)

    def folder_moved(self, old: bytes, new: bytes) -> None:
        try:
            volume = judge.volume_of_folder(self.site.root, new)
        except OSError:
            self.rounds.look_for_root()  # it went on, or the root is away: all is walked when it is back
        else:
            self.rounds.limit_jobs(0)
            folder_moves.move_folder(self._index, self.site, old, new, volume)
            self.rounds.limit_jobs(self._most_jobs)
        self.reconcile(new, deleted=True)
        self.folder_deleted(old)

    def folder_deleted(self, folder: bytes) -> None:
        """An event said so: what the judge finds missing below it is gone for certain, and no guard holds it."""
        gone = self._gone_below(folder)
        if gone:
            self._index.write(lambda c: deletions.delete(c, gone, time.time())).result()
            self._kick()

    def _gone_below(self, folder: bytes) -> list[int]:
        """The sources in a folder of which an event says that it went, and below it, where it is gone."""
        folder_id = folders.find(self._index.read(), self.site.id, folder)
        if folder_id is None:
            return []
        look = judge.look_at(self.site.root, folder, folder=True)
        if look.verdict is Verdict.THERE:
            self.reconcile(folder, deleted=True)  # another has its name
        if look.verdict is not Verdict.GONE:
            return []
        below = sources.below(self._index.read(), folder_id)
        return [source_id for source_id, lies_on in below if judge.belongs(lies_on, look.volume)]

    def offline(self) -> None:
        """The root went; it is looked for until it is back."""
        self.condition.set(condition.ROOT, f"{self.config.path} is away")
        self.rounds.look_for_root()

    def deaf(self) -> None:
        self.rounds.watch_anew()

    def root_gone(self) -> None:
        self.offline()

    def unwatched(self, folder: bytes, error: OSError) -> None:
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
