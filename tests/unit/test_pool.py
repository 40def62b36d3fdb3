from __future__ import annotations

import concurrent.futures
import threading

import pytest

from hotfolder.errors import Reason, SourceError
from hotfolder.pool import sizing
from hotfolder.pool.memory import Closed, MoreMemory, Reservation
from hotfolder.pool.threads import ElasticPool
from tests.helpers import wait_for


def test_is_an_executor() -> None:
    with ElasticPool(3) as pool:
        assert list(pool.map(lambda n: n * n, range(20))) == [n * n for n in range(20)]
        failed = pool.submit(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            failed.result(5)
        done, _ = concurrent.futures.wait([pool.submit(int, "7")], 5)
        assert next(iter(done)).result() == 7
    with pytest.raises(RuntimeError):
        pool.submit(int)
    stats = pool.stats()
    assert (stats.submitted, stats.completed, stats.failed, stats.pending) == (22, 21, 1, 0)


def test_grows_shrinks_and_says_when_it_is_free() -> None:
    pool = ElasticPool(2)
    gate = threading.Event()
    futures = [pool.submit(gate.wait, 20) for _ in range(4)]
    wait_for("two at work", lambda: pool.busy == 2)
    assert not pool.wait_free(0)
    pool.resize(4)
    wait_for("four at work", lambda: pool.busy == 4)
    pool.resize(2)
    gate.set()
    assert all(future.result(5) for future in futures)
    wait_for("shrinking", lambda: len(pool._threads) == 2)
    assert pool.wait_free(1)
    pool.shutdown()
    assert pool.join(0)


def test_system_exit_stays_in_the_future() -> None:
    with ElasticPool(2) as pool:
        with pytest.raises(SystemExit):
            pool.submit(exit).result(5)
        assert pool.submit(int).result(5) == 0


def test_batch_waits_and_reports() -> None:
    seen: list[int] = []
    with ElasticPool(2) as pool, pool.batch(lambda done, total: seen.append(done)) as batch:
        for number in range(5):
            batch.submit(lambda n=number: 10 // (n - 2))  # type: ignore[misc]
    assert batch.results == [-5, -10, 10, 5]
    assert [type(error) for error in batch.errors] == [ZeroDivisionError]
    assert sorted(seen) == [1, 2, 3, 4, 5]


def test_reservation_is_fair_and_bounded() -> None:
    memory = Reservation(100)
    with pytest.raises(SourceError, match=r"memory_limit") as refused, memory.hold(101):
        pass
    assert refused.value.reason is Reason.TOO_MUCH_MEMORY
    turns: list[str] = []

    def big() -> None:
        with memory.hold(90):
            turns.append("big")

    def little() -> None:
        with memory.hold(10):
            turns.append("small")

    with memory.hold(60) as held:
        thread = threading.Thread(target=big)
        thread.start()
        wait_for("the big one in line", lambda: bool(memory._line))
        with pytest.raises(MoreMemory):
            held.grow(70)  # somebody is in line
        small = threading.Thread(target=little)
        small.start()
    thread.join(5)
    small.join(5)
    assert turns[0] == "big"


def test_closing_wakes_who_waits() -> None:
    memory = Reservation(10)
    seen: list[type[BaseException]] = []

    def wait() -> None:
        try:
            with memory.hold(5):
                pass
        except Closed as error:
            seen.append(type(error))

    with memory.hold(10):
        thread = threading.Thread(target=wait)
        thread.start()
        wait_for("somebody in line", lambda: bool(memory._line))
        memory.close()
        thread.join(5)
    assert seen == [Closed]


@pytest.mark.parametrize(
    ("cpus", "limit", "workers"),
    [(1, 10**10, 2), (4, 10**10, 8), (64, 10**11, 16), (8, 400_000_000, 3), (0.5, 10**10, 2)],
)
def test_auto_workers(cpus: float, limit: int, workers: int) -> None:
    assert sizing.auto_workers(cpus, limit) == workers
