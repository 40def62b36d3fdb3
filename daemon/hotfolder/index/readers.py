"""Connections that only read the index: few, lent for one statement to any thread.

Threads come and go with requests and reloads. A connection for each of them, three descriptors, stayed behind.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

MOST = 8
"""Connections at once. A statement takes well under a millisecond, so that hardly anyone waits for one."""


class Rows(Protocol):
    """What a query returns; a cursor is one, too."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Reader(Protocol):
    """What can be queried; a connection is one, too: a function that only reads works on both."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows: ...


class Fetched:
    """Rows that no longer need a connection."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows
        self._next = 0

    def fetchone(self) -> Any:
        """The next row; None behind the last."""
        if self._next == len(self._rows):
            return None
        self._next += 1
        return self._rows[self._next - 1]

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        rows, self._rows, self._next = self._rows[self._next :], [], 0
        return rows


class Readers:
    """A `Reader` for every thread. Each statement sees the index as it is when it runs."""

    def __init__(
        self, path: str, connect: Callable[[str], sqlite3.Connection] | None = None, *, most: int = MOST
    ) -> None:
        self._path = path
        self._connect = connect or _connect
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(most)

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Fetched:
        """Run one query and fetch all of it. Raises sqlite3.Error."""
        with self._lent() as connection, contextlib.closing(connection.execute(sql, parameters)) as cursor:
            return Fetched(cursor.fetchall())

    @contextlib.contextmanager
    def _lent(self) -> Iterator[sqlite3.Connection]:
        with self._room:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            connection = connection or self._connect(self._path)
            try:
                yield connection
            finally:
                with self._lock:
                    self._idle.append(connection)

    def close(self) -> None:
        """Other threads must have stopped reading; who reads all the same gets a connection of its own."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cache_size = -2000")
    return connection
