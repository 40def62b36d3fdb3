"""Sources with the watch that they belong to, for readers outside the daemon (`hotfolder.open_index`). Only reads."""

from __future__ import annotations

from dataclasses import dataclass

from hotfolder.index import folders
from hotfolder.index.readers import Reader
from hotfolder.index.rows import Columns
from hotfolder.model import State

PAGE = 500


@dataclass(frozen=True, slots=True)
class Source:
    """One source; `root` and `output` are those of its watch."""

    id: int
    watch: str
    root: str
    output: str
    folder_id: int
    name: bytes
    state: State
    format: str
    width: int
    height: int


_COLUMNS = Columns(
    Source,
    table="s",
    origins={"watch": "w.name", "root": "w.root", "output": "w.output"},
    converters={"state": State},
)
_PAGE = f"""
    SELECT {_COLUMNS.sql} FROM source s JOIN watch w ON w.id = s.watch_id
    WHERE s.id > ?1 AND (?2 IS NULL OR w.name = ?2) ORDER BY s.id LIMIT ?3"""
_ONE = f"""
    SELECT {_COLUMNS.sql} FROM source s JOIN watch w ON w.id = s.watch_id WHERE s.folder_id = ? AND s.name = ?"""


def page(connection: Reader, after: int, watch: str | None) -> list[Source]:
    """The sources of one watch (by its name) or of all, by id from behind `after`."""
    return _COLUMNS.rows(connection.execute(_PAGE, (after, watch, PAGE)).fetchall())


def find(connection: Reader, watch_id: int, folder: bytes, name: bytes) -> Source | None:
    folder_id = folders.find(connection, watch_id, folder)
    row = connection.execute(_ONE, (folder_id, name)).fetchone()
    return None if row is None else _COLUMNS.row(row)
