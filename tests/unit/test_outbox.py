"""The outbox: order, bounds, and when a delivery is tried again."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfolder.hooks import courier
from hotfolder.index import outbox
from hotfolder.index.database import Database


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    index = Database(str(tmp_path / "index.db"))
    index.open()
    index.close()
    connection = sqlite3.connect(tmp_path / "index.db", isolation_level=None)
    yield connection
    connection.close()


def put(connection: sqlite3.Connection, path: str, event: str = "ready", hook: str = "h") -> None:
    outbox.put(connection, hook, event, "w", path.encode(), {"path": path})


def due(connection: sqlite3.Connection, now: float | None = None) -> outbox.Delivery | None:
    return outbox.next_due(connection, "h", time.time() if now is None else now)


def test_one_path_is_told_in_order_and_holds_up_no_other(connection: sqlite3.Connection) -> None:
    put(connection, "a")
    put(connection, "b")
    put(connection, "a", "removed")
    first = due(connection)
    assert first is not None
    outbox.put_off(connection, first.id, time.time() + 60, "no")
    second = due(connection)
    assert second is not None
    assert json.loads(second.body)["path"] == "b"
    outbox.done(connection, second.id)
    assert due(connection) is None  # a's removal waits for what came before
    again = due(connection, time.time() + 61)
    assert again is not None
    assert (again.delivery, again.tries, again.problem) == (first.delivery, 1, "no")
    outbox.bury(connection, again, "still no")
    last = due(connection)
    assert last is not None
    assert last.event == "removed"


def test_a_clock_that_was_set_back_holds_nothing_up(connection: sqlite3.Connection) -> None:
    put(connection, "a")
    first = due(connection)
    assert first is not None
    outbox.put_off(connection, first.id, time.time() + 30, "no")
    assert due(connection) is None
    assert due(connection, time.time() - 86_400) is not None


def test_what_is_too_much_becomes_one_resync_that_says_since_when(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    most = outbox.MOST_WAITING
    for number in range(2 * most + 500):
        put(connection, str(number))
    put(connection, "x", hook="other")
    waiting = connection.execute("SELECT event, body FROM outbox WHERE hook = 'h' AND state = 'waiting'").fetchall()
    assert len(waiting) <= most + 100
    resyncs = [json.loads(body) for event, body in waiting if event == "resync"]
    assert len(resyncs) == 1
    ready = [json.loads(body) for event, body in waiting if event == "ready"]
    assert resyncs[0]["merged"] + len(ready) == 2 * most + 500
    assert resyncs[0]["watches"] == ["w"]
    assert resyncs[0]["since"] <= ready[0]["at"]
    assert [body["path"] for body in ready] == [str(n) for n in range(2 * most + 500 - len(ready), 2 * most + 500)]
    assert outbox.counts(connection)["other", "waiting"][0] == 1


def test_of_the_dead_the_newest_are_kept_and_come_back_when_asked(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    for number in range(outbox.MOST_DEAD + 5):
        put(connection, str(number))
        delivery = due(connection)
        assert delivery is not None
        outbox.bury(connection, delivery, "no")
    assert outbox.counts(connection)["h", "dead"][0] == outbox.MOST_DEAD
    assert json.loads(outbox.dead(connection, 1)[0].body)["path"] == str(outbox.MOST_DEAD + 4)
    assert outbox.revive(connection, "other") == 0
    assert outbox.revive(connection, "h") == outbox.MOST_DEAD
    again = due(connection)
    assert again is not None
    assert (again.tries, json.loads(again.body)["path"]) == (0, "5")


def test_what_nobody_is_told_any_more_is_forgotten(connection: sqlite3.Connection) -> None:
    put(connection, "a", hook="old")
    put(connection, "a", hook="h")
    outbox.collect(connection, "old", "w", b"a", "ready")
    assert outbox.forget_others(connection, ["h"]) == 1
    assert not outbox.has_collected(connection, "old", "w")
    assert due(connection) is not None


def test_a_batch_lists_each_path_once_with_its_last_event(connection: sqlite3.Connection) -> None:
    for path, event in ((b"a", "ready"), (b"b", "ready"), (b"a", "removed")):
        outbox.collect(connection, "h", "w", path, event)
    assert outbox.collected(connection, "h", "w") == 2
    assert outbox.take_page(connection, "h", "w", 1) == [(b"a", "removed")]
    assert outbox.take_page(connection, "h", "w", 9) == [(b"b", "ready")]
    assert not outbox.has_collected(connection, "h", "w")


def test_pauses_grow_and_are_spread() -> None:
    assert [courier.pause(tries, lambda: 0.5) for tries in (1, 2, 3, 4)] == [2, 8, 32, 128]
    assert courier.pause(50, lambda: 1.0) == outbox.LONGEST_PAUSE / 2 * 1.25
    assert len({courier.pause(3) for _ in range(20)}) > 10
