"""Rendition rows: what was made of a source, by which plan, and where it lies below the output.

All functions take a connection: those that change something must run inside `Database.write`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from hotfolder.index.numbers import number, stored
from hotfolder.index.readers import Reader

PLANS = 500
"""New plans between two looks at which of them are still of use."""
_RENDITIONS = """
    SELECT r.preset, r.signature, p.spec, a.path, r.name, r.width, r.height, r.bytes, r.mtime_ns, r.present, r.note,
           r.ordered
    FROM rendition r JOIN plan p ON p.id = r.plan_id JOIN area a ON a.id = r.area WHERE r.source_id = ?"""
# No REPLACE: it would drop the row of another source that owns the path, where this has to fail.
_PUT_RENDITION = """
    INSERT INTO rendition VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?)
    ON CONFLICT (source_id, preset) DO UPDATE SET signature = excluded.signature, plan_id = excluded.plan_id,
        area = excluded.area, place = excluded.place, name = excluded.name, name_key = excluded.name_key,
        width = excluded.width, height = excluded.height, bytes = excluded.bytes, mtime_ns = excluded.mtime_ns,
        present = 1, epoch = excluded.epoch, note = excluded.note, ordered = excluded.ordered"""
_TAKEN = """
    SELECT source_id FROM rendition
    WHERE place = ? AND area = (SELECT id FROM area WHERE path = ?) AND name_key = ? AND note <> 'kept'
    AND source_id <> ?"""


@dataclass(frozen=True, slots=True)
class Made:
    """One rendition as the index knows it; `area` is the folder below the output in which its tree lies.

    `ordered`: made because a caller asked for it, not because the watch wants it.
    """

    preset: str
    signature: str
    plan: str
    area: bytes
    name: bytes
    width: int
    height: int
    bytes: int
    mtime_ns: int
    present: bool
    note: str
    ordered: bool = False


def of(connection: Reader, source_id: int) -> list[Made]:
    rows = connection.execute(_RENDITIONS, (source_id,)).fetchall()
    return [
        Made(preset, signature, plan, area, name, wide, high, size, number(mtime), bool(present), note, bool(ordered))
        for preset, signature, plan, area, name, wide, high, size, mtime, present, note, ordered in rows
    ]


def owner(connection: Reader, place: int, area: bytes, key: bytes, but: int) -> int | None:
    """The other source to which the index gives this rendition path, or None."""
    row = connection.execute(_TAKEN, (place, area, key, but)).fetchone()
    return None if row is None else int(row[0])


def put(connection: sqlite3.Connection, source_id: int, place: int, key: bytes, made: Made, epoch: int) -> None:
    """Raises sqlite3.IntegrityError where the path belongs to another source."""
    plan_id = plan(connection, made.plan)
    where = (area_id(connection, made.area), place, made.name, key)
    values = (*where, made.width, made.height, made.bytes, stored(made.mtime_ns), epoch, made.note, int(made.ordered))
    connection.execute(_PUT_RENDITION, (source_id, made.preset, made.signature, plan_id, *values))


def drop(connection: sqlite3.Connection, source_id: int, preset: str) -> None:
    connection.execute("DELETE FROM rendition WHERE source_id = ? AND preset = ?", (source_id, preset))


def miss(connection: sqlite3.Connection, source_id: int, presets: Iterable[str]) -> None:
    """These files are not there any more as they were made; the source is no longer complete.

    What was made for an order is forgotten: nobody but its caller would want it again.
    """
    for preset in presets:
        which = (source_id, preset)
        connection.execute("DELETE FROM rendition WHERE source_id = ? AND preset = ? AND ordered = 1", which)
        connection.execute("UPDATE rendition SET present = 0 WHERE source_id = ? AND preset = ?", which)
    connection.execute("UPDATE source SET made = '' WHERE id = ?", (source_id,))


def found(connection: sqlite3.Connection, source_id: int, presets: Iterable[str]) -> None:
    """These files are there as they were made, after all."""
    query = "UPDATE rendition SET present = 1 WHERE source_id = ? AND preset = ?"
    connection.executemany(query, [(source_id, preset) for preset in presets])


def plan(connection: sqlite3.Connection, spec: str) -> int:
    row = connection.execute("SELECT id FROM plan WHERE spec = ?", (spec,)).fetchone()
    if row is None:
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM plan").fetchone()
        if (last + 1) % PLANS == 0:  # callers may order sizes that nobody asks for twice
            connection.execute("DELETE FROM plan WHERE id NOT IN (SELECT plan_id FROM rendition)")
        row = (connection.execute("INSERT INTO plan (spec) VALUES (?)", (spec,)).lastrowid,)
    return int(row[0] or 0)


def area_id(connection: sqlite3.Connection, path: bytes) -> int:
    row = connection.execute("SELECT id FROM area WHERE path = ?", (path,)).fetchone()
    if row is None:
        row = (connection.execute("INSERT INTO area (path) VALUES (?)", (path,)).lastrowid,)
    return int(row[0])


def areas(connection: Reader) -> list[bytes]:
    """All folders below outputs in which renditions lie, or may soon."""
    return [row[0] for row in connection.execute("SELECT path FROM area ORDER BY id").fetchall()]


def forget_plans(connection: sqlite3.Connection) -> None:
    """Forget plans by which no rendition was made that is still known."""
    connection.execute("DELETE FROM plan WHERE id NOT IN (SELECT plan_id FROM rendition)")
