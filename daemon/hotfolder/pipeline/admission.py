"""Where a job enters work and leaves it: the gate of its watch, its note in the file, its commit, its report.

Every job leaves exactly once: by its worker, or, where its thread hangs, by the oversight that gives it up.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Protocol

from hotfolder.errors import Reason
from hotfolder.index.database import Database
from hotfolder.model import Job, Lane, Result
from hotfolder.outcome import Outcome
from hotfolder.pipeline import changes
from hotfolder.pipeline.work import Finding, Work
from hotfolder.pool.oversight import Oversight, Phase, Task
from hotfolder.queue.queue import JobQueue
from hotfolder.renderers.renderer import Renderer
from hotfolder.store.inflight import InFlight
from hotfolder.telemetry import bugs, logs
from hotfolder.watches.site import Site

IN_FLIGHT_MOST = 512
"""Jobs that are in work or wait for their commit: each has a note that survives a kill until its rows stand."""
QUICK_TRIES = 3
"""So often a path that a bug put back is looked at again at once; after that it waits, longer each time."""
DECIDED = frozenset({Result.DONE, Result.REUSED, Result.FAILED, Result.SKIPPED, Result.GONE})

log = logs.get("working")


class Report(Protocol):
    """Who hears of jobs."""

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Once for each job, after its commit."""

    def look_again(self, job: Job) -> None:
        """A bug kept this job from its end, again and again: it rests before its next try."""


