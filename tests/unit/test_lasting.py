"""Loops, and what becomes of an error that nobody caught: pauses, reports, threads started anew."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from hotfolder import loop
from hotfolder.index.database import Database
from hotfolder.loop import Chores, Loop, Pause, Revival
from hotfolder.model import Job, Lane
from hotfolder.pipeline.claims import Claim, Claims
from hotfolder.pool.threads import ElasticPool
from hotfolder.queue.queue import JobQueue
from hotfolder.renderers.suspects import Line
from hotfolder.telemetry import bugs, logs
from tests.helpers import wait_for


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    logs.setup("info", "json", stream)
    return stream


def events(said: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.getvalue().splitlines()]


def job(path: bytes = b"a.jpg") -> Job:
    return Job("w", path, Lane.FRESH, 1.0, 1.0)


def test_pauses_grow_and_begin_anew_after_success() -> None:
    pause = Pause()
    assert [pause.longer() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    pause.reset()
    assert pause.longer() == 1


def test_a_step_that_raises_is_called_again(said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "FIRST_PAUSE", 0.001)
    steps: list[str] = []
    went_on = threading.Event()

    def step() -> bool:
        steps.append("step")
        if len(steps) < 6:
            raise ValueError("a bug")
        went_on.set()
        return False

    before = logs.internal_errors().get("intake", 0)
    each = Loop("intake", step, subject="inbox", again=lambda: steps.append("again"))
    each.start()
    assert went_on.wait(30)
    wait_for("its orderly end", lambda: each not in loop.living())
    assert steps == ["step", "again"] * 3 + ["step"]
    assert not each.ended
    assert logs.internal_errors()["intake"] == before + 3
    found = [event for event in events(said) if event["event"] == "internal_error"]
    assert [event["thread"] for event in found] == ["hotfolder-intake-inbox"] * 3
    assert "in step" in found[0]["trace"]


def test_a_loop_in_its_pause_ends_at_once(said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "FIRST_PAUSE", 3600.0)
    failed = threading.Event()

    def step() -> bool:
        failed.set()
        raise ValueError

    each = Loop("orders", step)
    each.start()
    assert failed.wait(30)
    assert each.stop(30)


def test_one_that_ended_is_started_anew_later_each_time(said: io.StringIO) -> None:
    now = [0.0]
    starts: list[int] = []

    def step() -> bool:
        starts.append(1)
        raise SystemExit

    revival = Revival(lambda: now[0])
    each = Loop("orders", step)
    each.start()
    for count, pause in enumerate([1.0, 2.0, 4.0], 1):
        wait_for("its end", lambda: each.ended)
        revival.look()
        now[0] += pause - 0.1
        revival.look()
        assert len(starts) == count
        now[0] += 0.2
        revival.look()
        wait_for("its new start", lambda count=count: len(starts) == count + 1)  # type: ignore[misc]
    each.stop()
    assert not each.ended


def test_many_threads_start_a_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All workers may find a suspect at the same time, and the first one starts the line."""
    done: list[Job] = []
    begun_lines: list[threading.Thread] = []
    line = Line(done.append)
    starting, begun = threading.Barrier(2), threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name == "hotfolder-suspects":
            begun_lines.append(thread)
            with contextlib.suppress(threading.BrokenBarrierError):
                starting.wait(0.5)  # the other is here, too, where nothing keeps it away
        begun(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    errors: list[BaseException] = []

    def add(path: bytes) -> None:
        try:
            line.add(job(path))
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    workers = [threading.Thread(target=add, args=(b"%d.jpg" % number,)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    wait_for("both suspects", lambda: len(done) == 2)
    assert errors == []
    assert len(begun_lines) == 1
    line.stop()


def test_chores_rest_one_by_one(said: io.StringIO) -> None:
    now, did = [0.0], []

    def bad() -> None:
        did.append("bad")
        raise ValueError

    chores = Chores("main", bad, lambda: did.append("good"), clock=lambda: now[0])
    for _ in range(100):
        chores.do()
        now[0] += 2.0
    assert did.count("good") == 100
    assert did.count("bad") < 12


@pytest.fixture
def index(tmp_path: Path) -> Any:
    index = Database(str(tmp_path / "index.db"))
    index.open()
    yield index
    index.close()


def test_whoever_asked_the_index_gets_an_answer(index: Database, tmp_path: Path, said: io.StringIO) -> None:
    def bug(connection: sqlite3.Connection) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        index.write(bug).result(30)
    waiting = threading.Event()
    first = index.write(lambda c: waiting.wait(30))
    given_up = index.write(lambda c: pytest.fail("nobody waits for it"))
    given_up.cancel()

    def ends(done: Future[Any]) -> None:
        raise SystemExit

    first.add_done_callback(ends)
    second = index.write(lambda c: 7)
    waiting.set()
    assert second.result(30) == 7
    other = sqlite3.connect(tmp_path / "index.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError):
        index.write(lambda c: 1).result(30)  # its group has not even begun
    other.execute("ROLLBACK")
    other.close()
    assert index.write(lambda c: 8).result(30) == 8


def test_the_writer_outlives_an_error_between_changes(
    index: Database, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "FIRST_PAUSE", 0.001)
    real = Database._run_group

    def fails(*arguments: Any) -> bool:
        monkeypatch.setattr(Database, "_run_group", real)
        raise MemoryError

    monkeypatch.setattr(Database, "_run_group", fails)
    with pytest.raises(MemoryError):
        index.write(lambda c: 1).result(30)
    assert index.write(lambda c: 2).result(30) == 2


def test_workers_that_end_are_replaced(said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ElasticPool._count

    def fails(*arguments: Any, **keys: Any) -> None:
        monkeypatch.setattr(ElasticPool, "_count", real)
        raise MemoryError

    monkeypatch.setattr(ElasticPool, "_count", fails)
    with ElasticPool(2) as pool:
        pool.submit(lambda: 1)
        found = [pool.submit(lambda: 2) for _ in range(20)]
        assert [each.result(30) for each in found] == [2] * 20
        wait_for("nobody to be busy", lambda: pool.busy == 0)
        assert not pool.ended


def test_a_claim_is_let_go_of_once() -> None:
    claims = Claims()
    first = Claim(claims, frozenset({(1, b"", b"", b"a")}))
    claims._taken |= dict.fromkeys(first.keys, first)
    first.release()
    second = Claim(claims, first.keys)
    claims._taken |= dict.fromkeys(second.keys, second)
    first.release()
    assert set(claims._taken.values()) == {second}


def test_a_job_is_finished_once() -> None:
    queue = JobQueue(10)
    queue.offer(job())
    taken = queue.take(1.0)
    assert taken is not None
    queue.finish(taken)
    queue.offer(job())
    again = queue.take(1.0)
    queue.finish(taken)
    assert queue.busy("w") == 1
    assert again is not None
    queue.finish(again)
    queue.finish(again)
    assert queue.busy("w") == 0


def test_what_python_would_say_itself_is_reported(said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("excepthook", "unraisablehook"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    before = logs.internal_errors()
    bugs.install()

    class Bad:
        def __del__(self) -> None:
            raise ValueError("in a finalizer")

    def thread() -> None:
        raise ValueError("in a thread")

    def called_back(done: Future[int]) -> None:
        raise ValueError("in a callback")

    bad = threading.Thread(target=thread, name="hotfolder-free")
    bad.start()
    bad.join()
    Bad()
    future: Future[int] = Future()
    future.add_done_callback(called_back)
    future.set_result(1)
    found = [event for event in events(said) if event["event"] == "internal_error"]
    assert [event["where"] for event in found] == ["thread", "interpreter", "callback"]
    for event, text in zip(found, ("in a thread", "in a finalizer", "in a callback"), strict=True):
        assert f"ValueError: {text}" in event["trace"]
        assert logs.internal_errors()[event["where"]] == before.get(event["where"], 0) + 1


def test_a_log_that_cannot_be_written_is_counted() -> None:
    stream = io.StringIO()
    logs.setup("info", "text", stream)
    stream.close()
    before = logs.internal_errors().get("log", 0)
    logs.get("unit").info("nobody_reads_this")
    assert logs.internal_errors()["log"] == before + 1


def test_a_traceback_forges_no_line() -> None:
    stream = io.StringIO()
    logs.setup("info", "text", stream)
    try:
        raise ValueError("bad\n12:00:00 info    forged\x1b[1m")
    except ValueError as error:
        bugs.report("main", error)
    first, *others = stream.getvalue().splitlines()
    assert "internal_error where=main" in first
    assert all(line.startswith("    ") for line in others)
    assert "\x1b" not in stream.getvalue()
