"""How the daemon is: the figures of `/stats`, and all that `hotfolder status` shows."""

from __future__ import annotations

import os
import time

import psutil

from hotfolder import times
from hotfolder.engine import Engine
from hotfolder.index import backlog, orders, report
from hotfolder.model import Lane, State
from hotfolder.pipeline.reporter import Counts
from hotfolder.services import holds
from hotfolder.services.answers import Answer
from hotfolder.services.holds import Backlog, Paused
from hotfolder.version import VERSION


class ThreadPool(Answer):
    """Workers, by what they do."""

    active_threads: int
    idle_threads: int
    max_workers: int


class Jobs(Answer):
    """Images since the start, and what waits now; `success_rate` from 0 to 1."""

    submitted: int
    completed: int
    failed: int
    pending: int
    success_rate: float


class Performance(Answer):
    """`average_job_time` in seconds."""

    average_job_time: float
    jobs_per_second: float
    uptime_hours: float


class Resources(Answer):
    """In units of 10⁶ bytes."""

    memory_usage_mb: float
    memory_limit_mb: float


class Stats(Answer):
    """The figures of the pool, of jobs, of speed and of memory."""

    thread_pool: ThreadPool
    jobs: Jobs
    performance: Performance
    resources: Resources


class WatchStatus(Answer):
    """One watch: its condition, what stands in its way, and its sources by what is known of them."""

    name: str
    path: str
    output: str
    state: str
    sources: int
    pending: int
    failed: int
    skipped: int
    presets: list[str]
    held_deletions: int
    troubles: list[str]


class Queue(Answer):
    """Jobs in each lane of the queue, and how many a lane holds."""

    fresh: int
    backlog: int
    capacity: int


class PutOff(Answer):
    """Sources that are tried again later, and when the first of them is."""

    count: int
    next_try: str | None


class Status(Stats):
    """All that the daemon does; sums are since the start, `drop_to_ready_seconds` is the median of recent drops."""

    version: str
    pid: int
    watches: list[WatchStatus]
    paused: list[Paused]
    backlog: Backlog
    queue: Queue
    put_off: PutOff
    made: int
    reused: int
    renditions: int
    failed: int
    bytes_in: int
    bytes_out: int
    drop_to_ready_seconds: float | None


def stats(engine: Engine) -> Stats:
    """Pending is all that waits, beyond the bounded queue, too."""
    pool, counts = engine.pool.stats(), engine.reporter.counts
    return Stats(
        thread_pool=ThreadPool(
            active_threads=pool.active_threads, idle_threads=pool.idle_threads, max_workers=pool.max_workers
        ),
        jobs=_jobs(counts, pending(engine)),
        performance=performance(engine),
        resources=Resources(
            memory_usage_mb=psutil.Process().memory_info().rss / 1e6, memory_limit_mb=engine.memory.limit / 1e6
        ),
    )


def _jobs(counts: Counts, waiting: int) -> Jobs:
    ended = counts.made + counts.reused
    worked = ended + counts.failed
    return Jobs(
        submitted=worked + waiting,
        completed=ended,
        failed=counts.failed,
        pending=waiting,
        success_rate=ended / worked if worked else 1.0,
    )


def performance(engine: Engine) -> Performance:
    """How fast images were made since the start."""
    counts = engine.reporter.counts
    up = time.monotonic() - engine.started_at
    ended = counts.made + counts.reused
    worked = ended + counts.failed
    return Performance(
        average_job_time=counts.seconds / worked if worked else 0.0,
        jobs_per_second=ended / up if up else 0.0,
        uptime_hours=up / 3600,
    )


def pending(engine: Engine) -> int:
    """What waits for work: rows of the backlog, fresh drops that have none yet, images of orders."""
    rows = report.states(engine.index.read())
    backlog = sum(n for (_, state), n in rows.items() if state is State.PENDING)
    noted = sum(watcher.intake.waiting for watcher in engine.watchers.values())
    ordered = sum(order.total - order.done - order.failed for order in orders.open_orders(engine.index.read()))
    return backlog + engine.queue.depth(Lane.FRESH) + noted + ordered


def status(engine: Engine) -> Status:
    """What `hotfolder status` shows."""
    counts, held, figures = engine.reporter.counts, holds.held(engine), stats(engine)
    return Status(
        version=VERSION,
        pid=os.getpid(),
        watches=_watches(engine),
        paused=held.paused,
        backlog=held.backlog,
        queue=Queue(
            fresh=engine.queue.depth(Lane.FRESH),
            backlog=engine.queue.depth(Lane.BACKLOG),
            capacity=engine.queue.capacity,
        ),
        put_off=_put_off(engine),
        made=counts.made,
        reused=counts.reused,
        renditions=counts.renditions,
        failed=counts.failed,
        bytes_in=counts.bytes_in,
        bytes_out=counts.bytes_out,
        drop_to_ready_seconds=engine.reporter.drop_to_ready,
        thread_pool=figures.thread_pool,
        jobs=figures.jobs,
        performance=figures.performance,
        resources=figures.resources,
    )


def _watches(engine: Engine) -> list[WatchStatus]:
    rows = report.states(engine.index.read())
    found = []
    for name, watcher in engine.watchers.items():
        here = {state: n for (watch, state), n in rows.items() if watch == name}
        found.append(
            WatchStatus(
                name=name,
                path=watcher.config.path,
                output=watcher.config.output,
                state=watcher.condition.state,
                sources=sum(here.values()),
                pending=here.get(State.PENDING, 0),
                failed=here.get(State.FAILED, 0),
                skipped=here.get(State.SKIPPED, 0),
                presets=list(watcher.config.presets),
                held_deletions=watcher.condition.held,
                troubles=sorted(watcher.condition.troubles.values()),
            )
        )
    return found


def _put_off(engine: Engine) -> PutOff:
    count, first = backlog.put_off(engine.index.read(), time.time())
    return PutOff(count=count, next_try=None if first is None else times.rfc3339(first))
