"""Table `analysis`: the record of a source (see imaging/record.py), and the signature of what it was made by."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from hotfolder.imaging.record import Record
from hotfolder.index.readers import Reader
from hotfolder.index.rows import Columns

_OF = "SELECT record FROM analysis WHERE source_id = ? AND signature = ?"
_EXISTS = "SELECT EXISTS (SELECT 1 FROM analysis WHERE source_id = ? AND signature = ?)"
_PUT = """
    INSERT INTO analysis (source_id, signature, record) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET signature = excluded.signature, record = excluded.record"""
_WRITTEN = "(SELECT total(bytes) FROM rendition WHERE source_id = s.id AND note <> 'kept' AND present = 1)"
_COPIED = """
    (SELECT bytes FROM rendition WHERE source_id = s.id AND preset = 'optimized' AND note = '' AND present = 1)"""


@dataclass(frozen=True, slots=True)
class Analysed:
    """One source with its record (JSON), and the bytes of its renditions and of its optimized copy, if it has one."""

    id: int
    watch: str
    folder_id: int
    name: bytes
    size: int
    hash: bytes | None
    record: str
    written: float
    copied: int | None


_COLUMNS = Columns(
    Analysed,
    table="s",
    origins={"watch": "w.name", "record": "a.record", "written": _WRITTEN, "copied": _COPIED},
)
_PAGE = f"""
    SELECT {_COLUMNS.sql}
    FROM source s JOIN watch w ON w.id = s.watch_id JOIN analysis a ON a.source_id = s.id
    WHERE s.id > ? AND s.state = 1 AND s.gone = 0 ORDER BY s.id LIMIT ?"""


def exists(connection: Reader, source_id: int, signature: str) -> bool:
    """Whether there is a record that was made for this signature."""
    return bool(connection.execute(_EXISTS, (source_id, signature)).fetchone()[0])


def of(connection: Reader, source_id: int, signature: str) -> Record | None:
    """The record that was made for this signature, if there is one."""
    row = connection.execute(_OF, (source_id, signature)).fetchone()
    return None if row is None else Record.from_json(row[0])


def as_json(connection: Reader, source_id: int) -> dict[str, Any] | None:
    """The record of a source, for whatever signature it was made."""
    row = connection.execute("SELECT record FROM analysis WHERE source_id = ?", (source_id,)).fetchone()
    return None if row is None else json.loads(row[0])


def page(connection: Reader, after: int, limit: int) -> list[Analysed]:
    """Analysed sources whose renditions are made, by id from behind `after`."""
    return _COLUMNS.rows(connection.execute(_PAGE, (after, limit)).fetchall())


def put(connection: sqlite3.Connection, source_id: int, signature: str, record: Record) -> None:
    connection.execute(_PUT, (source_id, signature, record.to_json()))


def forget(connection: sqlite3.Connection, source_id: int) -> None:
    connection.execute("DELETE FROM analysis WHERE source_id = ?", (source_id,))
