"""Rescans: a reconcile of everything, of one watch, or of folders and files, and how far it is.

Records of rescans are kept in memory, the newest hundred; what they have found to do stands in the index.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from hotfolder import times
from hotfolder.engine import Engine
from hotfolder.index import report
from hotfolder.model import Job as Look
from hotfolder.model import Lane, State
from hotfolder.pipeline.reporter import Counts
from hotfolder.services import naming
from hotfolder.services.answers import Answer
from hotfolder.services.errors import NotFound
from hotfolder.watcher.findings import Findings
from hotfolder.watcher.request import Request

KEPT = 100


class Job(Answer):
    """How far a job is: images that ended well (`done`) and not (`failed`), of `total`; `progress` from 0 to 1."""

    id: str
    kind: str
    state: str
    total: int
    done: int
    failed: int
    progress: float
    started_at: str | None
    finished_at: str | None
    saved_bytes: int


class RescanSummary(Answer):
    """What a rescan has found and done so far.

    `complete`: every folder was listed to its end; `waiting`: images that are put off; `problems`: roots that could not
    be walked; `held`: deletions that wait to be confirmed.
    """

    sources: int
    made: int
    renditions: int
    reused: int
    failed: int
    skipped: int
    removed: int
    bytes_in: int
    bytes_out: int
    complete: bool
    waiting: int
    problems: list[str]
    held: int


class Rescan(Job):
    """A rescan. It has no results of single images."""

    results: Annotated[list[str], Field(max_length=0)]
    summary: RescanSummary


@dataclass(frozen=True, slots=True)
class Scope:
    """What is compared with the index: the paths; without any the watch; without that everything.

    `verify`: renditions are looked for, too; `confirm`: what is missing goes, however much it is; `adopt`: renditions
    of which nothing is known count as made.
    """

    watch: str | None = None
    paths: Sequence[str] = ()
    verify: bool = False
    confirm: bool = False
    adopt: bool = False


@dataclass(slots=True)
class _Asked:
    """One rescan, and the sums of the engine before it."""

    id: str
    requests: list[Request]
    before: Counts
    began: float = field(default_factory=time.time)

    @property
    def done(self) -> bool:
        return all(request.done.is_set() for request in self.requests)

    @property
    def ended(self) -> float | None:
        moments = [request.ended for request in self.requests if request.ended is not None]
        return max(moments, default=self.began) if self.done else None


class Rescans:
    """Takes rescans on any thread and returns at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, _Asked] = OrderedDict()

    def begin(self, scope: Scope) -> str:
        """Have a reconcile made; returns its id. Raises ServiceError."""
        before = self._engine.reporter.counts
        if scope.watch is not None:
            naming.watcher(self._engine, scope.watch)
        requests = self._of_paths(scope) if scope.paths else self._of_watches(scope)
        job = _Asked(secrets.token_hex(8), requests, before)
        with self._lock:
            self._asked[job.id] = job
            while len(self._asked) > KEPT:
                self._asked.popitem(last=False)
        return job.id

    def wait(self, job_id: str, seconds: float) -> None:
        """Until it has ended, or so long."""
        with self._lock:
            asked = self._asked.get(job_id)
        for request in asked.requests if asked is not None else ():
            if not request.done.is_set():
                request.done.wait(seconds)
                return

    def _of_watches(self, scope: Scope) -> list[Request]:
        watchers = self._engine.watchers
        names = list(watchers) if scope.watch is None else [scope.watch]
        return [
            watchers[name].request(Request((b"",), scope.verify, scope.confirm, scope.adopt, expected=False))
            for name in names
        ]

    def _of_paths(self, scope: Scope) -> list[Request]:
        """Folders are compared, files looked at; both only where their watch would."""
        by_watch: dict[str, list[bytes]] = {}
        for n, text in enumerate(scope.paths):
            named = naming.resolve(self._engine, text, f"paths.{n}")
            watcher, path = named.watcher, named.path
            below = by_watch.setdefault(watcher.config.name, [])
            if os.path.isdir(os.path.join(os.fsencode(watcher.config.path), path)):
                below.append(path)
            elif watcher.rules.is_source(path):
                now = time.monotonic()
                watcher.look_at(Look(watcher.config.name, path, Lane.BACKLOG, now, now, deleted=True, closed=True))
        watchers = self._engine.watchers
        return [
            watchers[name].request(Request(tuple(below), scope.verify, scope.confirm, scope.adopt))
            for name, below in by_watch.items()
        ]

    def one(self, id_: str) -> Rescan:
        """Raises NotFound."""
        with self._lock:
            job = self._asked.get(id_)
        if job is None:
            raise NotFound("no such job")
        return self._describe(job)

    def listed(self) -> list[Rescan]:
        """The newest first."""
        with self._lock:
            asked = list(self._asked.values())
        return [self._describe(job) for job in reversed(asked)]

    def _describe(self, job: _Asked) -> Rescan:
        ended = job.ended
        counts = self._engine.reporter.counts.since(job.before)
        found = [each for request in job.requests for each in list(request.findings)]
        total = sum(each.new + each.changed for each in found)
        worked = counts.made + counts.reused + counts.failed + counts.skipped
        done = min(worked, total) if ended is None else total
        return Rescan(
            id=job.id,
            kind="rescan",
            state="running" if ended is None else "done",
            total=total,
            done=done,
            failed=counts.failed,
            progress=1.0 if ended is not None else done / total if total else 0.0,
            started_at=times.rfc3339(job.began),
            finished_at=None if ended is None else times.rfc3339(ended),
            saved_bytes=0,
            results=[],
            summary=self._summary(job, counts, found, total),
        )

    def _summary(self, job: _Asked, counts: Counts, found: Sequence[Findings], total: int) -> RescanSummary:
        seen = sum(each.sources for each in found)
        return RescanSummary(
            sources=seen,
            made=counts.made,
            renditions=counts.renditions,
            reused=max(0, seen - total) + counts.reused,
            failed=counts.failed,
            skipped=counts.skipped,
            removed=counts.removed,
            bytes_in=counts.bytes_in,
            bytes_out=counts.bytes_out,
            complete=all(each.complete and not each.stopped for each in found),
            waiting=self._waiting() if job.done else 0,
            problems=[request.problem for request in job.requests if request.problem],
            held=sum(watcher.condition.held for watcher in self._engine.watchers.values()),
        )

    def _waiting(self) -> int:
        """What is put off, since its output or its file cannot be written or read for now."""
        rows = report.states(self._engine.index.read())
        return sum(n for (watch, state), n in rows.items() if state is State.PENDING and watch in self._engine.watchers)
