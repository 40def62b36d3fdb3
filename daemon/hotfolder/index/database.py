"""The index file: opening, checking, and one thread that writes in groups. Reading: readers.py.

It knows no table: each of them has a module. A change that cannot be committed
(disk full) fails the futures of its group and nothing else: the next group tries again.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from hotfolder.errors import StartError
from hotfolder.index import readonly, schema
from hotfolder.index.readers import Readers
from hotfolder.loop import Loop
from hotfolder.telemetry import bugs, logs

T = TypeVar("T")
Change = Callable[[sqlite3.Connection], Any]

GROUP_SECONDS = 0.1
"""A change is committed at the latest this long after it was requested (the contract's bound)."""
GROUP_CHANGES = 2000
CHECKPOINT_PAGES = 2000
ROOM_TO_OPEN = 64 * 1024
"""Bytes: the shared memory beside the write-ahead log takes 32 KiB, its first pages the rest."""
"""WAL pages (8 MB) after which the writer copies them into the file: keeps the WAL far under its 64 MB."""

log = logs.get("index")


class Database:
    """`<state>/index.db`. Create, then `open()`, or only read; `close()` commits what waits."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._readers = Readers(path, readonly.connect)
        self._changes: queue.SimpleQueue[tuple[Change, Future[Any]] | None] = queue.SimpleQueue()
        self.loop = Loop("index", self._write_group)
        self._connection: sqlite3.Connection | None = None
        self._group_since: float | None = None
        self.problem: str | None = None
        """Why the last group could not be committed; None where it could."""

    def open(self, *, clean: bool = True) -> bool:
        """Open, migrate, start the writer. After an unclean end the file is checked; a damaged one is set aside.

        Returns True where a damaged index was set aside and a new one begun.
        """
        renewed = False
        try:
            connection = self._connect(check=not clean)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and not _is_damage(error):
                why = "its disk is full; free some space there" if self._cramped() else error
                raise StartError(f"{self.path}: the index cannot be opened: {why}") from error
            renewed = True
            aside = self._set_aside()
            log.error("index_damaged", error=str(error), set_aside=aside, next="it is built again from the folders")
            connection = self._connect(check=False)
        self._connection = connection
        self._readers = Readers(self.path)
        self.loop.start()
        return renewed

    def _cramped(self) -> bool:
        """No room for the files beside the index, which SQLite calls "disk I/O error"."""
        room = os.statvfs(os.path.dirname(self.path))
        return room.f_bavail * room.f_frsize < ROOM_TO_OPEN

    def _connect(self, *, check: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5.0)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute("PRAGMA cache_size = -8000")
            if check:
                (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                if verdict != "ok":
                    raise sqlite3.DatabaseError(verdict)
            schema.migrate(connection)
            os.chmod(self.path, 0o600)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self) -> str:
        aside = f"{self.path}.damaged-{time.strftime('%Y%m%dT%H%M%S')}"
        os.replace(self.path, aside)
        for tail in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.replace(self.path + tail, aside + tail)
        return aside

    # -- writing ---------------------------------------------------------------------------------------------------

    def write(self, change: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Run `change` on the writer's thread; the future is done when its group has been committed.

        What `change` raises undoes it alone and stands in the future; a failed commit fails the whole group with
        sqlite3.OperationalError.
        """
        future: Future[T] = Future()
        self._changes.put((change, future))
        return future

    def _write_group(self) -> bool:
        """One round of the writer's thread. Whatever happens, every future is done afterwards."""
        connection = self._connection
        assert connection is not None
        first = self._changes.get()
        if first is None:
            return False
        done: dict[Future[Any], Any] = {first[1]: None}
        running = True
        self._group_since = time.monotonic()
        try:
            connection.execute("BEGIN IMMEDIATE")
            running = self._run_group(connection, first, done)
            connection.execute("COMMIT")
        except BaseException as error:
            self._give_up_group(connection, done, error)
            if not isinstance(error, sqlite3.Error):
                raise
            return running
        self.problem = self._group_since = None
        for future, result in done.items():
            bugs.did("index", functools.partial(future.set_result, result))
        self._checkpoint(connection)
        return running

    def _give_up_group(
        self, connection: sqlite3.Connection, done: dict[Future[Any], Any], error: BaseException
    ) -> None:
        log.error("index_write_failed", reason=str(error), changes=len(done), next="tried again")
        self.problem, self._group_since = str(error), None
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        for future in done:
            bugs.did("index", functools.partial(future.set_exception, error))

    def _run_group(
        self, connection: sqlite3.Connection, first: tuple[Change, Future[Any]], done: dict[Future[Any], Any]
    ) -> bool:
        """Run changes until none waits or the group is full. False when the end was among them."""
        item: tuple[Change, Future[Any]] | None = first
        ends = time.monotonic() + GROUP_SECONDS
        while True:
            if item is None:
                return False
            change, future = item
            done[future] = None  # from here on it is answered, whatever becomes of the group
            if not future.set_running_or_notify_cancel():
                del done[future]
            else:
                self._run_change(connection, change, future, done)
            if len(done) >= GROUP_CHANGES or time.monotonic() >= ends:
                return True
            try:
                item = self._changes.get_nowait()
            except queue.Empty:
                return True

    def _run_change(
        self, connection: sqlite3.Connection, change: Change, future: Future[Any], done: dict[Future[Any], Any]
    ) -> None:
        connection.execute("SAVEPOINT change")
        try:
            done[future] = change(connection)
        except sqlite3.OperationalError:
            raise  # full or unwritable: the whole group fails and its callers try again
        except BaseException as error:  # noqa: BLE001 - handed to the caller, who logs it
            connection.execute("ROLLBACK TO change")
            del done[future]
            bugs.did("index", functools.partial(future.set_exception, error))
        connection.execute("RELEASE change")

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        with contextlib.suppress(OSError):
            if os.stat(self.path + "-wal").st_size > CHECKPOINT_PAGES * 4096:
                # Readers are brief, so the WAL starts over nearly every time; busy is no error, the next group tries.
                connection.execute("PRAGMA wal_checkpoint(RESTART)")

    # -- reading ---------------------------------------------------------------------------------------------------

    def read(self) -> Readers:
        """What reads, for any thread; each statement sees what had been committed when it began.

        Of a database that was not opened the file is only read, and nothing beside it is made: see readonly.py.
        """
        return self._readers

    def waiting_seconds(self) -> float:
        """How long the group of changes that is being committed has taken so far; 0 where there is none."""
        since = self._group_since
        return 0.0 if since is None else time.monotonic() - since

    def flush(self) -> None:
        """Return when everything requested so far has been committed."""
        self.write(lambda connection: None).result()

    def close(self) -> None:
        """Commit what waits, checkpoint, close. Other threads must have stopped reading."""
        if self._connection is not None:
            self.loop.revive()  # where it had ended
            self._changes.put(None)
            self.loop.join(threading.TIMEOUT_MAX)
        self._readers.close()
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()
            self._connection = None


def _is_damage(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
