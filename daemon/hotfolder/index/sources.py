"""Table `source`: the images that are known, and the version of each that its state is about.

Which of them wait for work is in backlog.py, which of them were not found in deletions.py. Nothing here touches a file:
that renditions lie where the rows say is for pipeline/ to see to.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from hotfolder.index import failures, folders, rows
from hotfolder.index.numbers import number, stored
from hotfolder.index.readers import Reader
from hotfolder.model import State, Version
from hotfolder.paths import split

ANY = "any"
"""Stands for the volume of what was never read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One source as the index knows it; `version` is the one that `state` is about (size -1: none yet)."""

    id: int
    folder_id: int
    name: bytes
    version: Version
    state: State
    made: str
    tries: int
    young: bool
    gone: int
    extra: str
    put_off: int
    """Failures in a row that were no fault of the image; `tries` are those that were."""

    @property
    def lies_on(self) -> str:
        """The volume that it was read from; ANY where nothing was made of it yet."""
        return ANY if self.version.hash is None else self.version.volume

    def complete(self, want: str) -> bool:
        """All renditions of `want` were made of `version`."""
        return self.state is State.DONE and self.made == want


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decode found out about a source. The fields are columns of the table."""

    decoder: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    notes: str = ""
    """What was left out or given up, by commas: see docs/formats.md."""
    extra: str = ""


class _Stored(NamedTuple):
    """A row as SQLite stores it. Large numbers are bytes: see numbers.py."""

    id: int
    folder_id: int
    name: bytes
    size: int
    mtime_ns: int | bytes
    inode: int | bytes
    ctime_ns: int | bytes
    hash: bytes | None
    state: int
    made: str
    tries: int
    young: int
    gone: int
    extra: str
    volume: str | None
    put_off: int
    racy: int


Columns = tuple[Any, ...]
"""The same as a plain tuple, in the order of NAMES: cheap, for walks."""
NAMES = _Stored._fields
ID, NAME, RACY = NAMES.index("id"), NAMES.index("name"), NAMES.index("racy")
SELECTED = ", ".join(NAMES)

_BY_ID = f"SELECT {SELECTED} FROM source WHERE id = ?"
_BY_NAME = f"SELECT {SELECTED} FROM source WHERE folder_id = ? AND name = ?"
_BY_HASH = f"SELECT {SELECTED} FROM source WHERE watch_id = ? AND hash = ? AND size = ? LIMIT ?"
_PAGE = f"SELECT {SELECTED} FROM source WHERE folder_id = ? AND name > ? ORDER BY name LIMIT ?"
_OLDEST = f"SELECT {SELECTED} FROM source WHERE watch_id = ? ORDER BY id LIMIT ?"
_OLDEST_MADE = f"""
    SELECT {SELECTED} FROM source WHERE watch_id = ? AND id <= ? AND size >= 0 AND gone = 0 ORDER BY id LIMIT ?"""
_IN_FOLDER = f"""
    SELECT id, CASE WHEN hash IS NULL THEN '{ANY}' ELSE coalesce(volume, '') END FROM source WHERE folder_id = ?"""
_FACTS = rows.Columns(Facts)
_ENSURE = """
    INSERT INTO source (watch_id, folder_id, name, state, seen_at) VALUES (?, ?, ?, 0, ?)
    ON CONFLICT (folder_id, name) DO UPDATE SET gone = 0 RETURNING id"""
_VERSION = "size = ?, mtime_ns = ?, inode = ?, ctime_ns = ?, volume = coalesce(nullif(?, ''), volume), racy = ?"
_SETTLED = f"""
    UPDATE source SET {_VERSION}, hash = ?, state = ?, made = ?, decoder = ?, extra = ?, format = ?, width = ?,
        height = ?, notes = ?, retry_at = 0, tries = 0, put_off = 0, young = 0, gone = 0, done_at = ?
    WHERE id = ?"""
_REKEY = f"UPDATE source SET {_VERSION}, gone = 0 WHERE id = ?"
_FREE_NAMES = """
    UPDATE source SET state = 0, retry_at = 0 WHERE state = 2 AND watch_id = ?
    AND id IN (SELECT source_id FROM failure WHERE reason = 'name_taken')"""

_compared = itemgetter(
    *(NAMES.index(each) for each in ("size", "mtime_ns", "inode", "ctime_ns", "state", "made", "gone", "volume"))
)
_hash_and_volume = itemgetter(NAMES.index("hash"), NAMES.index("volume"))


def unchanged(columns: Columns, found: os.stat_result, want: str, volume: str) -> bool:
    """Whether a file is as its row has it, and on that volume, and all of `want` was made of it."""
    known = (found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns, State.DONE, want, 0, volume)
    same: bool = _compared(columns) == known
    return same


def lies_on(columns: Columns) -> str:
    """The volume that a source was read from; ANY where nothing was made of it yet."""
    digest, volume = _hash_and_volume(columns)
    return ANY if digest is None else volume or ""


def row_of(columns: Sequence[Any]) -> Row:
    """The row that the columns NAMES stand for."""
    known = _Stored(*columns)
    version = Version(
        size=known.size,
        mtime_ns=number(known.mtime_ns),
        inode=number(known.inode),
        ctime_ns=number(known.ctime_ns),
        hash=known.hash,
        volume=known.volume or "",
        racy=bool(known.racy),
    )
    return Row(
        id=known.id,
        folder_id=known.folder_id,
        name=known.name,
        version=version,
        state=State(known.state),
        made=known.made,
        tries=known.tries,
        young=bool(known.young),
        gone=known.gone,
        extra=known.extra,
        put_off=known.put_off,
    )


