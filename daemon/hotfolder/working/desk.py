"""Where a job enters work and leaves it: the gate of its watch, its note in the file, its commit, its word to others.

Every job leaves exactly once: by its worker, or, where its thread hangs, by the oversight that gives it up.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from hotfolder import bugs, logs
from hotfolder.errors import Reason
from hotfolder.keeping.database import Database
from hotfolder.keeping.inflight import InFlight
from hotfolder.model import Job, Lane, Outcome, Result
from hotfolder.working import changes
from hotfolder.working.isolation import Isolation
from hotfolder.working.making import Finding
from hotfolder.working.oversight import Oversight, Phase, Task
from hotfolder.working.queue import JobQueue
from hotfolder.working.settings import Settings
from hotfolder.working.site import Site
from hotfolder.working.suspects import Suspects

IN_FLIGHT_MOST = 512
"""Jobs that are in work or wait for their commit: each has a note that survives a kill until its rows stand."""
QUICK_TRIES = 3
"""So often a path that a bug put back is looked at again at once; after that it waits, longer each time."""
DECIDED = frozenset({Result.DONE, Result.REUSED, Result.FAILED, Result.SKIPPED, Result.GONE})

log = logs.get("working")


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One job in work. `place` and `turn` are let go of once, by whoever comes first."""

    site: Site
    job: Job
    slot: int
    task: Task
    began: float
    place: ExitStack
    """Its note and its place among those in flight: until its thread has ended."""
    turn: ExitStack
    """Its way through the gate: until its path is free."""


