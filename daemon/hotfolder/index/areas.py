"""Table `area`: the folders below an output in which trees of renditions lie."""

from __future__ import annotations

import sqlite3

from hotfolder.index.readers import Reader


def paths(connection: Reader) -> list[bytes]:
    """All folders below outputs in which renditions lie, or may soon."""
    return [row[0] for row in connection.execute("SELECT path FROM area ORDER BY id").fetchall()]


def ensure(connection: sqlite3.Connection, path: bytes) -> int:
    """The id of the area, which is added where it is new."""
    row = connection.execute("SELECT id FROM area WHERE path = ?", (path,)).fetchone()
    if row is None:
        row = (connection.execute("INSERT INTO area (path) VALUES (?)", (path,)).lastrowid,)
    return int(row[0])