class Admission:
    """One instance serves all workers."""

    def __init__(
        self,
        index: Database,
        queue: JobQueue,
        inflight: InFlight,
        oversight: Oversight,
        renderer: Renderer,
        report: Report,
    ) -> None:
        self._index = index
        self._queue = queue
        self._inflight = inflight
        self._oversight = oversight
        self._renderer = renderer
        self._report = report
        self._places = threading.BoundedSemaphore(IN_FLIGHT_MOST)
        self._works: dict[Task, Work] = {}
        self._refused_before: Counter[tuple[int, bytes]] = Counter()
        """How often in a row the index refused the result of a source. The index's thread alone has it."""

    def refuse(self, job: Job) -> None:
        """Of a watch that is no longer configured."""
        self._report.ended(job, Outcome(Result.GONE))
        self._queue.finish(job)

    def enter(self, site: Site, job: Job) -> Work:
        """Waits for the gate of the watch and a place."""
        with ExitStack() as turn, ExitStack() as place:
            site.gate.enter()
            turn.callback(site.gate.leave)
            self._places.acquire()
            place.callback(self._places.release)
            slot = self._inflight.enter(job.watch, job.path)
            place.callback(self._inflight.leave, slot)
            task = self._oversight.begin(job, self._give_up)
            work = Work(job, site, task, slot, time.monotonic(), place.pop_all(), turn.pop_all())
            self._works[task] = work
        return work

    def leave(self, work: Work, finding: Finding) -> None:
        """The worker has ended. Commits, and then reports; for a job that was given up only its note goes."""
        self._oversight.end(work.task)
        if not work.task.keep():
            work.place.close()
            return
        outcome = replace(finding.outcome, seconds=time.monotonic() - work.began)
        if finding.change is None:
            self._end(work, outcome)
        else:
            change = finding.change
            future = self._index.write(lambda c: changes.stored(c, work.site, change))
            future.add_done_callback(self._guarded(work, lambda done: self._committed(work, finding, outcome, done)))

    def _guarded(self, work: Work, then: Callable[[Future[Any]], None]) -> Callable[[Future[Any]], None]:
        """On the index's thread: a bug there costs this job another look, and nobody else anything."""

        def call(done: Future[Any]) -> None:
            try:
                then(done)
            except BaseException as error:  # noqa: BLE001 - the thread is the index's
                self.abandon(work.job, work, error)

        return call

    def _committed(self, work: Work, finding: Finding, outcome: Outcome, done: Future[object]) -> None:
        error = done.exception()
        source = (work.site.id, work.job.path)
        if error is None:
            self._refused_before.pop(source, None)
            found = done.result()
            self._end(work, replace(outcome, source_id=found) if isinstance(found, int) else outcome)
            return
        log.error("result_not_stored", watch=work.job.watch, path=work.job.path, reason=str(error))
        if isinstance(error, sqlite3.OperationalError):
            # The index cannot be written for now: the path is looked at again, and what was published is found by then.
            self._end(work, Outcome(Result.CHANGED, reason=Reason.IO_ERROR, message=str(error)))
            return
        self._refused_before[source] += 1
        problem, tries = f"{type(error).__name__}: {error}", self._refused_before[source]
        refused = changes.NotStored(work.site, work.job.path, getattr(finding.change, "version", None), problem, tries)
        self._index.write(refused).add_done_callback(self._guarded(work, lambda noted: self._refused(work, noted)))

    def _refused(self, work: Work, noted: Future[Outcome]) -> None:
        error = noted.exception()
        if error is None:
            outcome = noted.result()
            if outcome.result is Result.FAILED:
                self._refused_before.pop((work.site.id, work.job.path), None)
            self._end(work, outcome)
        else:
            log.error("result_not_stored", watch=work.job.watch, path=work.job.path, reason=str(error))
            self._end(work, Outcome(Result.CHANGED, reason=Reason.INTERNAL, message=str(error)))

    def _end(self, work: Work, outcome: Outcome) -> None:
        """The job has ended as `outcome` states: let go of all that it holds, whatever becomes of one of them."""
        job = work.job
        steps = [*self._holds(work), work.turn.close, lambda: self._report.ended(job, outcome)]
        if outcome.result in DECIDED:
            steps.insert(0, lambda: self._renderer.suspects.clear((work.site.id, job.path)))
        if work.site.retired.is_set():  # by a watch of this name; where there is none, its row waits for another
            now = time.monotonic()
            steps.append(lambda: self._queue.offer(Job(job.watch, job.path, Lane.BACKLOG, now, now)))
        done = [bugs.did("worker", step, watch=job.watch, path=job.path) for step in steps]
        if not all(done):
            self._put_back(job)
        self._queue.finish(job)

    def _holds(self, work: Work) -> list[Callable[[], object]]:
        """What frees the work's claims, its note and its place."""
        self._works.pop(work.task, None)
        claim = work.claim
        return [work.place.close] if claim is None else [claim.release, work.place.close]

    def abandon(self, job: Job, work: Work | None, error: BaseException) -> None:
        """A bug kept the job from its end: it lets go of what it holds, and its path is looked at again.

        `work`: None where it had not entered. One that hung, and was given up, is no longer ours to put back.
        """
        bugs.report("worker", error, watch=job.watch, path=job.path)
        if work is not None:
            given_up = not work.task.keep()
            ends = [lambda: self._oversight.end(work.task), *self._holds(work)]
            for step in ends if given_up else [*ends, work.turn.close]:
                bugs.did("worker", step, watch=job.watch, path=job.path)
            if given_up:
                return
        self._put_back(job)
        self._queue.finish(job)

    def _put_back(self, job: Job) -> None:
        """It is in work, so it waits again as soon as it is finished; one that fails again and again rests before."""
        again = replace(job, waits=job.waits + 1)
        if job.waits >= QUICK_TRIES:
            with bugs.guarded("worker", watch=job.watch, path=job.path):
                self._report.look_again(again)
                return
        self._queue.offer(again)

    def _give_up(self, task: Task, phase: Phase) -> None:
        """On the oversight's thread: this one hangs. Another worker takes its place, a helper its picture."""
        work = self._works.pop(task)
        reason = Reason.TIMEOUT if phase is Phase.DECODE else Reason.UNREACHABLE
        if phase is Phase.DECODE:
            with bugs.guarded("oversight", watch=task.job.watch, path=task.job.path):
                self._suspect(work)
        # Its thread may still die in its picture, or write: the note stays until it has ended.
        self._end(replace(work, place=ExitStack()), Outcome(Result.CHANGED, reason=reason))

    def _suspect(self, work: Work) -> None:
        """Its decoder hangs."""
        job = work.job
        self._renderer.give_up(work.task.thread)
        log.warning("stuck", watch=job.watch, path=job.path, next="a helper process decides")
        try:
            self._renderer.suspects.add([(work.site.id, job.path)])
        except sqlite3.Error as error:
            log.error("suspect_not_stored", path=job.path, reason=str(error))
