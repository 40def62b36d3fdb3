"""What a worker does with one job."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping

from hotfolder.errors import MissingExtra, Reason, SourceError
from hotfolder.model import Job, Result
from hotfolder.outcome import Outcome
from hotfolder.pipeline import steps
from hotfolder.pipeline.admission import Admission
from hotfolder.pipeline.ends import Ends
from hotfolder.pipeline.steps import UNCHANGED, Steps
from hotfolder.pipeline.work import Finding, Work
from hotfolder.pool.memory import Closed
from hotfolder.pool.oversight import GivenUp, Phase
from hotfolder.telemetry import bugs, logs
from hotfolder.watches.site import Site

log = logs.get("working")


class Worker:
    """One instance serves all threads. `ordered` makes what was ordered of a source that is as its watch wants it."""

    def __init__(
        self, admission: Admission, steps: Steps, ends: Ends, ordered: Callable[[Work], Finding | None]
    ) -> None:
        self.sites: Mapping[str, Site] = {}
        self._admission = admission
        self._steps = steps
        self._ends = ends
        self._ordered = ordered

    def run(self, job: Job) -> None:
        """Do one job to its end, or put its path back. Raises nothing."""
        work = None
        try:
            site = self.sites.get(job.watch)
            if site is None:
                self._admission.refuse(job)
                return
            work = self._admission.enter(site, job)
            self._admission.leave(work, self._found(work))
        except BaseException as error:  # noqa: BLE001 - the thread is the pool's
            self._admission.abandon(job, work, error)

    def _found(self, work: Work) -> Finding:
        try:
            with work.files:
                return self._find(work)
        except (GivenUp, Closed):
            # Given up: another has the job. Closed: the program ends, and the next start finds it as it was.
            return Finding(Outcome(Result.CHANGED))
        except (sqlite3.Error, MemoryError) as error:
            reason = str(error) or type(error).__name__
            log.error("put_back", watch=work.job.watch, path=work.job.path, reason=reason)
            return Finding(Outcome(Result.CHANGED))
        except Exception as error:  # noqa: BLE001 - a bug must cost one image, not the daemon
            bugs.report("worker", error, watch=work.job.watch, path=work.job.path)
            work.row = work.version = None  # who knows
            return self._ends.failed(work, SourceError(Reason.INTERNAL, f"{type(error).__name__}: {error}"))

    def _find(self, work: Work) -> Finding:
        try:
            finding = steps.run(work, self._steps.watched)
            return finding if finding is not UNCHANGED else self._ordered(work) or finding
        except (MissingExtra, SourceError, OSError) as error:
            work.task.enter(Phase.WAIT)  # raises GivenUp: what follows touches the output
            return self._ends.of(work, error)
