"""The watches that the index knows, and what each of them was last called and where it lay."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """One row."""

    id: int
    name: str
    root: str
    output: str


def known(connection: sqlite3.Connection) -> list[Known]:
    return [Known(*row) for row in connection.execute("SELECT id, name, root, output FROM watch ORDER BY id")]


def settle(connection: sqlite3.Connection, name: str, root: str, output: str) -> int:
    """The watch's row. Another root is another tree; another output has none of the renditions yet."""
    row = connection.execute("SELECT id, root, output FROM watch WHERE name = ?", (name,)).fetchone()
    if row is None:
        query = "INSERT INTO watch (name, root, output) VALUES (?, ?, ?)"
        return int(connection.execute(query, (name, root, output)).lastrowid or 0)
    watch_id, former_root, former_output = row
    if former_root != root:
        connection.execute("UPDATE watch SET root = ?, mount = NULL WHERE id = ?", (root, watch_id))
    if former_output != output:
        connection.execute("UPDATE watch SET output = ? WHERE id = ?", (output, watch_id))
        below = "SELECT id FROM source WHERE watch_id = ?"
        connection.execute(f"UPDATE rendition SET present = 0 WHERE source_id IN ({below})", (watch_id,))
        connection.execute("UPDATE source SET made = '' WHERE watch_id = ?", (watch_id,))
    return int(watch_id)
