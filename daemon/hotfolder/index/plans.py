"""Table `plan`: by what renditions were made, each plan (JSON) once."""

from __future__ import annotations

import sqlite3

PRUNED_EVERY = 500
"""New plans between two looks at which of them are still of use."""


def ensure(connection: sqlite3.Connection, spec: str) -> int:
    """The id of the plan, which is added where it is new."""
    row = connection.execute("SELECT id FROM plan WHERE spec = ?", (spec,)).fetchone()
    if row is None:
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM plan").fetchone()
        if (last + 1) % PRUNED_EVERY == 0:  # callers may order sizes that nobody requests twice
            prune(connection)
        row = (connection.execute("INSERT INTO plan (spec) VALUES (?)", (spec,)).lastrowid,)
    return int(row[0] or 0)


def prune(connection: sqlite3.Connection) -> None:
    """Remove plans by which no rendition was made."""
    connection.execute("DELETE FROM plan WHERE id NOT IN (SELECT plan_id FROM rendition)")
