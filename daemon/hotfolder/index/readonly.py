"""The index for those who only read: nothing in the state folder changes, whoever works or may write there.

SQLite's own read-only mode is not enough: with a write-ahead log it makes the log and its map where they are missing.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from hotfolder.errors import StartError, StoppedEarly
from hotfolder.index import schema

TRIES = 5
"""The log may come or go between the look for it and the opening."""


def connect(path: str) -> sqlite3.Connection:
    """A connection that cannot write; to an empty index where there is none. Raises StartError."""
    for _ in range(TRIES):
        try:
            os.stat(path)
        except FileNotFoundError:
            return _empty()
        except OSError as error:
            raise StartError(f"{path}: {os.strerror(error.errno or 0)}") from error
        if not os.access(path, os.R_OK):
            raise StartError(f"{path}: this user may not read it")
        # Without a log nobody has the file open, and it is all there is. With one, the map beside it is read as it is.
        mode = "mode=ro&readonly_shm=1" if os.path.exists(path + "-wal") else "mode=ro&immutable=1"
        with contextlib.suppress(sqlite3.OperationalError):
            return _opened(path, mode)
    try:
        return _opened(path, "mode=ro")  # a log without its map: SQLite has to make one
    except sqlite3.OperationalError as error:
        raise StartError(f"{path}: the index cannot be read: {error}") from error


def connect_for_long(path: str) -> sqlite3.Connection:
    """A connection that cannot write, for one who keeps it: daemons may come and go meanwhile. Raises StartError."""
    return _opened(path, "mode=ro")


def _opened(path: str, mode: str) -> sqlite3.Connection:
    uri = f"{Path(path).absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("PRAGMA cache_size = -2000")
        if version != len(schema.MIGRATIONS):
            newer = "use the newer hotfolder" if version > len(schema.MIGRATIONS) else "run: hotfolder scan"
            raise StartError(
                f"{path}: the index has version {version}, this hotfolder reads {len(schema.MIGRATIONS)}; {newer}"
            )
    except BaseException:
        connection.close()
        raise
    return connection


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    schema.migrate(connection)
    return connection


@contextlib.contextmanager
def answering(path: str) -> Iterator[None]:
    """Around queries: what SQLite reports of a file that is no whole index becomes a sentence. Raises StoppedEarly."""
    try:
        yield
    except sqlite3.Error as error:
        text = f"{path}: the index cannot be read: {error}; `hotfolder scan` and `hotfolder run` examine and renew it"
        raise StoppedEarly(text) from error
