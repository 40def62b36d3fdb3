"""The index file: opening, checking, one thread that writes in groups, and connections that only read.

It knows no table; what stands in them is for sources.py, folders.py and report.py. A change that cannot be committed
(disk full) fails the futures of its group and nothing else: the next group tries again.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from hotfolder import logs
from hotfolder.errors import StartError
from hotfolder.keeping import readonly, schema

T = TypeVar("T")
Change = Callable[[sqlite3.Connection], Any]

GROUP_SECONDS = 0.1
"""A change is committed at the latest this long after it was asked for (the contract's bound)."""
GROUP_CHANGES = 2000
CHECKPOINT_PAGES = 2000
"""WAL pages (8 MB) after which the writer copies them into the file: keeps the WAL far under its 64 MB."""

log = logs.get("index")


class Database:
    """`<state>/index.db`. Create, then `open()`, or only read; `close()` commits what waits."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = threading.Lock()
        self._changes: queue.SimpleQueue[tuple[Change, Future[Any]] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
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
                raise StartError(f"{self.path}: the index cannot be opened: {error}") from error
            renewed = True
            aside = self._set_aside()
            log.error("index_damaged", error=str(error), set_aside=aside, next="it is built again from the folders")
            connection = self._connect(check=False)
        self._connection = connection
        self._writer = threading.Thread(target=self._write_groups, name="hotfolder-index", daemon=True)
        self._writer.start()
        return renewed

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

    def _write_groups(self) -> None:
        connection = self._connection
        assert connection is not None
        running = True
        while running:
            first = self._changes.get()
            if first is None:
                break
            done: list[tuple[Future[Any], Any]] = []
            self._group_since = time.monotonic()
            try:
                connection.execute("BEGIN IMMEDIATE")
                running = self._run_group(connection, first, done)
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                log.error("index_write_failed", reason=str(error), changes=len(done), next="tried again")
                self.problem, self._group_since = str(error), None
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                for future, _ in done:
                    future.set_exception(error)
                continue
            self.problem = self._group_since = None
            for future, result in done:
                future.set_result(result)
            self._checkpoint(connection)

    def _run_group(
        self, connection: sqlite3.Connection, first: tuple[Change, Future[Any]], done: list[tuple[Future[Any], Any]]
    ) -> bool:
        """Run changes until none waits or the group is full. False when the end was among them."""
        item: tuple[Change, Future[Any]] | None = first
        ends = time.monotonic() + GROUP_SECONDS
        while True:
            if item is None:
                return False
            change, future = item
            connection.execute("SAVEPOINT change")
            try:
                result = change(connection)
            except sqlite3.OperationalError:
                done.append((future, None))  # full or unwritable: the whole group fails and its callers try again
                raise
            except Exception as error:  # noqa: BLE001 - handed to the one who asked, who logs it
                connection.execute("ROLLBACK TO change")
                future.set_exception(error)
            else:
                done.append((future, result))
            connection.execute("RELEASE change")
            if len(done) >= GROUP_CHANGES or time.monotonic() >= ends:
                return True
            try:
                item = self._changes.get_nowait()
            except queue.Empty:
                return True

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        with contextlib.suppress(OSError):
            if os.stat(self.path + "-wal").st_size > CHECKPOINT_PAGES * 4096:
                # Readers are brief, so the WAL starts over nearly every time; busy is no error, the next group tries.
                connection.execute("PRAGMA wal_checkpoint(RESTART)")

    # -- reading ---------------------------------------------------------------------------------------------------

    def read(self) -> sqlite3.Connection:
        """This thread's read-only connection. Fetch all of a short query; an open cursor holds the WAL.

        Of a database that was not opened the file is only read, and nothing beside it is made: see readonly.py.
        """
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = readonly.connect(self.path) if self._writer is None else self._connect_to_read()
            self._local.connection = connection
            with self._readers_lock:
                self._readers.append(connection)
        return connection

    def _connect_to_read(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5.0)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cache_size = -2000")
        return connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Several queries on one state of the index; for exports. Keep it short."""
        connection = self.read()
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")

    def waiting_seconds(self) -> float:
        """How long the group of changes that is being committed has taken so far; 0 where there is none."""
        since = self._group_since
        return 0.0 if since is None else time.monotonic() - since

    def flush(self) -> None:
        """Return when everything asked for so far has been committed."""
        self.write(lambda connection: None).result()

    def close(self) -> None:
        """Commit what waits, checkpoint, close. Other threads must have stopped reading."""
        if self._writer is not None:
            self._changes.put(None)
            self._writer.join()
            self._writer = None
        with self._readers_lock:
            for reader in self._readers:
                reader.close()
            self._readers.clear()
        self._local = threading.local()
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()
            self._connection = None


def _is_damage(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
