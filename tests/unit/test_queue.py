from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hotfolder.model import Job, Lane
from hotfolder.working.queue import BACKLOG_EVERY, JobQueue

NAMES = st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f"])


def job(path: bytes, lane: Lane = Lane.FRESH, since: float = 0.0) -> Job:
    return Job("w", path, lane, since, since)


class QueueMachine(RuleBasedStateMachine):
    """Against a model: what was accepted is waiting, in work, or was given; a path is in one place."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = JobQueue(3)
        self.owed: set[bytes] = set()
        self.working: dict[bytes, Job] = {}
        self.allowed = 3

    @rule(path=NAMES, lane=st.sampled_from(list(Lane)))
    def offer(self, path: bytes, lane: Lane) -> None:
        room = self.queue.room(lane)
        known = self.queue.holds("w", path)
        accepted = self.queue.offer(job(path, lane))
        assert accepted == (room > 0 or known)
        if accepted:
            self.owed.add(path)

    @rule()
    def take(self) -> None:
        taken = self.queue.take(timeout=0)
        if taken is None:
            assert not self.owed - set(self.working)
            return
        assert taken.path not in self.working
        self.working[taken.path] = taken
        self.owed.discard(taken.path)

    @rule(path=NAMES)
    def finish(self, path: bytes) -> None:
        if path in self.working:
            self.queue.finish(self.working.pop(path))
            # What was announced while it was in work waits now, also where that passes the bound by one.
            self.allowed = max(3, self.allowed + (path in self.owed))

    @rule(path=NAMES)
    def claim(self, path: bytes) -> None:
        assert self.queue.claim("w", path) == (path not in self.working)
        if path not in self.working:
            self.queue.release("w", path)

    @invariant()
    def nothing_is_lost_and_all_is_bounded(self) -> None:
        for path in self.owed | set(self.working):
            assert self.queue.holds("w", path)
        depth = self.queue.depth(Lane.BACKLOG)
        assert depth <= self.allowed
        self.allowed = max(3, depth)


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def order(queue: JobQueue) -> list[bytes]:
    taken = []
    while found := queue.take(timeout=0):
        taken.append(found.path)
        queue.finish(found)
    return taken


def test_fresh_overtakes_backlog_and_takes_the_newest_but_every_fourth_the_oldest() -> None:
    queue = JobQueue(100)
    queue.offer(job(b"old", Lane.BACKLOG))
    for name in (b"1", b"2", b"3", b"4", b"5"):
        queue.offer(job(name))
    assert order(queue) == [b"5", b"4", b"3", b"1", b"2", b"old"]


def test_the_backlog_is_not_starved() -> None:
    queue = JobQueue(100)
    queue.offer(job(b"backlog", Lane.BACKLOG))
    for number in range(40):
        queue.offer(job(str(number).encode()))
    assert order(queue).index(b"backlog") == BACKLOG_EVERY


def test_a_path_in_work_is_looked_at_again_once() -> None:
    queue = JobQueue(10)
    queue.offer(job(b"a"))
    taken = queue.take(timeout=0)
    assert taken is not None
    assert queue.offer(job(b"a", since=1))
    assert queue.offer(job(b"a", since=2))
    assert queue.take(timeout=0) is None
    queue.finish(taken)
    assert order(queue) == [b"a"]


def test_many_threads_lose_nothing() -> None:
    queue = JobQueue(50)
    seen: Counter[bytes] = Counter()
    lock = threading.Lock()

    def consume() -> None:
        while found := queue.take(timeout=5):
            with lock:
                seen[found.path] += 1
            queue.finish(found)

    def produce(start: int) -> None:
        for number in range(start, start + 300):
            while not queue.offer(job(str(number).encode(), Lane.BACKLOG)):
                queue.wait_room(Lane.BACKLOG, 1)

    consumers = [threading.Thread(target=consume) for _ in range(4)]
    producers = [threading.Thread(target=produce, args=(start,)) for start in (0, 300, 600)]
    for thread in consumers + producers:
        thread.start()
    for thread in producers:
        thread.join()
    assert queue.wait_idle(10)
    queue.close()
    for thread in consumers:
        thread.join(10)
    assert sum(seen.values()) == 900
    assert len(seen) == 900


def test_a_watch_at_its_limit_holds_up_no_other() -> None:
    queue = JobQueue(100)
    for number in range(4):
        queue.offer(Job("slow", b"%d" % number, Lane.FRESH, 0.0, 0.0))
    queue.offer(Job("quick", b"x", Lane.BACKLOG, 0.0, 0.0))
    queue.limit("slow", 1)
    first, second = queue.take(0), queue.take(0)
    assert first is not None
    assert second is not None
    assert {first.watch, second.watch} == {"slow", "quick"}
    assert queue.take(0) is None
    assert queue.busy("slow") == 4
    queue.finish(first if first.watch == "slow" else second)
    third = queue.take(0)
    assert third is not None
    queue.limit("slow", 0)
    queue.finish(third)
    assert queue.take(0) is None
    queue.limit("slow", None)
    assert queue.take(0) is not None
    assert queue.depth(Lane.FRESH, "slow") == queue.depth(Lane.FRESH) == 1


def ordered(path: bytes) -> Job:
    return replace(job(path, Lane.BACKLOG), ordered=True)


def test_orders_and_the_backlog_take_turns() -> None:
    queue = JobQueue(4)
    for n in range(4):
        assert queue.offer(job(b"walk%d" % n, Lane.BACKLOG))
    assert not queue.offer(job(b"beyond", Lane.BACKLOG))
    for n in range(4):
        assert queue.offer(ordered(b"order%d" % n))  # a full backlog refuses no order
    taken = [queue.take(timeout=0) for _ in range(8)]
    kinds = ["order" if each is not None and each.ordered else "walk" for each in taken]
    assert kinds == ["order", "walk"] * 4
    queue.offer(ordered(b"late"))
    queue.offer(job(b"fresh"))
    assert [each.path for each in (queue.take(timeout=0), queue.take(timeout=0)) if each] == [b"fresh", b"late"]


def test_a_cancelled_order_leaves_what_others_announced() -> None:
    queue = JobQueue(4)
    queue.offer(ordered(b"alone"))
    queue.offer(ordered(b"shared"))
    queue.offer(job(b"shared", Lane.BACKLOG))
    queue.offer(ordered(b"dropped"))
    queue.offer(job(b"dropped"))
    assert queue.withdraw("w", b"alone")
    assert not queue.withdraw("w", b"alone")
    assert not queue.withdraw("w", b"shared")
    assert not queue.withdraw("w", b"dropped")
    assert {each.path for each in (queue.take(timeout=0), queue.take(timeout=0)) if each} == {b"shared", b"dropped"}
    queue.offer(ordered(b"shared"))  # in work: it would be looked at again
    assert not queue.withdraw("w", b"shared")
    queue.finish(job(b"shared"))
    assert queue.take(timeout=0) is None
