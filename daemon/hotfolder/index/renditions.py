"""Table `rendition`: what was made of a source, by which plan, and where it lies below the output."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from hotfolder.imaging.rendition import Rendition
from hotfolder.index import areas, plans
from hotfolder.index.numbers import number, stored
from hotfolder.index.readers import Reader
from hotfolder.index.rows import Columns


@dataclass(frozen=True, slots=True)
class Made(Rendition):
    """One rendition as the index knows it; `area` is the folder below the output in which its tree lies.

    `ordered`: made because a caller ordered it, not because the watch wants it.
    """

    signature: str
    plan: str
    area: bytes
    name: bytes
    mtime_ns: int
    present: bool
    ordered: bool = False


_COLUMNS = Columns(
    Made,
    table="r",
    origins={"plan": "p.spec", "area": "a.path"},
    converters={"mtime_ns": number, "present": bool, "ordered": bool},
)
_OF = f"""
    SELECT {_COLUMNS.sql}
    FROM rendition r JOIN plan p ON p.id = r.plan_id JOIN area a ON a.id = r.area
    WHERE r.source_id = ? ORDER BY r.preset"""
# No REPLACE: it would drop the row of another source that owns the path, where this has to fail.
_PUT = """
    INSERT INTO rendition (source_id, preset, signature, plan_id, area, place, name, name_key, width, height, bytes,
        mtime_ns, present, epoch, note, ordered)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?)
    ON CONFLICT (source_id, preset) DO UPDATE SET signature = excluded.signature, plan_id = excluded.plan_id,
        area = excluded.area, place = excluded.place, name = excluded.name, name_key = excluded.name_key,
        width = excluded.width, height = excluded.height, bytes = excluded.bytes, mtime_ns = excluded.mtime_ns,
        present = 1, epoch = excluded.epoch, note = excluded.note, ordered = excluded.ordered"""
_TAKEN = """
    SELECT source_id FROM rendition
    WHERE place = ? AND area = (SELECT id FROM area WHERE path = ?) AND name_key = ? AND note <> 'kept'
    AND source_id <> ?"""
_SINCE = """
    SELECT DISTINCT s.id, s.watch_id FROM rendition r JOIN source s ON s.id = r.source_id
    WHERE r.epoch > ? AND r.present"""
_MISS_ALL = "UPDATE rendition SET present = 0 WHERE source_id IN (SELECT id FROM source WHERE watch_id = ?)"


# -- reading -----------------------------------------------------------------------------------------------------------


def of(connection: Reader, source_id: int) -> list[Made]:
    """The renditions of a source, in the order of their presets."""
    return _COLUMNS.rows(connection.execute(_OF, (source_id,)).fetchall())


def owner(connection: Reader, place: int, area: bytes, key: bytes, but: int) -> int | None:
    """The other source to which the index assigns this rendition path, or None."""
    row = connection.execute(_TAKEN, (place, area, key, but)).fetchone()
    return None if row is None else int(row[0])


def since(connection: Reader, epoch: int) -> list[tuple[int, int]]:
    """Sources with renditions of later epochs: their ids and their watches'."""
    return connection.execute(_SINCE, (epoch,)).fetchall()


# -- changing ----------------------------------------------------------------------------------------------------------


def put(connection: sqlite3.Connection, source_id: int, place: int, key: bytes, made: Made, epoch: int) -> None:
    """Raises sqlite3.IntegrityError where the path belongs to another source."""
    plan_id = plans.ensure(connection, made.plan)
    where = (areas.ensure(connection, made.area), place, made.name, key)
    values = (*where, made.width, made.height, made.bytes, stored(made.mtime_ns), epoch, made.note, int(made.ordered))
    connection.execute(_PUT, (source_id, made.preset, made.signature, plan_id, *values))


def drop(connection: sqlite3.Connection, source_id: int, preset: str) -> None:
    connection.execute("DELETE FROM rendition WHERE source_id = ? AND preset = ?", (source_id, preset))


def drop_all(connection: sqlite3.Connection, source_id: int) -> None:
    connection.execute("DELETE FROM rendition WHERE source_id = ?", (source_id,))


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


def miss_all(connection: sqlite3.Connection, watch_id: int) -> None:
    """Each rendition of the watch has to be looked for; no source is complete before."""
    connection.execute(_MISS_ALL, (watch_id,))
    connection.execute("UPDATE source SET made = '' WHERE watch_id = ?", (watch_id,))
