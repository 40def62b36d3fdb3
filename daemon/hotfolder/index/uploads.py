"""Uploads on their way, by watch and temporary name: what a killed process left is found by these rows.

All functions take a connection: those that change something must run inside `Database.write`.
"""

from __future__ import annotations

import sqlite3

from hotfolder.index.readers import Reader


def note(connection: sqlite3.Connection, watch_id: int, name: str) -> None:
    connection.execute("INSERT INTO upload VALUES (?, ?)", (watch_id, name))


def forget(connection: sqlite3.Connection, watch_id: int, name: str) -> None:
    connection.execute("DELETE FROM upload WHERE watch_id = ? AND name = ?", (watch_id, name))


def noted(connection: Reader) -> list[tuple[int, str]]:
    """Watch and name of each."""
    found: list[tuple[int, str]] = connection.execute("SELECT watch_id, name FROM upload").fetchall()
    return found
