"""How a job ends whose source is not there, needs an extra, or failed."""

from __future__ import annotations

import time
from dataclasses import replace

from hotfolder import faults
from hotfolder.errors import MissingExtra, Reason, SourceError
from hotfolder.faults import Operation
from hotfolder.index import backlog, deletions, renditions
from hotfolder.index.database import Database
from hotfolder.model import Result
from hotfolder.outcome import Outcome
from hotfolder.pipeline import changes, files, judge
from hotfolder.pipeline.judge import Verdict
from hotfolder.pipeline.retries import SUSPECT_TRIES, Retries, innocent_delay
from hotfolder.pipeline.work import YOUNG_SECONDS, Finding, Work
from hotfolder.renderers.children import Died

Problem = MissingExtra | SourceError | OSError


class Ends:
    """One instance serves all workers."""

    def __init__(self, index: Database, retries: Retries) -> None:
        self._index = index
        self._retries = retries

    def of(self, work: Work, error: Problem) -> Finding:
        """What follows from what a step raised."""
        if isinstance(error, FileNotFoundError):
            return self._vanished(work)
        if isinstance(error, MissingExtra):
            return self._skipped(work, error)
        if isinstance(error, OSError):
            work.version = None  # it could not be seen: nothing that was made of it goes
            error = faults.failure(error, Operation.READ, "it cannot be read")
        return self.failed(work, error)

    def _vanished(self, work: Work) -> Finding:
        job, row = work.job, work.row
        if row is None:
            return Finding(Outcome(Result.GONE))
        gone = Outcome(Result.GONE, source_id=row.id)
        verdict = judge.source(work.site.root, job.path, row)
        if verdict is Verdict.UNKNOWN:
            unseen = replace(gone, reason=Reason.UNREACHABLE)
            return Finding(unseen, lambda c: deletions.unseen(c, row.id))
        if verdict is Verdict.THERE and not job.unwanted:
            return Finding(Outcome(Result.CHANGED))
        if not job.deleted and row.gone < deletions.CONFIRMED:
            # Nobody said that it was deleted, nor have two walks missed it: the guard counts it with others.
            return Finding(gone, lambda c: deletions.missed(c, row.id))
        if not work.site.keep_deleted and (error := self._clear(work)):
            return self._not_removed(work, error)
        return Finding(replace(gone, removed=True), changes.Removed(work.site, row.id, job.path))

    def _not_removed(self, work: Work, error: SourceError) -> Finding:
        """The output stands in the way: that it is to go stays noted, and is tried for ever."""
        assert work.row is not None
        source_id, put_off = work.row.id, 1 + work.row.put_off
        retry_at = time.time() + innocent_delay(put_off) + backlog.REMOVAL_SECONDS
        outcome = Outcome(Result.RETRIED, reason=error.reason, message=error.message)
        return Finding(outcome, lambda c: backlog.remove_later(c, source_id, retry_at, put_off))

    def _clear(self, work: Work) -> SourceError | None:
        """Remove all renditions of the row. Returns what stood in the way."""
        if work.row is None:
            return None
        return files.clear(work.site, work.folder, renditions.of(self._index.read(), work.row.id))

    def _skipped(self, work: Work, error: MissingExtra) -> Finding:
        self._clear(work)
        change = changes.Skipped(work.site, work.job.path, work.version, error.extra)
        return Finding(Outcome(Result.SKIPPED, message=str(error), extra=error.extra), change)

    def failed(self, work: Work, error: SourceError) -> Finding:
        """It is tried again where that may help; otherwise it goes into quarantine, and what was made of it goes."""
        job, row = work.job, work.row
        young = work.is_young and not _was_finished(work, error)
        fresh = job.seen_changing is not None  # it changed since the last try: that is the first one of this version
        tries, put_off = (row.tries, row.put_off) if row is not None and not fresh else (0, 0)
        tries, put_off = (tries, put_off + 1) if error.reason.innocent else (tries + 1, 0)
        outcome = Outcome(Result.RETRIED, reason=error.reason, message=error.message)
        delay = self._retries.delay(error.reason, tries, put_off, young=young)
        if isinstance(error, Died) and error.killed and tries < SUSPECT_TRIES:
            delay = 1.0
        if delay is not None:
            at = time.time() + delay
            change = changes.Retry(work.site, job.path, at, tries, young, job.deleted, put_off)
            return Finding(replace(outcome, retry_at=at), change)
        if work.version is not None:
            self._clear(work)
        failed = changes.Failed(work.site, job.path, work.version, error, tries)
        return Finding(replace(outcome, result=Result.FAILED), failed)


def _was_finished(work: Work, error: SourceError) -> bool:
    """Nothing of an image in it, and last written long ago, by its mtime: nobody is about to complete it."""
    mtime_ns = work.version.mtime_ns if work.version is not None else time.time_ns()
    nothing = error.reason in (Reason.EMPTY, Reason.NOT_AN_IMAGE)
    return nothing and time.time() - mtime_ns / 1e9 > YOUNG_SECONDS
