"""Threads that read the index come and go; connections do not."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hotfolder.index.database import Database
from hotfolder.index.readers import MOST, Readers


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Database]:
    database = Database(str(tmp_path / "index.db"))
    database.open()
    yield database
    database.close()


def descriptors(folder: Path) -> int:
    """How many of this process lie in the folder."""
    count = 0
    for each in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{each}").startswith(str(folder))
        except FileNotFoundError:  # that of the listing itself
            continue
    return count


def many(do: Callable[[], object], count: int) -> list[BaseException]:
    """Do it in so many threads at once; what they raised."""
    raised: list[BaseException] = []
    gate = threading.Barrier(count)

    def run() -> None:
        gate.wait()
        try:
            for _ in range(20):
                do()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            raised.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def put(index: Database, key: str, value: str) -> None:
    index.write(lambda c: c.execute("REPLACE INTO meta VALUES (?, ?)", (key, value))).result()


def test_any_number_of_threads_read_through_a_few_connections(index: Database, tmp_path: Path) -> None:
    before = descriptors(tmp_path)
    for _ in range(4):
        assert many(lambda: index.read().execute("SELECT count(*) FROM watch").fetchone(), 60) == []
        assert descriptors(tmp_path) - before <= 3 * MOST
    index.close()
    assert descriptors(tmp_path) == 0


def test_each_statement_sees_what_was_committed_before_it(index: Database) -> None:
    reader = index.read()
    for number in range(50):
        put(index, f"k{number}", "v")
        assert reader.execute("SELECT count(*) FROM meta WHERE key LIKE 'k%'").fetchone() == (number + 1,)


def test_rows_are_given_once_and_in_order(index: Database) -> None:
    index.write(lambda c: c.executemany("INSERT INTO meta VALUES (?, '')", [("x1",), ("x2",), ("x3",)])).result()
    rows = index.read().execute("SELECT key FROM meta WHERE key LIKE ? ORDER BY key", ("x%",))
    assert rows.fetchone() == ("x1",)
    assert rows.fetchall() == [("x2",), ("x3",)]
    assert rows.fetchone() is None
    assert rows.fetchall() == []


def test_what_fails_gives_its_connection_back(index: Database) -> None:
    reader = Readers(index.path, most=1)
    for _ in range(3):
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            reader.execute("SELECT * FROM missing")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("DELETE FROM meta")
    assert reader.execute("SELECT 1").fetchone() == (1,)
    reader.close()


def test_nothing_read_keeps_the_log_from_starting_over(index: Database) -> None:
    index.write(lambda c: c.executemany("INSERT INTO meta VALUES (?, '')", [("x1",), ("x2",)])).result()
    rows = index.read().execute("SELECT key FROM meta")
    assert rows.fetchone() is not None
    blob = "x" * 100_000
    for number in range(300):
        put(index, "big", f"{number}{blob}")
    assert os.path.getsize(index.path + "-wal") < 20_000_000
