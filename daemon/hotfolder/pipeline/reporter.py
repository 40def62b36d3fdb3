"""What is said of every ended job: a log line, metrics, the counts that `scan` and `/stats` show, a live event."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from dataclasses import dataclass, fields, replace
from typing import Any

from hotfolder import paths, times
from hotfolder.errors import Reason
from hotfolder.index import report
from hotfolder.index.orders import Order
from hotfolder.model import Job, Lane, Outcome, Result
from hotfolder.paths import show
from hotfolder.presets import OPTIMIZED
from hotfolder.telemetry import logs
from hotfolder.telemetry.bus import JOBS, PIPELINE, Bus
from hotfolder.telemetry.metrics import Metrics

RECENT_DROPS = 100

ORDER_SECONDS = 0.25
"""Between two events of one order, while it goes on."""

log = logs.get("working")


@dataclass(slots=True)
class Counts:
    """Sums since the start: sources by how they ended, bytes read and written, seconds of work."""

    made: int = 0
    renditions: int = 0
    reused: int = 0
    failed: int = 0
    skipped: int = 0
    retried: int = 0
    removed: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0

    def since(self, before: Counts) -> Counts:
        return Counts(**{f.name: getattr(self, f.name) - getattr(before, f.name) for f in fields(self)})

    def copy(self) -> Counts:
        return replace(self)


class Reporter:
    """Called by workers, after the commit of each job."""

    def __init__(self, metrics: Metrics, events: Bus) -> None:
        self._metrics = metrics
        self._events = events
        self._lock = threading.Lock()
        self._counts = Counts()
        self._extras: set[str] = set()
        self._told: dict[int, float] = {}
        self._drops: deque[float] = deque(maxlen=RECENT_DROPS)

    @property
    def counts(self) -> Counts:
        with self._lock:
            return self._counts.copy()

    @property
    def drop_to_ready(self) -> float | None:
        """Seconds from the last event to the last rendition: the median of recent drops. None before the first."""
        with self._lock:
            return statistics.median(self._drops) if self._drops else None

    def tell(self, job: Job, outcome: Outcome) -> None:
        result = outcome.result
        self._count(outcome)
        if result in (Result.DONE, Result.FAILED, Result.RETRIED, Result.SKIPPED):
            self._metrics.jobs.labels(job.watch, result).inc()
        if result is Result.DONE:
            self._done(job, outcome)
        elif result is Result.REUSED:
            self._metrics.cache_requests.labels("hit").inc()
            self._metrics.last_success.labels(job.watch).set(time.time())
            if outcome.old_path is not None:
                log.info("renamed", watch=job.watch, path=job.path, was=outcome.old_path)
        elif result is Result.FAILED:
            log.warning("failed", watch=job.watch, path=job.path, reason=str(outcome.reason), message=outcome.message)
        elif result is Result.RETRIED:
            say = log.warning if outcome.reason is Reason.OUTPUT_ERROR else log.info
            again = "" if outcome.retry_at is None else times.rfc3339(outcome.retry_at)
            why = {"reason": str(outcome.reason), "message": outcome.message}
            say("put_off", watch=job.watch, path=job.path, **why, next_try=again)
        elif result is Result.SKIPPED:
            self._say_extra(outcome)
        elif result is Result.GONE and outcome.removed:
            log.info("removed", watch=job.watch, path=job.path)
        self._publish(job, outcome)

    def _count(self, outcome: Outcome) -> None:
        with self._lock:
            counts = self._counts
            counts.seconds += outcome.seconds
            if outcome.result is Result.DONE:
                counts.made += 1
                counts.renditions += len(outcome.renditions)
                counts.bytes_in += outcome.source_bytes
                counts.bytes_out += sum(rendition.bytes for rendition in outcome.renditions)
            elif outcome.result is Result.GONE:
                counts.removed += outcome.removed
            elif outcome.result is not Result.CHANGED:
                name = str(outcome.result)
                setattr(counts, name, getattr(counts, name) + 1)

    def _done(self, job: Job, outcome: Outcome) -> None:
        metrics = self._metrics
        metrics.cache_requests.labels("miss").inc()
        metrics.last_success.labels(job.watch).set(time.time())
        metrics.source_bytes.inc(outcome.source_bytes)
        if outcome.record is not None and (verdict := outcome.record.verdict):
            metrics.analyzed.labels(outcome.record.camera_class, verdict).inc()
        written = sum(rendition.bytes for rendition in outcome.renditions)
        metrics.rendition_bytes.inc(written)
        for rendition in outcome.renditions:
            metrics.renditions.labels(metrics.preset_label(rendition.preset)).inc()
            if rendition.preset.startswith(OPTIMIZED) and rendition.note == "":
                metrics.saved_bytes.inc(max(0, outcome.source_bytes - rendition.bytes))
        metrics.stage("wait", max(0.0, time.monotonic() - job.queued - outcome.seconds))
        keys: dict[str, object] = {"renditions": len(outcome.renditions), "bytes": written, "seconds": outcome.seconds}
        if job.lane is Lane.FRESH and job.seen_changing is not None:  # otherwise it waited in the index, too
            keys["since_drop"] = since_drop = time.monotonic() - job.since
            metrics.drop_to_ready.labels(job.watch).observe(since_drop)
            with self._lock:
                self._drops.append(since_drop)
        if "misnamed" in outcome.notes:
            metrics.misnamed.labels(job.watch).inc()
        if outcome.notes:
            keys["notes"] = ",".join(outcome.notes)
        log.info("ready", watch=job.watch, path=job.path, **keys)

    def _publish(self, job: Job, outcome: Outcome) -> None:
        """Paths are relative to the root of their watch."""
        name = _event(outcome)
        if name is None or not self._events.heard(PIPELINE):
            return
        keys: dict[str, Any] = {"watch": job.watch} | paths.named("", job.path) | {"source_id": outcome.source_id}
        if name == "ready":
            keys |= {"renditions": len(outcome.renditions), "bytes": sum(each.bytes for each in outcome.renditions)}
            keys["seconds"] = round(outcome.seconds, 4)
        elif name == "renamed" and outcome.old_path is not None:
            keys["was"] = show(outcome.old_path)
        elif name in ("failed", "put_off"):
            keys |= {"reason": str(outcome.reason), "message": outcome.message}
            keys |= {"next_try": times.rfc3339(outcome.retry_at)} if outcome.retry_at is not None else {}
        elif name == "skipped":
            keys |= {"extra": outcome.extra, "message": outcome.message}
        self._events.publish(PIPELINE, name, **keys)

    def order(self, order: Order, time_left: float | None) -> None:
        """How far an order is, at most every ORDER_SECONDS and at its end."""
        now = time.monotonic()
        with self._lock:
            if order.open and now - self._told.get(order.id, 0.0) < ORDER_SECONDS:
                return
            self._told[order.id] = now
            if not order.open:
                del self._told[order.id]
        self._events.publish(JOBS, "job", **report.order(order, time_left))

    def _say_extra(self, outcome: Outcome) -> None:
        with self._lock:
            known = outcome.extra in self._extras
            self._extras.add(outcome.extra)
        if not known:
            log.warning("skipped", extra=outcome.extra, message=outcome.message, next="further ones are only counted")


def _event(outcome: Outcome) -> str | None:
    """What listeners hear of it; None where nothing became of it that anyone can see."""
    match outcome.result:
        case Result.DONE:
            return "ready"
        case Result.REUSED if outcome.old_path is not None:
            return "renamed"
        case Result.REUSED if outcome.renditions:
            return "ready"  # copied from another source of the same bytes
        case Result.FAILED:
            return "failed"
        case Result.RETRIED:
            return "put_off"
        case Result.SKIPPED:
            return "skipped"
        case Result.GONE if outcome.removed:
            return "removed"
    return None