def _columns_of(version: Version) -> tuple[int | bytes | str, ...]:
    numbers = (version.size, version.mtime_ns, version.inode, version.ctime_ns)
    return (*(stored(each) for each in numbers), version.volume, int(version.racy))


# -- reading -----------------------------------------------------------------------------------------------------------


def find(connection: Reader, watch_id: int, path: bytes) -> Row | None:
    head, name = split(path)
    folder_id = folders.find(connection, watch_id, head)
    if folder_id is None:
        return None
    columns = connection.execute(_BY_NAME, (folder_id, name)).fetchone()
    return None if columns is None else row_of(columns)


def version(connection: Reader, source_id: int) -> Version:
    """The version that the state of a known source is about."""
    return row_of(connection.execute(_BY_ID, (source_id,)).fetchone()).version


def folder_of(connection: Reader, source_id: int) -> int | None:
    """The id of the folder in which a source lies; None for one that is not known."""
    row = connection.execute("SELECT folder_id FROM source WHERE id = ?", (source_id,)).fetchone()
    return None if row is None else int(row[0])


def page(connection: Reader, folder_id: int, after: bytes, limit: int) -> list[Columns]:
    """The rows of one folder in the order of their names' bytes, from behind `after`."""
    return connection.execute(_PAGE, (folder_id, after, limit)).fetchall()


def same_content(connection: Reader, watch_id: int, version: Version, limit: int = 8) -> list[Row]:
    """Sources with these bytes: one of them may have been renamed to the one at hand."""
    found = connection.execute(_BY_HASH, (watch_id, version.hash, version.size, limit)).fetchall()
    return [row_of(columns) for columns in found]


def below(connection: Reader, folder_id: int) -> list[tuple[int, str]]:
    """The sources in a folder and below it: their ids, and the volumes that they lie on (see `lies_on`)."""
    found: list[tuple[int, str]] = []
    for each in folders.subtree(connection, folder_id):
        found += connection.execute(_IN_FOLDER, (each,)).fetchall()
    return found


def oldest(connection: Reader, watch_id: int, limit: int) -> list[Row]:
    """The first sources of a watch that were known."""
    return [row_of(columns) for columns in connection.execute(_OLDEST, (watch_id, limit)).fetchall()]


def oldest_made(connection: Reader, watch_id: int, limit: int, up_to: int) -> list[Row]:
    """The first sources (up to the id `up_to`) of which something was made, and that no walk has missed."""
    return [row_of(columns) for columns in connection.execute(_OLDEST_MADE, (watch_id, up_to, limit)).fetchall()]


def facts(connection: Reader, source_id: int) -> Facts:
    """What the last decode found out about a known source."""
    query = f"SELECT {_FACTS.sql} FROM source WHERE id = ?"
    return _FACTS.row(connection.execute(query, (source_id,)).fetchone())


# -- changing ----------------------------------------------------------------------------------------------------------


def ensure(connection: sqlite3.Connection, watch_id: int, folder_id: int, name: bytes, now: float) -> int:
    """The id of the source, which is added where it is new. It was found, so it is not marked as gone any more."""
    return int(connection.execute(_ENSURE, (watch_id, folder_id, name, now)).fetchone()[0])


def settle(
    connection: sqlite3.Connection, source_id: int, version: Version, state: State, made: str, facts: Facts, now: float
) -> None:
    """The row is about `version` from now on and waits no longer; a former failure is forgotten."""
    stat = (*_columns_of(version), version.hash)
    picture = (facts.decoder, facts.extra, facts.format, facts.width, facts.height, facts.notes)
    connection.execute(_SETTLED, (*stat, int(state), made, *picture, now, source_id))
    if state is not State.FAILED:
        failures.forget(connection, source_id)


def rekey(connection: sqlite3.Connection, source_id: int, version: Version) -> None:
    """The same bytes at other times or in another inode."""
    connection.execute(_REKEY, (*_columns_of(version), source_id))


def rehome(connection: sqlite3.Connection, source_ids: Iterable[int], volume: str) -> None:
    """These sources belong to this volume from now on."""
    connection.executemany("UPDATE source SET volume = ? WHERE id = ?", [(volume, each) for each in source_ids])


def move(connection: sqlite3.Connection, source_id: int, folder_id: int, name: bytes) -> None:
    """The source lies somewhere else now. A row that waits there already is removed."""
    former = folder_of(connection, source_id)
    there = connection.execute(_BY_NAME, (folder_id, name)).fetchone()
    if there is not None and there[ID] != source_id:
        remove(connection, there[ID], keep_folder=True)
    query = "UPDATE source SET folder_id = ?, name = ?, gone = 0 WHERE id = ?"
    connection.execute(query, (folder_id, name, source_id))
    if former is not None:
        folders.remove_empty(connection, former)


def remove(connection: sqlite3.Connection, source_id: int, *, keep_folder: bool = False) -> None:
    """Forget a source. Those of its watch that were refused a name are tried again."""
    row = connection.execute("SELECT watch_id, folder_id FROM source WHERE id = ?", (source_id,)).fetchone()
    if row is None:
        return
    connection.execute("DELETE FROM source WHERE id = ?", (source_id,))
    connection.execute(_FREE_NAMES, (row[0],))
    if not keep_folder:
        folders.remove_empty(connection, row[1])
