"""Part of the beat: the pool grows while jobs wait and the CPUs idle, and shrinks where CPU or memory runs short.

Looks at nothing while nothing is to be done, so that an idle daemon stays idle.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from hotfolder.pool import sizing
from hotfolder.pool.memory import Reservation
from hotfolder.pool.threads import ElasticPool
from hotfolder.queue.queue import JobQueue
from hotfolder.telemetry import logs
from hotfolder.telemetry.metrics import Metrics

BEAT_SECONDS = 2.0

log = logs.get("working")


class Balance:
    """At the pool's size of now, until `bound` is called."""

    def __init__(
        self,
        pool: ElasticPool,
        queue: JobQueue,
        memory: Reservation,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._queue = queue
        self._memory = memory
        self._metrics = metrics
        self._clock = clock
        self._process = psutil.Process()
        self._at: float | None = None
        self._low = self._high = pool.size
        self._auto_memory = False

    def bound(self, low: int, high: int, *, auto_memory: bool) -> None:
        """Between `low` and `high` workers from now on; a pool outside of these bounds is brought back into them.
        `auto_memory`: the limit of memory follows what the machine has left, downwards."""
        self._low, self._high, self._auto_memory = low, high, auto_memory
        self._metrics.workers_bound.labels("low").set(low)
        self._metrics.workers_bound.labels("high").set(high)
        if not auto_memory:
            self._memory.withhold(0)
        if (goal := max(low, min(self._pool.size, high))) != self._pool.size:
            self._pool.resize(goal)

    def beat(self) -> None:
        """Call it as often as you like."""
        waiting = self._queue.busy() - self._pool.busy
        if not waiting and not self._pool.busy:
            self._at = None
            return
        now = self._clock()
        if self._at is not None and now - self._at < BEAT_SECONDS:
            return
        first, self._at = self._at is None, now
        cpu_share = self._cpu_share()
        if first:
            return  # that was the share of a time without work
        if self._auto_memory:
            self._follow_memory()
        self._resize(waiting, cpu_share)

    def _cpu_share(self) -> float:
        """Of the usable CPUs since the last call: our own, or, where others take more, those of the machine."""
        own = self._process.cpu_percent() / 100 / sizing.usable_cpus()
        return max(own, psutil.cpu_percent() / 100)

    def _follow_memory(self) -> None:
        allowed = self._process.memory_info().rss + sizing.MEMORY_SHARE * sizing.available_memory()
        self._memory.withhold(max(0, self._memory.limit - int(allowed)))

    def _resize(self, waiting: int, cpu_share: float) -> None:
        memory_share = self._memory.reserved / self._memory.limit
        was = self._pool.size
        goal, why = sizing.target(
            was, self._low, self._high, waiting=waiting, cpu_share=cpu_share, memory_share=memory_share
        )
        if why is not None:
            self._pool.resize(goal)
            self._metrics.pool_resizes.labels(why).inc()
            shares = {"cpu": round(cpu_share, 2), "memory": round(memory_share, 2)}
            log.info("pool_resized", workers=goal, was=was, why=why, waiting=waiting, **shares)
