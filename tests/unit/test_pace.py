"""Who comes first, what is held, and when: ranks, lanes, pauses and the backlog's window."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from hotfolder.config import Window
from hotfolder.index.database import Database
from hotfolder.model import Job, Lane, Rank
from hotfolder.queue.holds import Holds
from hotfolder.queue.queue import JobQueue
from hotfolder.telemetry.metrics import Metrics
from tests.unit.hand import SECONDS, Hand

RANKS = {"high": Rank.HIGH, "normal": Rank.NORMAL, "low": Rank.LOW}


def job(watch: str, number: int, lane: Lane = Lane.BACKLOG) -> Job:
    return Job(watch, b"%d" % number, lane, 0.0, 0.0)


def take(queue: JobQueue, count: int) -> list[Job]:
    taken = []
    for _ in range(count):
        found = queue.take(SECONDS)
        assert found is not None
        queue.finish(found)
        taken.append(found)
    return taken


@pytest.mark.parametrize("lane", list(Lane))
def test_high_comes_before_normal_before_low_and_none_starves(lane: Lane) -> None:
    queue = JobQueue(1000)
    queue.rank(RANKS)
    for watch in ("low", "normal", "high"):
        for number in range(160):
            assert queue.offer(job(watch, number, lane))
    counts = Counter(each.watch for each in take(queue, 160))
    assert counts == {"high": 120, "normal": 30, "low": 10}
    rest = [each.watch for each in take(queue, 320)]
    assert Counter(rest) == {"high": 40, "normal": 130, "low": 150}
    assert rest.index("low") < 16


def test_the_oldest_fresh_drop_of_each_rank_has_its_turn() -> None:
    queue = JobQueue(1000)
    queue.rank(RANKS)
    for watch in RANKS:
        for number in range(100):
            queue.offer(job(watch, number, Lane.FRESH))
    taken = take(queue, 64)
    for watch in RANKS:
        assert b"0" in [each.path for each in taken if each.watch == watch], watch


def test_the_fresh_lane_keeps_room_for_better_watches() -> None:
    queue = JobQueue(100)
    queue.rank(RANKS)
    accepted = Counter[str]()
    for watch in ("low", "normal", "high"):
        accepted[watch] = sum(queue.offer(job(watch, number, Lane.FRESH)) for number in range(200))
    assert accepted == {"low": 50, "normal": 25, "high": 25}


def test_of_a_limited_lane_so_many_are_in_work() -> None:
    queue = JobQueue(100)
    queue.limit_lane(Lane.BACKLOG, 2)
    for number in range(5):
        queue.offer(job("backlog", number))  # a watch may be called like a lane
    first, second = queue.take(SECONDS), queue.take(SECONDS)
    assert first is not None
    assert second is not None
    hand = Hand(queue)
    third = hand.reach()
    assert not third.done()
    queue.offer(job("backlog", 9, Lane.FRESH))
    assert (fresh := third.result(SECONDS)) is not None
    assert fresh.lane is Lane.FRESH
    fourth = hand.reach()
    assert not fourth.done()
    queue.finish(first)
    assert fourth.result(SECONDS) is not None
    assert not hand.reach().done()
    hand.end()


def test_what_is_held_waits_and_holds_up_no_other() -> None:
    queue = JobQueue(100)
    queue.hold(frozenset({(Lane.FRESH, "a"), (Lane.BACKLOG, None)}))
    assert sum(queue.offer(job("a", number, Lane.FRESH)) for number in range(80)) == 50
    assert queue.offer(job("b", 1, Lane.FRESH))
    assert queue.offer(job("b", 2))
    taken = queue.take(SECONDS)
    assert taken is not None
    assert (taken.watch, taken.lane) == ("b", Lane.FRESH)
    hand = Hand(queue)
    waits = hand.reach()
    assert not waits.done()
    queue.hold(frozenset())
    assert waits.result(SECONDS) is not None
    hand.end()


# -- the window --------------------------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")


def open_minutes(window: Window, day: datetime) -> list[int]:
    """The minutes after noon of `day` (local) in which it is open, until the next noon, as they really pass."""
    begin = datetime(day.year, day.month, day.day, 12, tzinfo=BERLIN).astimezone(UTC)
    end = (datetime(day.year, day.month, day.day, 12, tzinfo=BERLIN) + timedelta(days=1)).astimezone(UTC)
    minutes = round((end - begin).total_seconds() / 60)
    return [m for m in range(minutes) if window.contains((begin + timedelta(minutes=m)).astimezone(BERLIN).time())]


@pytest.mark.parametrize(
    ("day", "hours"),
    [(datetime(2026, 3, 28), 7), (datetime(2026, 6, 1), 8), (datetime(2026, 10, 24), 9)],
    ids=["clocks go forward", "a common night", "clocks go back"],
)
def test_a_window_over_midnight_is_as_long_as_the_night(day: datetime, hours: int) -> None:
    found = open_minutes(Window(time(22), time(6)), day)
    assert found == list(range(10 * 60, 10 * 60 + hours * 60))  # in one piece, from ten hours after noon


def test_a_window_within_the_changed_hour() -> None:
    window = Window(time(2), time(3))
    assert open_minutes(window, datetime(2026, 3, 28)) == []  # that hour does not exist
    assert len(open_minutes(window, datetime(2026, 10, 24))) == 120  # it comes twice
    assert len(open_minutes(window, datetime(2026, 6, 1))) == 60


def test_holds_follow_the_clock_and_last(index: Database) -> None:
    moment = [datetime(2026, 6, 1, 21, 59)]
    metrics = Metrics("test")
    changes: list[int] = []

    def holds(queue: JobQueue) -> Holds:
        return Holds(index, queue, metrics, lambda: changes.append(1), obeys=True, clock=lambda: moment[0])

    queue = JobQueue(10)
    first = holds(queue)
    first.begin(Window(time(22), time(6)))
    assert queue.holds_back(Lane.BACKLOG, "w")
    assert not queue.holds_back(Lane.FRESH, "w")
    assert metrics.value("hotfolder_paused", lane="backlog") == 1
    moment[0] = datetime(2026, 6, 1, 22, 0)
    before = len(changes)
    first.check()
    first.check()
    assert len(changes) == before + 1
    assert not queue.holds_back(Lane.BACKLOG, "w")
    assert metrics.value("hotfolder_paused", lane="backlog") == 0

    first.pause(frozenset({Lane.BACKLOG}), "w")
    first.pause(frozenset(Lane), None)
    again = JobQueue(10)
    second = holds(again)
    second.begin(None)
    assert all(again.holds_back(lane, "any") for lane in Lane)
    second.resume(frozenset({Lane.FRESH}), None)
    assert not again.holds_back(Lane.FRESH, "any")
    second.resume(frozenset(Lane), "w")
    assert second.state.paused == {(Lane.BACKLOG, None)}
    second.resume(frozenset(Lane), None)
    assert second.state.paused == frozenset()


def test_a_scan_of_its_own_holds_nothing(index: Database) -> None:
    queue = JobQueue(10)
    holds = Holds(index, queue, Metrics("test"), lambda: None, obeys=False)
    holds.begin(None)
    holds.pause(frozenset(Lane), None)
    assert not queue.holds_back(Lane.BACKLOG, "w")
