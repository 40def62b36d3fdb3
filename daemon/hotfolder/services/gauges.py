"""The metrics that are read from the engine when somebody scrapes them."""

from __future__ import annotations

from hotfolder.engine import Engine
from hotfolder.index import report
from hotfolder.model import Lane, State
from hotfolder.pool.threads import LOW
from hotfolder.telemetry.metrics import asked
from hotfolder.watcher import events


def bind(engine: Engine) -> None:
    """Let these gauges query the engine at each scrape."""
    metrics = engine.metrics
    metrics.queue_capacity.set(engine.queue.capacity)
    for lane in Lane:
        asked(metrics.queue_depth.labels(lane), lambda lane=lane: engine.queue.depth(lane))  # type: ignore[misc]
        asked(metrics.oldest_pending.labels(lane), lambda lane=lane: engine.queue.oldest(lane) or 0)  # type: ignore[misc]
    asked(metrics.workers.labels("busy"), lambda: engine.pool.busy)
    asked(metrics.workers.labels("idle"), lambda: max(LOW, engine.pool.size) - engine.pool.busy)
    asked(metrics.memory_reserved, lambda: engine.memory.reserved)
    asked(metrics.memory_limit, lambda: engine.memory.limit)
    asked(metrics.inotify_watches, lambda: sum(watcher.observer.watches for watcher in engine.watchers.values()))
    asked(metrics.inotify_limit, lambda: events.limit("max_user_watches"))


def refresh(engine: Engine) -> None:
    """Set what comes from one query, before each scrape."""
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
