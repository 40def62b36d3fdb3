"""Loops need no thread and no real time: what holds in any order of their steps holds in a daemon."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from functools import partial

import pytest

from hotfolder import loop
from hotfolder.index import backlog, epochs, folders, watches
from hotfolder.index.database import Database
from hotfolder.index.epochs import Epochs
from hotfolder.loop import Loop
from hotfolder.queue.feeder import Feeder
from hotfolder.queue.queue import JobQueue
from tests.simulation import Simulation

IMAGES = 60


def test_a_loop_that_fails_rests_longer_each_time_and_is_well_after_one_success() -> None:
    simulation, fails = Simulation(1), [True] * 9 + [False, True]

    def step() -> bool:
        if fails.pop(0):
            raise RuntimeError("injected")
        return True

    with simulation.going():
        one = Loop("test", step)
    while fails:
        assert one.once()
    assert simulation.rests == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 1.0]
    assert simulation.clock == one.now() == sum(filter(None, simulation.rests))


@pytest.mark.parametrize("seed", range(20))
def test_all_that_waits_is_fed_once_and_what_was_written_is_synced(
    seed: int, index: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(epochs, "sync", synced.append)
    watch_id = index.write(lambda c: watches.settle(c, "inbox", "/in", "/out")).result()

    def wait(connection: sqlite3.Connection, number: int) -> None:
        folder = folders.ensure(connection, watch_id, b"abc"[number % 3 :][:1], folds=False)
        backlog.wait(connection, watch_id, folder, b"%d.jpg" % number, 1.0)

    simulation, before = Simulation(seed), set(threading.enumerate())
    with simulation.going():
        queue = JobQueue(IMAGES)
        feeder = Feeder(index, queue, lambda: {watch_id: "inbox"})
        mine = Epochs(index, "boot", lambda: ["/out"])
        made: Counter[bytes] = Counter()

        def work() -> bool:
            if (job := queue.take(0)) is not None:
                mine.use()
                made[job.path] += 1
                index.write(lambda c: c.execute("UPDATE source SET state = 1 WHERE name = ?", (job.path[2:],))).result()
                queue.finish(job)
            return True

        loops = [feeder.loop, mine.loop, Loop("work", work)]
        for each in loops:
            each.start()
    waiting = list(range(IMAGES))
    while waiting or sum(made.values()) < IMAGES:
        if waiting and simulation.chance.random() < 0.3:
            number = waiting.pop()
            index.write(partial(wait, number=number)).result()
            feeder.kick()
        simulation.step(loops)
        assert simulation.clock < 1e6, "a loop sleeps for ever"
    mine.loop.once()
    assert set(made.values()) == {1}
    assert synced
    assert mine.closed == mine.current - 1
    assert set(threading.enumerate()) <= before
    for each in loops:
        loop.unregister(each)
