"""Where a job enters work and leaves it: the gate of its watch, its note in the file, its commit, its word to others.

Every job leaves exactly once: by its worker, or, where its thread hangs, by the oversight that gives it up.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace

from hotfolder import logs
from hotfolder.errors import Reason
from hotfolder.keeping.database import Database
from hotfolder.keeping.inflight import InFlight
from hotfolder.model import Job, Lane, Outcome, Result
from hotfolder.working import changes
from hotfolder.working.claims import Claim
from hotfolder.working.isolation import Isolation
from hotfolder.working.making import Finding
from hotfolder.working.oversight import Oversight, Phase, Task
from hotfolder.working.queue import JobQueue
from hotfolder.working.settings import Settings
from hotfolder.working.site import Site
from hotfolder.working.suspects import Suspects

IN_FLIGHT_MOST = 512
"""Jobs that are in work or wait for their commit: each has a note that survives a kill until its rows stand."""
DECIDED = frozenset({Result.DONE, Result.REUSED, Result.FAILED, Result.SKIPPED, Result.GONE})

log = logs.get("working")


@dataclass(frozen=True, slots=True)
class Entry:
    """One job in work."""

    site: Site
    job: Job
    slot: int
    task: Task
    began: float


class Desk:
    """`tell` is called once for each job, after its commit; `hung` for a root that does not answer."""

    def __init__(
        self, index: Database, queue: JobQueue, inflight: InFlight, isolation: Isolation, suspects: Suspects,
        tell: Callable[[Job, Outcome], None], replace_thread: Callable[[threading.Thread], None], settings: Settings,
    ) -> None:  # fmt: skip
        self._index = index
        self._queue = queue
        self._inflight = inflight
        self._isolation = isolation
        self._suspects = suspects
        self._tell = tell
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
        site.gate.enter()
        self._places.acquire()
        slot = self._inflight.enter(job.watch, job.path)
        task = self.oversight.begin(job)
        entry = self._entries[task] = Entry(site, job, slot, task, time.monotonic())
        return entry

    def harmless(self, slot: int) -> None:
        """A helper decodes it: should this process die, it was not by that."""
        self._inflight.decoded(slot)

    def leave(self, entry: Entry, finding: Finding) -> None:
        """The worker has ended. Commits, and then tells; for a job that was given up only its note goes."""
        self.oversight.end(entry.task)
        if not entry.task.keep():
            self._clear(entry)
            return
        del self._entries[entry.task]
        outcome = replace(finding.outcome, seconds=time.monotonic() - entry.began)
        if finding.change is None:
            self._clear(entry)
            self._end(entry, outcome)
        else:
            change = finding.change
            future = self._index.write(lambda c: changes.stored(c, entry.site, change))
            future.add_done_callback(lambda done: self._committed(entry, finding.claim, outcome, done))

    def _committed(self, entry: Entry, claim: Claim | None, outcome: Outcome, done: Future[object]) -> None:
        if claim is not None:
            claim.release()
        error = done.exception()
        self._clear(entry)
        if error is not None:
            # Nothing is lost: the path is looked at again, and what was published is found by then or made anew.
            log.error("result_not_stored", watch=entry.job.watch, path=entry.job.path, reason=str(error))
            outcome = Outcome(Result.CHANGED, reason=Reason.IO_ERROR, message=str(error))
        elif isinstance(found := done.result(), int):
            outcome = replace(outcome, source_id=found)
        self._end(entry, outcome)

    def _clear(self, entry: Entry) -> None:
        self._inflight.leave(entry.slot)
        self._places.release()

    def _end(self, entry: Entry, outcome: Outcome) -> None:
        if outcome.result in DECIDED:
            self._suspects.clear((entry.site.id, entry.job.path))
        entry.site.gate.leave()
        if entry.site.retired.is_set():  # by a watch of this name; where there is none, its row waits for another
            now = time.monotonic()
            self._queue.offer(Job(entry.job.watch, entry.job.path, Lane.BACKLOG, now, now))
        self._tell(entry.job, outcome)
        self._queue.finish(entry.job)

    def _give_up(self, task: Task, phase: Phase) -> None:
        """On the oversight's thread: this one hangs. Another worker takes its place, a helper its picture."""
        entry = self._entries.pop(task)
        if task.claim is not None:
            task.claim.release()
        if phase is Phase.DECODE:
            self._isolation.stuck += 1
            log.warning("stuck", watch=task.job.watch, path=task.job.path, next="a helper process decides")
            try:
                self._suspects.add([(entry.site.id, task.job.path)])
            except sqlite3.Error as error:
                log.error("suspect_not_stored", path=task.job.path, reason=str(error))
            outcome = Outcome(Result.CHANGED, reason=Reason.TIMEOUT)
        else:
            outcome = Outcome(Result.CHANGED, reason=Reason.UNREACHABLE)
        self._replace_thread(task.thread)
        self._end(entry, outcome)
