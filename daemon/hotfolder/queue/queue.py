"""The bounded queue: by path, two lanes, ranks within them. A path is in at most one place.

Waiting, in work, or in work and to be looked at again: the newest announcement of a path counts, and none is lost.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from hotfolder.model import Job, Lane, Rank
from hotfolder.queue.lane import Held, Key, Ranked, merged

BACKLOG_EVERY = 16
"""While fresh drops keep coming, the backlog still has one turn in sixteen."""
HIGHEST = 1 << 30


class JobQueue:
    """All operations are O(1) and thread-safe. `capacity` bounds each lane; `idle` hears of a watch without jobs.

    All who wait do so on one condition, and each change wakes all: waking one might wake the wrong one.
    """

    def __init__(self, capacity: int, idle: Callable[[str], None] | None = None) -> None:
        self.capacity = capacity
        self._idle = idle
        self._changed = threading.Condition()
        self._lanes = {lane: Ranked(newest_first=lane is Lane.FRESH) for lane in Lane}
        self._in_work: dict[Key, Job | None] = {}
        self._again: dict[Key, Job] = {}
        self._most: dict[str, int] = {}
        self._most_of_lane: dict[Lane, int] = {}
        self._ranks: Mapping[str, Rank] = {}
        self._held: Held = frozenset()
        self._working: Counter[str] = Counter()
        self._working_of_lane: Counter[Lane] = Counter()
        self._waiting: Counter[tuple[Lane, str]] = Counter()
        self._fresh_in_a_row = 0
        self._closed = False

    # -- giving ----------------------------------------------------------------------------------------------------

    def offer(self, job: Job) -> bool:
        """Let the job wait. False where its lane is full and its path is in no place yet; orders bound themselves.

        A path that waits takes the newest announcement, keeps its time of waiting, and rises from the backlog where
        the new one is fresh; one in work is looked at again afterwards.
        """
        with self._changed:
            if job.key in self._in_work:
                self._again[job.key] = merged(self._again.get(job.key), job)
                return True
            for lane, waiting in self._lanes.items():
                if (former := waiting.get(job.key)) is None:
                    continue
                together = merged(former, job)
                if together.lane is lane:
                    waiting.replace(together)
                else:
                    self._remove(lane, job.key)
                    self._insert(together)  # a rise may pass the bound: it frees a place below
                    self._changed.notify_all()  # it may have risen out of a lane that is held
                return True
            if not job.ordered and not self._has_room(job.lane, job.watch):
                return False
            self._insert(job)
            self._changed.notify_all()
            return True

    def _has_room(self, lane: Lane, watch: str) -> bool:
        """The backlog has shares, by its feeder. Of the fresh lane a quarter is kept free for each better rank, and a
        watch that is held may fill half: the drops of others still find room."""
        most = self.capacity
        if lane is Lane.FRESH:
            better = {rank for rank in self._ranks.values() if rank < self._rank(watch)}
            most -= len(better) * self.capacity // 4
            if (lane, watch) in self._held and self._waiting[lane, watch] >= self.capacity // 2:
                return False
        return len(self._lanes[lane]) < most

    def _rank(self, watch: str) -> Rank:
        return self._ranks.get(watch, Rank.NORMAL)

    def _insert(self, job: Job) -> None:
        self._lanes[job.lane].insert(job, self._rank(job.watch))
        self._waiting[job.lane, job.watch] += 1

    def _remove(self, lane: Lane, key: Key) -> Job:
        self._waiting[lane, key[0]] -= 1
        return self._lanes[lane].remove(key)

    def withdraw(self, watch: str, path: bytes) -> bool:
        """An order was cancelled: the path waits no longer, unless something else announced it, too."""
        key = (watch, path)
        with self._changed:
            if (again := self._again.get(key)) is not None and again.ordered:
                del self._again[key]
            job = self._lanes[Lane.BACKLOG].get(key)
            if job is None or not job.ordered:
                return False
            self._remove(Lane.BACKLOG, key)
            self._changed.notify_all()
            return True

    # -- taking ----------------------------------------------------------------------------------------------------

    def take(self, timeout: float | None = None) -> Job | None:
        """The next job, in work from now on; None after `timeout` seconds, or when closed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._closed:
                if (job := self._next()) is not None:
                    self._in_work[job.key] = job
                    self._working[job.watch] += 1
                    self._working_of_lane[job.lane] += 1
                    self._changed.notify_all()
                    return job
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
            return None

    def _next(self) -> Job | None:
        if self._fresh_in_a_row >= BACKLOG_EVERY and (job := self._pick(Lane.BACKLOG)):
            self._fresh_in_a_row = 0
            return job
        if job := self._pick(Lane.FRESH):
            self._fresh_in_a_row += 1
            return job
        self._fresh_in_a_row = 0
        return self._pick(Lane.BACKLOG)

    def _pick(self, lane: Lane) -> Job | None:
        """The first whose watch may have one more in work; nearly always the first of all."""
        if (lane, None) in self._held or self._working_of_lane[lane] >= self._most_of_lane.get(lane, HIGHEST):
            return None

        def may(watch: str) -> bool:
            return self._working[watch] < self._most.get(watch, HIGHEST) and (lane, watch) not in self._held

        job = self._lanes[lane].next(may)
        return None if job is None else self._remove(lane, job.key)

    # -- steering --------------------------------------------------------------------------------------------------

    def resize(self, capacity: int) -> None:
        """Another bound of each lane. What waits beyond it goes on waiting, and nothing is added meanwhile."""
        with self._changed:
            self.capacity = capacity
            self._changed.notify_all()

    def rank(self, ranks: Mapping[str, Rank]) -> None:
        """Which watches come before others. Of those that wait already nothing changes."""
        with self._changed:
            self._ranks = dict(ranks)
            self._changed.notify_all()  # how much room each has follows from them

    def hold(self, held: Held) -> None:
        """From these nothing is taken until another set is given; what waits, and what comes, waits on."""
        with self._changed:
            self._held = held
            self._changed.notify_all()

    def holds_back(self, lane: Lane, watch: str) -> bool:
        """Whether the lane is held for this watch."""
        with self._changed:
            return (lane, None) in self._held or (lane, watch) in self._held

    def limit(self, watch: str, most: int | None) -> None:
        """At most so many jobs of this watch in work at once; None: as many as there are workers."""
        with self._changed:
            self._most[watch] = HIGHEST if most is None else most
            self._changed.notify_all()

    def limit_lane(self, lane: Lane, most: int | None) -> None:
        """The same for a lane."""
        with self._changed:
            self._most_of_lane[lane] = HIGHEST if most is None else most
            self._changed.notify_all()

    def lane_limit(self, lane: Lane) -> int:
        with self._changed:
            return self._most_of_lane.get(lane, HIGHEST)

    def finish(self, job: Job) -> None:
        """The job has ended; what was announced meanwhile waits now. Once for each that was taken: again is no harm."""
        with self._changed:
            if self._in_work.get(job.key) is job:
                self._leave(job.key)

    def claim(self, watch: str, path: bytes) -> bool:
        """Keep a path out of work without a job, as for a rename: what waits there stays. False where it is in work."""
        key = (watch, path)
        with self._changed:
            if key in self._in_work:
                return False
            for lane, waiting in self._lanes.items():
                if key in waiting:
                    self._again[key] = self._remove(lane, key)
            self._in_work[key] = None
            self._working[watch] += 1
            self._changed.notify_all()
            return True

    def release(self, watch: str, path: bytes) -> None:
        self._leave((watch, path))

    def _leave(self, key: Key) -> None:
        with self._changed:
            self._working[key[0]] -= 1
            if (job := self._in_work.pop(key, None)) is not None:
                self._working_of_lane[job.lane] -= 1
            if (again := self._again.pop(key, None)) is not None:  # may pass the bound by as many as there are workers
                self._insert(again)
            self._changed.notify_all()
            idle = self._idle if not self.busy(key[0]) else None
        if idle is not None:
            idle(key[0])

    # -- asking ----------------------------------------------------------------------------------------------------

    def holds(self, watch: str, path: bytes) -> bool:
        """Whether the path is in work, or waits for more than an order, which can be cancelled."""
        with self._changed:
            waits = (job for lane in self._lanes.values() if (job := lane.get((watch, path))) is not None)
            return (watch, path) in self._in_work or any(not job.ordered for job in waits)

    def in_work(self, watch: str) -> list[bytes]:
        """The paths of one watch that are in work, or claimed."""
        with self._changed:
            return [path for name, path in self._in_work if name == watch]

    def depth(self, lane: Lane, watch: str | None = None) -> int:
        """How many wait in a lane, of one watch or of all."""
        with self._changed:
            return len(self._lanes[lane]) if watch is None else self._waiting[lane, watch]

    def busy(self, watch: str | None = None) -> int:
        """How many paths, of one watch or of all, wait or are in work."""
        with self._changed:
            if watch is None:
                return len(self._in_work) + sum(map(len, self._lanes.values()))
            return self._working[watch] + sum(self._waiting[lane, watch] for lane in Lane)

    def deleted(self, watch: str) -> list[bytes]:
        """The paths that wait since they were deleted."""
        with self._changed:
            jobs = [job for waiting in self._lanes.values() for job in waiting.jobs()] + list(self._again.values())
        return [job.path for job in jobs if job.watch == watch and job.deleted and not job.unwanted]

    def oldest(self, lane: Lane) -> float | None:
        """Seconds that the longest waiting job of this lane has waited; None where none waits."""
        with self._changed:
            first = min((job.queued for job in self._lanes[lane].jobs()), default=None)
        return None if first is None else max(0.0, time.monotonic() - first)

    def wait_room(self, lane: Lane, timeout: float) -> bool:
        """Wait until the lane is at most half full; True where it is. Half, so that its feeder works in pages."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._closed or 2 * len(self._lanes[lane]) <= self.capacity, timeout)
            return found and not self._closed

    def wait_share(self, shares: Mapping[tuple[Lane, str], int], timeout: float) -> bool:
        """Wait until one of these watches has at most half of its share of a lane, and room; True where one has."""

        def has_room() -> bool:
            return any(
                self._waiting[lane, watch] <= most // 2 and self._has_room(lane, watch)
                for (lane, watch), most in shares.items()
            )

        with self._changed:
            return self._changed.wait_for(lambda: self._closed or has_room(), timeout) and not self._closed

    def wait_idle(self, timeout: float, watches: Collection[str] | None = None) -> bool:
        """Wait until nothing waits and nothing is in work, of these watches or of all."""
        asked = [None] if watches is None else watches
        with self._changed:
            return self._changed.wait_for(lambda: not any(map(self.busy, asked)), timeout)

    # -- ending ----------------------------------------------------------------------------------------------------

    def drop(self, watch: str | None = None) -> int:
        """Forget what waits, of one watch or of all; returns how many. What is in work goes on."""
        with self._changed:
            found = [job for waiting in self._lanes.values() for job in waiting.jobs() if watch in (None, job.watch)]
            for job in found:
                self._remove(job.lane, job.key)
            self._changed.notify_all()
            return len(found)

    def close(self) -> None:
        """No job is given any more; what waits is found again at the next start."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
