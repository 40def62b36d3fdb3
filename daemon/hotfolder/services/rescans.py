"""Work that is asked for over HTTP: rescans with their progress, and retries.

Records of rescans are kept in memory, the newest hundred; what they ask for stands in the index.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from hotfolder import times
from hotfolder.engine import Engine
from hotfolder.index import report
from hotfolder.model import Job, Lane, State
from hotfolder.pipeline.reporter import Counts
from hotfolder.services import care, naming
from hotfolder.services.offline import Knowing
from hotfolder.watcher.request import Request
from hotfolder.watcher.watcher import Watcher

KEPT = 100


@dataclass(slots=True)
class Rescan:
    """One request to reconcile, and how far it is."""

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


class Requests:
    """Takes requests on any thread and answers at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._rescans: OrderedDict[str, Rescan] = OrderedDict()

    def rescan(
        self, watch: str | None, paths: list[str], *, verify: bool = False, confirm: bool = False, adopt: bool = False
    ) -> str:  # fmt: skip
        """Ask for a reconcile of all, of one watch, or of folders and files. Raises KeyError, Problem."""
        engine = self._engine
        before = engine.teller.counts
        if paths:
            requests = self._of_paths(paths, verify=verify, confirm=confirm, adopt=adopt)
        else:
            names = [watch] if watch is not None else list(engine.watchers)
            requests = [
                engine.watchers[name].request(Request((b"",), verify, confirm, adopt, expected=False)) for name in names
            ]
        job = Rescan(secrets.token_hex(8), requests, before)
        with self._lock:
            self._rescans[job.id] = job
            while len(self._rescans) > KEPT:
                self._rescans.popitem(last=False)
        return job.id

    def _of_paths(self, paths: list[str], *, verify: bool, confirm: bool, adopt: bool) -> list[Request]:
        """Folders are compared, files looked at; both only where their watch would."""
        by_watch: dict[str, list[bytes]] = {}
        for n, text in enumerate(paths):
            watcher, path = self._located(text, n)
            if os.path.isdir(os.path.join(os.fsencode(watcher.config.path), path)):
                by_watch.setdefault(watcher.config.name, []).append(path)
            else:
                by_watch.setdefault(watcher.config.name, [])
                if watcher.rules.is_source(path):
                    now = time.monotonic()
                    watcher.look_at(Job(watcher.config.name, path, Lane.BACKLOG, now, now, deleted=True, closed=True))
        watchers = self._engine.watchers
        return [
            watchers[name].request(Request(tuple(below), verify, confirm, adopt)) for name, below in by_watch.items()
        ]

    def _located(self, text: str, n: int) -> tuple[Watcher, bytes]:
        named = naming.resolve(self._engine, text, f"paths.{n}")
        return named.watcher, named.path

    def job(self, job_id: str) -> dict[str, Any] | None:
        """The job as `/api/jobs/{id}` shows it; `summary` is what `scan` prints."""
        with self._lock:
            job = self._rescans.get(job_id)
        if job is None:
            return None
        return self._describe(job)

    def jobs(self) -> list[dict[str, Any]]:
        with self._lock:
            rescans = list(self._rescans.values())
        return [self._describe(job) for job in reversed(rescans)]

    def _describe(self, job: Rescan) -> dict[str, Any]:
        counts = self._engine.teller.counts.since(job.before)
        found = [each for request in job.requests for each in list(request.findings)]
        seen = sum(each.sources for each in found)
        total = sum(each.new + each.changed for each in found)
        worked = counts.made + counts.reused + counts.failed + counts.skipped
        done = min(worked, total) if not job.done else total
        return {
            "id": job.id, "kind": "rescan", "state": "done" if job.done else "running", "total": total, "done": done,
            "failed": counts.failed, "progress": 1.0 if job.done else done / total if total else 0.0,
            "started_at": times.rfc3339(job.began), "finished_at": times.rfc3339(job.ended) if job.ended else None,
            "saved_bytes": 0, "results": [],
            "summary": {
                "sources": seen, "made": counts.made, "renditions": counts.renditions,
                "reused": max(0, seen - total) + counts.reused, "failed": counts.failed, "skipped": counts.skipped,
                "removed": counts.removed, "bytes_in": counts.bytes_in, "bytes_out": counts.bytes_out,
                "complete": all(each.complete and not each.stopped for each in found),
                "waiting": self._waiting() if job.done else 0,
                "problems": [request.problem for request in job.requests if request.problem],
                "held": sum(watcher.condition.held for watcher in self._engine.watchers.values()),
            },
        }  # fmt: skip

    def _waiting(self) -> int:
        """What is put off, since its output or its file cannot be written or read for now."""
        rows = report.states(self._engine.index.read())
        return sum(n for (watch, state), n in rows.items() if state is State.PENDING and watch in self._engine.watchers)

    def retry_failures(self, paths: list[str]) -> int:
        """Try the quarantine again, all of it or these paths; gives how many."""
        located = [self._located(path, n) for n, path in enumerate(paths)]
        wanted = [(watcher.site.id, path) for watcher, path in located]
        count = self._engine.index.write(lambda c: care.retry_failures(c, wanted if paths else None)).result()
        self._engine.feeder.kick()
        return count

    def failures(self) -> list[dict[str, Any]]:
        return failures(self._engine)


def failures(known: Knowing) -> list[dict[str, Any]]:
    """The quarantine."""
    roots = {name: watcher.config.path for name, watcher in list(known.watchers.items())}
    return list(report.failures(known.index.read(), roots))