class Desk:
    """`tell` is called once for each job, after its commit; `look_again` for one that a bug kept from its end."""

    def __init__(
        self, index: Database, queue: JobQueue, inflight: InFlight, isolation: Isolation, suspects: Suspects,
        tell: Callable[[Job, Outcome], None], look_again: Callable[[Job], None],
        replace_thread: Callable[[threading.Thread], None], settings: Settings,
    ) -> None:  # fmt: skip
        self._index = index
        self._queue = queue
        self._inflight = inflight
        self._isolation = isolation
        self._suspects = suspects
        self._tell = tell
        self._look_again = look_again
        self._replace_thread = replace_thread
        self._places = threading.BoundedSemaphore(IN_FLIGHT_MOST)
        self._entries: dict[Task, Entry] = {}
        self.oversight = Oversight(settings, self._give_up)

    def refuse(self, job: Job) -> None:
        """Of a watch that is no longer configured."""
        self._tell(job, Outcome(Result.GONE))
        self._queue.finish(job)

    def enter(self, site: Site, job: Job) -> Entry:
        """Waits for the gate of the watch and a place."""
        with ExitStack() as turn, ExitStack() as place:
            site.gate.enter()
            turn.callback(site.gate.leave)
            self._places.acquire()
            place.callback(self._places.release)
            slot = self._inflight.enter(job.watch, job.path)
            place.callback(self._inflight.leave, slot)
            task = self.oversight.begin(job)
            entry = Entry(site, job, slot, task, time.monotonic(), place.pop_all(), turn.pop_all())
            self._entries[task] = entry
        return entry

    def harmless(self, slot: int) -> None:
        """A helper decodes it: should this process die, it was not by that."""
        self._inflight.decoded(slot)

    def leave(self, entry: Entry, finding: Finding) -> None:
        """The worker has ended. Commits, and then tells; for a job that was given up only its note goes."""
        self.oversight.end(entry.task)
        if not entry.task.keep():
            entry.place.close()
            return
        outcome = replace(finding.outcome, seconds=time.monotonic() - entry.began)
        if finding.change is None:
            self._end(entry, outcome)
        else:
            change = finding.change
            future = self._index.write(lambda c: changes.stored(c, entry.site, change))
            future.add_done_callback(self._guarded(entry, lambda done: self._committed(entry, finding, outcome, done)))

    def _guarded(self, entry: Entry, then: Callable[[Future[Any]], None]) -> Callable[[Future[Any]], None]:
        """On the index's thread: a bug there costs this job another look, and nobody else anything."""

        def call(done: Future[Any]) -> None:
            try:
                then(done)
            except BaseException as error:  # noqa: BLE001 - the thread is the index's
                self.abandon(entry.job, entry, error)

        return call

    def _committed(self, entry: Entry, finding: Finding, outcome: Outcome, done: Future[object]) -> None:
        error = done.exception()
        if error is None:
            found = done.result()
            self._end(entry, replace(outcome, source_id=found) if isinstance(found, int) else outcome)
            return
        log.error("result_not_stored", watch=entry.job.watch, path=entry.job.path, reason=str(error))
        if isinstance(error, sqlite3.OperationalError):
            # The index cannot be written for now: the path is looked at again, and what was published is found by then.
            self._end(entry, Outcome(Result.CHANGED, reason=Reason.IO_ERROR, message=str(error)))
            return
        problem = f"{type(error).__name__}: {error}"
        refused = changes.NotStored(entry.site, entry.job.path, getattr(finding.change, "version", None), problem)
        self._index.write(refused).add_done_callback(self._guarded(entry, lambda noted: self._refused(entry, noted)))

    def _refused(self, entry: Entry, noted: Future[Outcome]) -> None:
        error = noted.exception()
        if error is None:
            self._end(entry, noted.result())
        else:
            log.error("result_not_stored", watch=entry.job.watch, path=entry.job.path, reason=str(error))
            self._end(entry, Outcome(Result.CHANGED, reason=Reason.INTERNAL, message=str(error)))

    def _end(self, entry: Entry, outcome: Outcome) -> None:
        """The job has ended as `outcome` says: let go of all that it holds, whatever becomes of one of them."""
        job = entry.job
        steps = [*self._holds(entry), entry.turn.close, lambda: self._tell(job, outcome)]
        if outcome.result in DECIDED:
            steps.insert(0, lambda: self._suspects.clear((entry.site.id, job.path)))
        if entry.site.retired.is_set():  # by a watch of this name; where there is none, its row waits for another
            now = time.monotonic()
            steps.append(lambda: self._queue.offer(Job(job.watch, job.path, Lane.BACKLOG, now, now)))
        done = [bugs.did("worker", step, watch=job.watch, path=job.path) for step in steps]
        if not all(done):
            self._put_back(job)
        self._queue.finish(job)

    def _holds(self, entry: Entry) -> list[Callable[[], object]]:
        """What frees the entry's claims, its note and its place."""
        self._entries.pop(entry.task, None)
        claim = entry.task.claim
        return [entry.place.close] if claim is None else [claim.release, entry.place.close]

    def abandon(self, job: Job, entry: Entry | None, error: BaseException) -> None:
        """A bug kept the job from its end: it lets go of what it holds, and its path is looked at again.

        `entry`: None where it had not entered. One that hung, and was given up, is no longer ours to put back.
        """
        bugs.report("worker", error, watch=job.watch, path=job.path)
        if entry is not None:
            given_up = not entry.task.keep()
            ends = [lambda: self.oversight.end(entry.task), *self._holds(entry)]
            for step in ends if given_up else [*ends, entry.turn.close]:
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
                self._look_again(again)
                return
        self._queue.offer(again)

    def _give_up(self, task: Task, phase: Phase) -> None:
        """On the oversight's thread: this one hangs. Another worker takes its place, a helper its picture."""
        entry = self._entries.pop(task)
        reason = Reason.TIMEOUT if phase is Phase.DECODE else Reason.UNREACHABLE
        if phase is Phase.DECODE:
            with bugs.guarded("oversight", watch=task.job.watch, path=task.job.path):
                self._suspect(entry)
        bugs.did("oversight", lambda: self._replace_thread(task.thread))
        # Its thread may still die in its picture, or write: the note stays until it has ended.
        self._end(replace(entry, place=ExitStack()), Outcome(Result.CHANGED, reason=reason))

    def _suspect(self, entry: Entry) -> None:
        """Its decoder hangs."""
        job = entry.job
        self._isolation.give_up(entry.task.thread)
        log.warning("stuck", watch=job.watch, path=job.path, next="a helper process decides")
        try:
            self._suspects.add([(entry.site.id, job.path)])
        except sqlite3.Error as error:
            log.error("suspect_not_stored", path=job.path, reason=str(error))
