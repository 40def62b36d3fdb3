from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hotfolder.model import Job, Lane, Rank
from hotfolder.queue.queue import BACKLOG_EVERY, JobQueue
from tests.helpers import wait_for
from tests.unit.hand import SECONDS, Hand, waiters

NAMES = st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f"])


def job(path: bytes, lane: Lane = Lane.FRESH, since: float = 0.0) -> Job:
    return Job("w", path, lane, since, since)


@pytest.fixture
def queue() -> Iterator[JobQueue]:
    """With others who wait, too, and whom a wake-up that is not for them may hit."""
    queue = JobQueue(4)
    others = [
        threading.Thread(target=queue.wait_share, args=({(Lane.FRESH, "other"): -1}, 600)),
        threading.Thread(target=queue.wait_share, args=({(Lane.BACKLOG, "other"): -1}, 600)),
    ]
    for other in others:
        other.start()
    wait_for("them to wait", lambda: waiters(queue) == 2)
    yield queue
    queue.close()
    for other in others:
        other.join(10)


class QueueMachine(RuleBasedStateMachine):
    """Against a model: what was accepted is waiting, in work, or was given; a path is in one place.

    Whoever takes waits on a thread of its own, and has its job as soon as there is one that is not held.
    """

    def __init__(self) -> None:
        super().__init__()
        self.queue = JobQueue(3)
        self.hand = Hand(self.queue)
        self.reaching: Future[Job | None] | None = None
        self.owed: dict[bytes, Lane] = {}
        self.working: dict[bytes, Job | None] = {}
        """In work, or (None) kept out of work by a claim."""
        self.held: frozenset[Lane] = frozenset()
        self.allowed = 3

    def teardown(self) -> None:
        self.hand.end()

    def _seize(self) -> None:
        """Where a job may be taken, the hand that reaches for one has it."""
        free = [path for path, lane in self.owed.items() if path not in self.working and lane not in self.held]
        if self.reaching is None or not free:
            return
        taken = self.reaching.result(SECONDS)
        self.reaching = None
        assert taken is not None
        assert taken.path in free
        self.working[taken.path] = taken
        del self.owed[taken.path]

    @rule(path=NAMES, lane=st.sampled_from(list(Lane)))
    def offer(self, path: bytes, lane: Lane) -> None:
        room = self.queue.capacity - self.queue.depth(lane)
        known = self.queue.holds("w", path)
        accepted = self.queue.offer(job(path, lane))
        assert accepted == (room > 0 or known)
        if accepted:
            self.owed[path] = Lane.FRESH if self.owed.get(path) is Lane.FRESH else lane
        self._seize()

    @rule()
    def take(self) -> None:
        if self.reaching is None:
            self.reaching = self.hand.reach()
            self._seize()

    @rule(lanes=st.frozensets(st.sampled_from(list(Lane))))
    def hold(self, lanes: frozenset[Lane]) -> None:
        self.held = lanes
        self.queue.hold(frozenset((lane, None) for lane in lanes))
        self._seize()

    @rule(path=NAMES)
    def finish(self, path: bytes) -> None:
        if path in self.working:
            done = self.working.pop(path)
            if done is None:
                self.queue.release("w", path)
            else:
                self.queue.finish(done)
            # What was announced while it was in work waits now, also where that passes the bound by one.
            self.allowed = max(3, self.allowed + (path in self.owed))
            self._seize()

    @rule(path=NAMES)
    def claim(self, path: bytes) -> None:
        assert self.queue.claim("w", path) == (path not in self.working)
        self.working.setdefault(path, None)

    @invariant()
    def nothing_is_lost_and_all_is_bounded(self) -> None:
        for path in set(self.owed) | set(self.working):
            assert self.queue.holds("w", path)
        assert self.queue.busy("w") == len(set(self.working)) + sum(self.queue.depth(lane) for lane in Lane)
        depth = self.queue.depth(Lane.BACKLOG)
        assert depth <= self.allowed
        self.allowed = max(3, depth)


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_job_wakes_who_takes_and_nobody_else_alone(queue: JobQueue) -> None:
    hand = Hand(queue)
    for number in range(6):
        taken = hand.reach()
        queue.offer(job(b"%d" % number))
        found = taken.result(SECONDS)
        assert found is not None
        queue.finish(found)
    hand.end()


def test_what_waits_is_kept_out_of_work_while_its_path_is_claimed(queue: JobQueue) -> None:
    queue.offer(job(b"a"))
    assert queue.claim("w", b"a")
    assert queue.take(0) is None
    queue.release("w", b"a")
    taken = queue.take(SECONDS)
    assert taken is not None
    queue.finish(taken)
    assert queue.busy("w") == 0


