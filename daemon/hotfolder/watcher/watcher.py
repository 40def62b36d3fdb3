"""One watch at work: its parts put together, what workers and the beat report to it, and what settled events lead to.

Events go from the observer's tree to the intake, which lets them settle and hands them to the outlet here. All that may
hang with the root is done by the rounds.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future

from hotfolder import paths
from hotfolder.config import Watch
from hotfolder.errors import Reason
from hotfolder.index import backlog, deletions, folders
from hotfolder.index.database import Database
from hotfolder.index.deletions import Mark
from hotfolder.model import Job, Result
from hotfolder.outcome import Outcome
from hotfolder.queue.queue import JobQueue
from hotfolder.telemetry import bugs
from hotfolder.telemetry.metrics import Metrics
from hotfolder.watcher import condition
from hotfolder.watcher.agenda import Agenda
from hotfolder.watcher.condition import Condition
from hotfolder.watcher.coverage import Coverage
from hotfolder.watcher.folder_events import FolderEvents
from hotfolder.watcher.intake import Intake
from hotfolder.watcher.observer import Observer
from hotfolder.watcher.outstanding import Outstanding
from hotfolder.watcher.presence import Output, Presence, Root
from hotfolder.watcher.request import Request
from hotfolder.watcher.rounds import Rounds
from hotfolder.watcher.rules import Rules
from hotfolder.watcher.schedule import Schedule
from hotfolder.watcher.settle import Pace
from hotfolder.watcher.sweep import Sweeper
from hotfolder.watcher.walks import Walks
from hotfolder.watcher.watched import Watched
from hotfolder.watches.site import Site


class Watcher:
    """`kick`: rows wait that did not before. `clean` is called once the output answers, before anything is written."""

    def __init__(
        self,
        watched: Watched,
        index: Database,
        queue: JobQueue,
        metrics: Metrics,
        kick: Callable[[], None],
        clean: Callable[[Site], None] = lambda site: None,
    ) -> None:
        self.watched = watched
        self._index = index
        self._queue = queue
        self._metrics = metrics
        config, rules = watched.config, watched.rules
        self.agenda = Agenda(Schedule(config.poll_interval, config.rescan_interval))
        self._root = Root(watched, index, queue, self.agenda)
        self._output = Output(watched, index, kick, clean)
        self._presence = Presence(self._root, self._output)
        coverage = Coverage(config.path, config.backend)
        pace = Pace(config.settle, config.settle_after_close, lambda path: not coverage.by_events(path))
        self.intake = Intake(config.name, rules, pace, self, metrics)
        self.outstanding = Outstanding(watched, index, queue, self.intake, kick)
        self.observer = Observer(watched, coverage, self.intake, self.agenda, self._root)
        self._folder_events = FolderEvents(watched, index, self.agenda, self._root, self.outstanding)
        walks = Walks(watched, index, self.agenda, self._root, self.observer, self.outstanding)
        self.sweeper = Sweeper(watched, index, queue, self.agenda, self._root, self.outstanding)
        self.rounds = Rounds(watched, self.agenda, self._presence, self.observer, walks, self.sweeper)

    @property
    def config(self) -> Watch:
        return self.watched.config

    @property
    def site(self) -> Site:
        return self.watched.site

    @property
    def rules(self) -> Rules:
        return self.watched.rules

    @property
    def condition(self) -> Condition:
        return self.watched.condition

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
        self.observer.stop()
        self.intake.stop()
        self._folder_events.keep()
        self.rounds.stop()
        self._root.retire()

    def request(self, request: Request) -> Request:
        """Ask for a reconcile; `request.done` is set when it, and the work that it found, has been done."""
        return self.agenda.request(request)

    # -- what workers and the beat report ------------------------------------------------------------------------------

    def told(self, job: Job, outcome: Outcome) -> None:
        """How a job of this watch ended."""
        if outcome.result is Result.CHANGED and job.unwanted:
            self.agenda.sweep_soon()  # its row is marked still
        elif outcome.result is Result.CHANGED:
            self.intake.again(job, outcome.look, stirs=outcome.stirs)
            if outcome.reason is Reason.UNREACHABLE:
                self._root.is_silent()
        elif outcome.reason is Reason.OUTPUT_ERROR and outcome.message:
            self._output.fails(outcome.message)
        elif self._output.is_failing and (outcome.result is Result.DONE or outcome.old_path or outcome.removed):
            self._output.works()
        elif outcome.result is Result.RETRIED and outcome.reason is Reason.UNREACHABLE:
            self._root.look_for()
        elif outcome.result is Result.GONE:
            self._missed(job, outcome)

    def _missed(self, job: Job, outcome: Outcome) -> None:
        """A row whose file is not there: unless a note of it will show what became of it, a walk has to."""
        if outcome.source_id is None or outcome.removed:
            return
        folder = paths.parent(job.path)
        if outcome.reason is Reason.UNREACHABLE:
            self.agenda.look_again(folder)
        elif not self.intake.knows(job.path):
            self.agenda.look_soon(folder)

    def check(self, index_problem: str | None, workers: int) -> None:
        """Part of the daemon's beat; touches no root."""
        self._root.share(workers)
        (self.site.index_lost.set if index_problem else self.site.index_lost.clear)()
        self.condition.set(condition.INDEX, f"the index cannot be written: {index_problem}" if index_problem else None)
        self.observer.check()
        self._output.check()
        self.check_answers()

    def check_answers(self) -> None:
        """A root or an output that does not answer; whoever waits for a reconcile of it is notified."""
        subject = self._presence.silent()
        if subject is None:
            return
        if subject == condition.ROOT:
            self._root.is_silent()
        else:
            self.condition.set(subject, f"{self.site.output} does not answer")
        self.agenda.give_up(self.condition.troubles.get(subject, "it does not answer"))

    # -- Outlet: called by the intake ----------------------------------------------------------------------------------

    def look_at(self, job: Job) -> None:
        """Into the fresh lane; where that is full the source waits in the index, as part of the backlog.

        There its row holds that it was deleted; where else it may have lain before is found by its bytes.
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
            self.outstanding.feed()

        self._index.write(wait).add_done_callback(bugs.callback("callback", waits))

    def reconcile(self, folder: bytes, *, deleted: bool) -> None:
        self.request(Request((folder,), mark=Mark.CERTAIN if deleted else Mark.ONCE_MORE))

    def events_lost(self, *, deleted: bool) -> None:
        self.agenda.events_lost(deleted=deleted)

    def folder_moved(self, old: bytes, new: bytes) -> None:
        self._folder_events.moved(old, new)

    def folder_deleted(self, folder: bytes) -> None:
        self._folder_events.deleted(folder)
