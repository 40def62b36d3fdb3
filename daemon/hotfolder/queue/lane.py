"""One lane of the queue: its jobs by the rank of their watch, then in the order in which they came. Not thread-safe.

Jobs of orders take turns with all others, whatever the rank of their watch.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace

from hotfolder.model import Job, Lane, Rank

Key = tuple[str, bytes]
Held = frozenset[tuple[Lane, str | None]]
"""Lanes from which nothing is taken: of one watch, or of all (None)."""

OLDEST_EVERY = 4
"""A lane that takes the newest first takes the oldest every fourth time, so that none waits for ever."""


_HIGH_FIRST = (Rank.HIGH, Rank.NORMAL, Rank.LOW)
_TURNS = tuple(
    (Rank.LOW, Rank.HIGH, Rank.NORMAL)
    if turn == 15
    else (Rank.NORMAL, Rank.HIGH, Rank.LOW)
    if turn % 4 == 3
    else _HIGH_FIRST
    for turn in range(16)
)
"""While all ranks wait, of sixteen turns high has twelve, normal three and low one; a turn that is not used is the
next rank's."""


class Ranked:
    """`newest_first`: the newest job of a rank is taken before older ones, but each fourth time the oldest."""

    def __init__(self, *, newest_first: bool) -> None:
        self._newest_first = newest_first
        self._ranks: dict[Rank, OrderedDict[Key, Job]] = {rank: OrderedDict() for rank in Rank}
        self._ordered: OrderedDict[Key, Job] = OrderedDict()
        self._ordered_next = True
        self._taken: Counter[Rank] = Counter()
        self._turn = 0

    def _places(self) -> tuple[OrderedDict[Key, Job], ...]:
        return (self._ordered, *self._ranks.values())

    def __len__(self) -> int:
        return sum(map(len, self._places()))

    def __contains__(self, key: Key) -> bool:
        return any(key in jobs for jobs in self._places())

    def jobs(self) -> Iterator[Job]:
        for jobs in self._places():
            yield from jobs.values()

    def get(self, key: Key) -> Job | None:
        return next((jobs[key] for jobs in self._places() if key in jobs), None)

    def insert(self, job: Job, rank: Rank) -> None:
        (self._ordered if job.ordered else self._ranks[rank])[job.key] = job

    def replace(self, job: Job) -> None:
        """The same path, at the same place in the order."""
        next(jobs for jobs in self._places() if job.key in jobs)[job.key] = job

    def remove(self, key: Key) -> Job:
        return next(jobs for jobs in self._places() if key in jobs).pop(key)

    def next(self, may: Callable[[str], bool]) -> Job | None:
        """The job whose turn it is, of those whose watch may have one more in work; it stays in the lane."""
        if self._ordered_next and (job := self._first_ordered(may)):
            self._ordered_next = False
            return job
        self._ordered_next = True
        return self._first_ranked(may) or self._first_ordered(may)

    def _first_ordered(self, may: Callable[[str], bool]) -> Job | None:
        return next((job for job in self._ordered.values() if may(job.watch)), None)

    def _first_ranked(self, may: Callable[[str], bool]) -> Job | None:
        for rank in _TURNS[self._turn % len(_TURNS)]:
            jobs = self._ranks[rank]
            newest = self._newest_first and self._taken[rank] % OLDEST_EVERY != OLDEST_EVERY - 1
            for key in reversed(jobs) if newest else jobs:
                if may(key[0]):
                    self._turn += 1
                    self._taken[rank] += 1
                    return jobs[key]
        return None


def merged(former: Job | None, newer: Job) -> Job:
    """Two announcements of one path as one: the newer's facts, the longer waiting time, the better lane."""
    if former is None:
        return newer
    fresh = Lane.FRESH in (former.lane, newer.lane)
    return replace(
        newer,
        lane=Lane.FRESH if fresh else Lane.BACKLOG,
        since=min(former.since, newer.since),
        queued=min(former.queued, newer.queued),
        closed=former.closed or newer.closed,
        deleted=former.deleted or newer.deleted,
        ordered=former.ordered and newer.ordered,
        hint=newer.hint or former.hint,
        seen_changing=newer.seen_changing if newer.seen_changing is not None else former.seen_changing,
    )