def test_what_rises_out_of_a_held_backlog_is_taken(queue: JobQueue) -> None:
    queue.hold(frozenset({(Lane.BACKLOG, None)}))
    queue.offer(job(b"a", Lane.BACKLOG))
    hand = Hand(queue)
    taken = hand.reach()
    assert not taken.done()
    queue.offer(job(b"a", Lane.FRESH))
    assert taken.result(SECONDS) is not None
    hand.end()


def test_a_better_rank_gives_room_to_who_waits_for_it(queue: JobQueue) -> None:
    queue.rank({"w": Rank.LOW, "high": Rank.HIGH, "normal": Rank.NORMAL})
    for number in range(2):
        assert queue.offer(job(b"%d" % number))
    with ThreadPoolExecutor(1) as feeder:
        waits = feeder.submit(queue.wait_share, {(Lane.FRESH, "w"): 8}, 600)
        wait_for("the feeder to wait", lambda: waiters(queue) == 3)
        queue.rank({"w": Rank.HIGH})
        assert waits.result(SECONDS)


def test_a_row_that_waits_outlives_the_order_that_waited_before_it(queue: JobQueue) -> None:
    """The feeder passes over what the queue holds; what an order alone holds goes with the order."""
    queue.offer(ordered(b"a"))
    assert not queue.holds("w", b"a")
    queue.offer(job(b"a", Lane.BACKLOG))
    assert queue.holds("w", b"a")
    assert not queue.withdraw("w", b"a")


def order(queue: JobQueue) -> list[bytes]:
    taken = []
    while queue.busy():
        found = queue.take(SECONDS)
        assert found is not None
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
    first = queue.take(SECONDS)
    assert first is not None
    hand = Hand(queue)
    second = hand.reach()
    assert queue.offer(job(b"a", since=1))
    assert queue.offer(job(b"a", since=2))
    assert not second.done()
    queue.finish(first)
    again = second.result(SECONDS)
    assert again is not None
    queue.finish(again)
    assert not queue.busy()
    hand.end()


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
    first, second = queue.take(SECONDS), queue.take(SECONDS)
    assert first is not None
    assert second is not None
    assert {first.watch, second.watch} == {"slow", "quick"}
    hand = Hand(queue)
    third = hand.reach()
    assert not third.done()
    assert queue.busy("slow") == 4
    queue.finish(first if first.watch == "slow" else second)
    found = third.result(SECONDS)
    assert found is not None
    queue.limit("slow", 0)
    queue.finish(found)
    fourth = hand.reach()
    assert not fourth.done()
    queue.limit("slow", None)
    assert fourth.result(SECONDS) is not None
    assert queue.depth(Lane.FRESH, "slow") == queue.depth(Lane.FRESH) == 1
    hand.end()


def ordered(path: bytes) -> Job:
    return replace(job(path, Lane.BACKLOG), ordered=True)


def test_orders_and_the_backlog_take_turns() -> None:
    queue = JobQueue(4)
    for n in range(4):
        assert queue.offer(job(b"walk%d" % n, Lane.BACKLOG))
    assert not queue.offer(job(b"beyond", Lane.BACKLOG))
    for n in range(4):
        assert queue.offer(ordered(b"order%d" % n))  # a full backlog refuses no order
    taken = [queue.take(SECONDS) for _ in range(8)]
    kinds = ["order" if each is not None and each.ordered else "walk" for each in taken]
    assert kinds == ["order", "walk"] * 4
    queue.offer(ordered(b"late"))
    queue.offer(job(b"fresh"))
    assert [each.path for each in (queue.take(SECONDS), queue.take(SECONDS)) if each] == [b"fresh", b"late"]


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
    taken = {each.path: each for each in (queue.take(SECONDS), queue.take(SECONDS)) if each}
    assert taken.keys() == {b"shared", b"dropped"}
    queue.offer(ordered(b"shared"))  # in work: it would be looked at again
    assert not queue.withdraw("w", b"shared")
    queue.finish(taken[b"shared"])
    assert queue.busy() == 1  # the other, in work
    assert not queue.depth(Lane.FRESH)
    assert not queue.depth(Lane.BACKLOG)


def test_the_end_of_a_watchs_last_job_is_told() -> None:
    told: list[str] = []
    queue = JobQueue(4, idle=told.append)
    for path in (b"a", b"b"):
        queue.offer(job(path))
    first, second = queue.take(), queue.take()
    assert first is not None and second is not None
    queue.finish(first)
    queue.offer(second)  # it is looked at once more
    queue.finish(second)
    assert told == []
    last = queue.take()
    assert last is not None
    queue.finish(last)
    assert told == ["w"]
    assert queue.claim("w", b"a")
    queue.release("w", b"a")
    assert told == ["w", "w"]
