"""What the server tells of the engine: `/stats`, health, presets, status. Plain values, no web framework."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Any

import psutil

from hotfolder import times
from hotfolder.engine import Engine
from hotfolder.index import orders, report
from hotfolder.model import Lane, State
from hotfolder.pool.threads import LOW
from hotfolder.telemetry.metrics import asked
from hotfolder.version import VERSION
from hotfolder.watcher import condition


def stats(engine: Engine) -> dict[str, Any]:
    """The groups and keys of `/stats`; pending is all that waits, beyond the bounded queue, too."""
    pool, counts = engine.pool.stats(), engine.teller.counts
    up = time.monotonic() - engine.started_at
    ended = counts.made + counts.reused
    average = counts.seconds / (ended + counts.failed) if ended + counts.failed else 0.0
    waiting = pending(engine)
    return {
        "thread_pool": {
            "active_threads": pool.active_threads,
            "idle_threads": pool.idle_threads,
            "max_workers": pool.max_workers,
        },
        "jobs": {
            "submitted": ended + counts.failed + waiting,
            "completed": ended,
            "failed": counts.failed,
            "pending": waiting,
            "success_rate": ended / (ended + counts.failed) if ended + counts.failed else 1.0,
        },
        "performance": {
            "average_job_time": average,
            "jobs_per_second": ended / up if up else 0.0,
            "uptime_hours": up / 3600,
        },
        "resources": {
            "memory_usage_mb": psutil.Process().memory_info().rss / 1e6,
            "memory_limit_mb": engine.memory.limit / 1e6,
        },
    }


def pending(engine: Engine) -> int:
    """What waits for work: rows of the backlog, fresh drops that have none yet, images of orders."""
    rows = report.states(engine.index.read())
    backlog = sum(n for (_, state), n in rows.items() if state is State.PENDING)
    noted = sum(watcher.intake.waiting for watcher in engine.watchers.values())
    ordered = sum(order.total - order.done - order.failed for order in orders.open_orders(engine.index.read()))
    return backlog + engine.queue.depth(Lane.FRESH) + noted + ordered


def status(engine: Engine) -> dict[str, Any]:
    """What `hotfolder status` shows."""
    rows = report.states(engine.index.read())
    counts = engine.teller.counts
    watches = []
    for name, watcher in engine.watchers.items():
        here = {state: n for (watch, state), n in rows.items() if watch == name}
        watches.append(
            {
                "name": name,
                "path": watcher.config.path,
                "output": watcher.config.output,
                "state": watcher.condition.state,
                "sources": sum(here.values()),
                "pending": here.get(State.PENDING, 0),
                "failed": here.get(State.FAILED, 0),
                "skipped": here.get(State.SKIPPED, 0),
                "presets": watcher.config.presets,
                "held_deletions": watcher.condition.held,
                "troubles": sorted(watcher.condition.troubles.values()),
            }
        )
    return {
        "version": VERSION,
        "pid": os.getpid(),
        "watches": watches,
        **engine.holds.state.as_dict(),
        "queue": {lane.value: engine.queue.depth(lane) for lane in Lane} | {"capacity": engine.queue.capacity},
        "put_off": put_off(engine),
        "made": counts.made,
        "reused": counts.reused,
        "renditions": counts.renditions,
        "failed": counts.failed,
        "bytes_in": counts.bytes_in,
        "bytes_out": counts.bytes_out,
        "drop_to_ready_seconds": engine.teller.drop_to_ready,
    } | stats(engine)


def put_off(engine: Engine) -> dict[str, Any]:
    """How many sources failed and are tried again later, and when the first of them is."""
    query = "SELECT count(*), min(retry_at) FROM source WHERE state = 0 AND retry_at > ?"
    count, first = engine.index.read().execute(query, (time.time(),)).fetchone()
    return {"count": count, "next_try": times.rfc3339(first) if first is not None else None}


def presets(engine: Engine) -> dict[str, Any]:
    keys = ("width", "height", "fit", "format", "quality", "suffix")
    found = engine.config.all_presets()
    return {name: {key: getattr(preset, key) for key in keys} for name, preset in found.items()}


def readiness(engine: Engine) -> dict[str, str]:
    """What stands in the way of work, by subject; empty when ready. Touches no root: a hung mount would block."""
    problems = {}
    for name, watcher in engine.watchers.items():
        for subject, trouble in watcher.condition.troubles.items():
            if subject in condition.UNREADY:
                problems[f"watch {name}: {subject}"] = trouble
    try:
        engine.index.read().execute("SELECT 1 FROM meta LIMIT 1")
    except sqlite3.Error as error:
        problems["index"] = str(error)
    return problems


def bind_metrics(engine: Engine) -> None:
    """Let the gauges ask the engine whenever they are scraped."""
    metrics = engine.metrics
    metrics.queue_capacity.set(engine.queue.capacity)
    for lane in Lane:
        asked(metrics.queue_depth.labels(lane), lambda lane=lane: engine.queue.depth(lane))  # type: ignore[misc]
        asked(metrics.oldest_pending.labels(lane), lambda lane=lane: engine.queue.oldest(lane) or 0)  # type: ignore[misc]
    asked(metrics.workers.labels("busy"), lambda: engine.pool.busy)
    asked(metrics.workers.labels("idle"), lambda: max(LOW, engine.pool.size) - engine.pool.busy)
    asked(metrics.memory_reserved, lambda: engine.memory.reserved)
    asked(metrics.memory_limit, lambda: engine.memory.limit)


def refresh_metrics(engine: Engine) -> None:
    """Gauges that come from one query, set before each scrape."""
    connection = engine.index.read()
    metrics = engine.metrics
    rows = report.states(connection)
    for name, watcher in engine.watchers.items():
        here = {state: n for (watch, state), n in rows.items() if watch == name}
        metrics.sources.labels(name).set(sum(here.values()))
        metrics.sources_pending.labels(name).set(here.get(State.PENDING, 0))
        free = engine.free_space.of(watcher.config.output)
        if free is not None:
            metrics.output_free.labels(name).set(free)
    found = report.quarantine(connection)
    for reason in metrics.known_reasons:
        metrics.quarantined.labels(reason).set(found.get(reason, 0))
    missing = report.skipped(connection)
    for extra in metrics.known_extras:
        metrics.skipped.labels(extra).set(missing.get(extra, 0))
