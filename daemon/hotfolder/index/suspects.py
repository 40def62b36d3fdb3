"""Table `suspect`: sources that were being decoded when the process died, or when their thread hung."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from hotfolder.index.readers import Reader

Key = tuple[int, bytes]
"""The id of the watch, and the path."""


def keys(connection: Reader) -> set[Key]:
    rows = connection.execute("SELECT watch_id, path FROM suspect").fetchall()
    return {(watch_id, path) for watch_id, path in rows}


def add(connection: sqlite3.Connection, found: Iterable[Key], now: float) -> None:
    query = "INSERT OR IGNORE INTO suspect (watch_id, path, noted_at) VALUES (?, ?, ?)"
    connection.executemany(query, [(*key, now) for key in found])


def remove(connection: sqlite3.Connection, key: Key) -> None:
    connection.execute("DELETE FROM suspect WHERE watch_id = ? AND path = ?", key)
