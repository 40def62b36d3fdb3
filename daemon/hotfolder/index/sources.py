"""Source rows and what hangs on them: versions, states, analyses, failures. Renditions have a module of their own.

All functions take a connection: those that change something must run inside `Database.write`. Nothing here touches
a file; that renditions lie where the rows say is for working/ to see to.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hotfolder.errors import Reason
from hotfolder.imaging.record import Record
from hotfolder.index import folders
from hotfolder.index.numbers import number, stored
from hotfolder.index.readers import Reader
from hotfolder.model import State, Version
from hotfolder.paths import split

CONFIRMED = 2
"""So many reconciles in a row without it, or an event: then a deletion is certain."""
REMOVAL_SECONDS = 2.0
"""So much later than a rename that waits for the same output a removal is tried again."""
LONGEST_PAUSE = 1000.0
"""Seconds; no row is put off for longer."""

_COLUMNS = (
    "id, folder_id, name, size, mtime_ns, inode, ctime_ns, hash, state, made, tries, young, gone, extra, volume, "
    "put_off, racy"
)
_BY_NAME = f"SELECT {_COLUMNS} FROM source WHERE folder_id = ? AND name = ?"
_BY_HASH = f"SELECT {_COLUMNS} FROM source WHERE watch_id = ? AND hash = ? AND size = ? LIMIT ?"
_PAGE = f"SELECT {_COLUMNS} FROM source WHERE folder_id = ? AND name > ? ORDER BY name LIMIT ?"
# A time further away than any pause was noted by a clock that has been set back since: it counts as due.
_DUE = "(retry_at <= ? OR retry_at > ?)"
_WAITING = f"""
    SELECT retry_at, id, watch_id, folder_id, name, young, tries, gone FROM source
    WHERE state = 0 AND watch_id = ? AND (retry_at, id) > (?, ?) AND {_DUE} ORDER BY retry_at, id LIMIT ?"""
_WAITING_YOUNG = _WAITING.replace("state = 0", "state = 0 AND young = 1")
_NEXT_RETRY = "SELECT min(retry_at) FROM source WHERE state = 0 AND watch_id = ? AND retry_at > ?"
_INSERT_WAITING = """
    INSERT INTO source (watch_id, folder_id, name, state, young, retry_at, seen_at) VALUES (?, ?, ?, 0, ?, ?, ?)
    ON CONFLICT (folder_id, name) DO UPDATE SET state = 0, young = excluded.young, retry_at = excluded.retry_at,
        tries = CASE state WHEN 0 THEN tries ELSE 0 END, put_off = CASE state WHEN 0 THEN put_off ELSE 0 END,
        gone = 0"""
_ENSURE = """
    INSERT INTO source (watch_id, folder_id, name, state, seen_at) VALUES (?, ?, ?, 0, ?)
    ON CONFLICT (folder_id, name) DO UPDATE SET gone = 0 RETURNING id"""
_VERSION = """
    size = ?, mtime_ns = ?, inode = ?, ctime_ns = ?, volume = coalesce(nullif(?, ''), volume), racy = ?"""
_SETTLED = f"""
    UPDATE source SET {_VERSION}, hash = ?, state = ?, made = ?, decoder = ?, extra = ?, format = ?, width = ?,
        height = ?, notes = ?, retry_at = 0, tries = 0, put_off = 0, young = 0, gone = 0, done_at = ?
    WHERE id = ?"""
_REKEY = f"UPDATE source SET {_VERSION}, gone = 0 WHERE id = ?"
_PUT_FAILURE = """
    INSERT INTO failure VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET reason = excluded.reason, message = excluded.message, decoder = excluded.decoder,
        tries = excluded.tries, last_at = excluded.last_at"""
_ANALYSIS = "SELECT record FROM analysis WHERE source_id = ? AND signature = ?"
_IS_ANALYZED = "SELECT EXISTS (SELECT 1 FROM analysis WHERE source_id = ? AND signature = ?)"
_PUT_ANALYSIS = """
    INSERT INTO analysis (source_id, signature, record) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET signature = excluded.signature, record = excluded.record"""
_FREE_NAMES = """
    UPDATE source SET state = 0, retry_at = 0 WHERE state = 2 AND watch_id = ?
    AND id IN (SELECT source_id FROM failure WHERE reason = 'name_taken')"""
_MISSING_BELOW = "SELECT id, hash, volume FROM source WHERE folder_id = ?"
# Behind whatever else is due: what was renamed is found before its former name goes.
_DELETED = f"UPDATE source SET gone = max(gone, {CONFIRMED}), state = 0, young = 1, retry_at = ? WHERE "


class Mark(StrEnum):
    """What a walk that did not find a source makes of its mark, in SQL."""

    ONCE_MORE = "gone + 1"
    HINTED = "max(gone, 1)"
    """It was looked for since it had just been missed: no second opinion."""
    CERTAIN = f"max(gone, {CONFIRMED})"
    """Events had said that something was deleted there."""


@dataclass(frozen=True, slots=True)
class Row:
    """One source as the index knows it; `version` is the one that `state` speaks of (size -1: none yet)."""

    id: int
    folder_id: int
    name: bytes
    version: Version
    state: State
    made: str
    tries: int
    """Failures in a row that were its own fault."""
    young: bool
    gone: int
    extra: str
    put_off: int = 0
    """Failures in a row, since the last of its own, that were another's."""

    def complete(self, want: str) -> bool:
        """All renditions of `want` were made of `version`."""
        return self.state is State.DONE and self.made == want


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decode told of a source."""

    decoder: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    notes: str = ""
    """What was left out or given up, by commas: see docs/formats.md."""
    extra: str = ""


Columns = tuple[Any, ...]
"""A row as SQLite gives it, in the order of _COLUMNS: cheap, for walks."""
NAME, HASH, VOLUME, RACY = 2, 7, 14, 16
ANY = "any"


def lies_on(digest: bytes | None, volume: str | None) -> str:
    """The volume on which a source lies, by its row; ANY where nothing was made of it yet."""
    return ANY if digest is None else volume or ""


def unchanged(columns: Columns, found: os.stat_result, want: str, volume: str) -> bool:
    """Whether a file is as its row says, and where it says, and all of `want` was made of it."""
    return (
        columns[3:7] == (found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)
        and columns[8] == State.DONE
        and columns[9] == want
        and not columns[12]
        and columns[VOLUME] == volume
    )


def row_of(columns: Sequence[Any]) -> Row:
    id_, folder, name, size, mtime, inode, ctime, digest, state, made, tries, young, gone, extra, volume = columns[:15]
    put_off, racy = columns[15:]
    version = Version(number(size), number(mtime), number(inode), number(ctime), digest, volume or "", bool(racy))
    return Row(id_, folder, name, version, State(state), made, tries, bool(young), gone, extra, put_off)


def _columns_of(version: Version) -> tuple[int | bytes | str, ...]:
    numbers = (version.size, version.mtime_ns, version.inode, version.ctime_ns)
    return (*(stored(each) for each in numbers), version.volume, int(version.racy))


# -- asking ------------------------------------------------------------------------------------------------------------


def find(connection: Reader, watch_id: int, path: bytes) -> Row | None:
    head, name = split(path)
    folder_id = folders.find(connection, watch_id, head)
    if folder_id is None:
        return None
    columns = connection.execute(_BY_NAME, (folder_id, name)).fetchone()
    return None if columns is None else row_of(columns)


def page(connection: Reader, folder_id: int, after: bytes, limit: int) -> list[Columns]:
    """The rows of one folder in the order of their names' bytes, from behind `after`."""
    return connection.execute(_PAGE, (folder_id, after, limit)).fetchall()


def same_content(connection: Reader, watch_id: int, version: Version, limit: int = 8) -> list[Row]:
    """Sources with these bytes: one of them may have been renamed to the one at hand."""
    rows = connection.execute(_BY_HASH, (watch_id, version.hash, version.size, limit)).fetchall()
    return [row_of(columns) for columns in rows]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row that waits for work, in the order in which it may come."""

    retry_at: float
    id: int
    watch_id: int
    folder_id: int
    name: bytes
    young: bool
    tries: int
    gone: int


def waiting(
    connection: Reader, watch_id: int, now: float, after: tuple[float, int], limit: int, *,
    young: bool = False,
) -> list[Waiting]:  # fmt: skip
    """What waits and is due at `now` (seconds since 1970), from behind the position `after`; `young`: drops alone."""
    query = _WAITING_YOUNG if young else _WAITING
    rows = connection.execute(query, (watch_id, *after, now, now + LONGEST_PAUSE, limit)).fetchall()
    return [Waiting(*row) for row in rows]


def next_retry(connection: Reader, watch_id: int, now: float) -> float | None:
    """When the next row that waits becomes due; None where none does."""
    moment: float | None = connection.execute(_NEXT_RETRY, (watch_id, now)).fetchone()[0]
    return moment


def is_analyzed(connection: Reader, source_id: int, signature: str) -> bool:
    """Whether there is a record, made for this signature."""
    return bool(connection.execute(_IS_ANALYZED, (source_id, signature)).fetchone()[0])


def analysis(connection: Reader, source_id: int, signature: str) -> Record | None:
    row = connection.execute(_ANALYSIS, (source_id, signature)).fetchone()
    return None if row is None else Record.from_json(row[0])


# -- changing ----------------------------------------------------------------------------------------------------------


def wait(
    connection: sqlite3.Connection, watch_id: int, folder_id: int, name: bytes, now: float, *, young: bool = False,
    retry_at: float = 0.0,
) -> None:  # fmt: skip
    """The source waits for work; a row that has renditions keeps them and their version."""
    connection.execute(_INSERT_WAITING, (watch_id, folder_id, name, int(young), retry_at, now))


def ensure(connection: sqlite3.Connection, watch_id: int, folder_id: int, name: bytes, now: float) -> int:
    return int(connection.execute(_ENSURE, (watch_id, folder_id, name, now)).fetchone()[0])


def settle(
    connection: sqlite3.Connection, source_id: int, version: Version, state: State, made: str, facts: Facts, now: float
) -> None:
    """The row speaks of `version` from now on and waits no longer; a former failure is forgotten."""
    stat = (*_columns_of(version), version.hash)
    picture = (facts.decoder, facts.extra, facts.format, facts.width, facts.height, facts.notes)
    connection.execute(_SETTLED, (*stat, int(state), made, *picture, now, source_id))
    if state is not State.FAILED:
        connection.execute("DELETE FROM failure WHERE source_id = ?", (source_id,))


def rekey(connection: sqlite3.Connection, source_id: int, version: Version) -> None:
    """The same bytes at other times or in another inode."""
    connection.execute(_REKEY, (*_columns_of(version), source_id))


def fail(
    connection: sqlite3.Connection, source_id: int, reason: Reason, message: str, decoder: str, tries: int, now: float
) -> None:
    connection.execute(_PUT_FAILURE, (source_id, str(reason), message, decoder, tries, now, now))


def retry(connection: sqlite3.Connection, source_id: int, retry_at: float, tries: int, put_off: int = 0) -> None:
    query = "UPDATE source SET state = 0, retry_at = ?, tries = ?, put_off = ? WHERE id = ?"
    connection.execute(query, (retry_at, tries, put_off, source_id))


def remove_later(connection: sqlite3.Connection, source_id: int, retry_at: float, put_off: int) -> None:
    """It is gone for certain, but its renditions could not be removed."""
    query = "UPDATE source SET state = 0, gone = ?, retry_at = ?, put_off = ? WHERE id = ?"
    connection.execute(query, (CONFIRMED, retry_at, put_off, source_id))


def release(connection: sqlite3.Connection, watch_id: int) -> None:
    """What was put off is due now; what is to go a moment later, so that a rename still finds what was made of it."""
    due = f"CASE WHEN gone >= {CONFIRMED} THEN min(retry_at, ?) ELSE 0 END"
    query = f"UPDATE source SET retry_at = {due} WHERE state = 0 AND watch_id = ? AND retry_at > 0"
    connection.execute(query, (time.time() + REMOVAL_SECONDS, watch_id))


def put_analysis(connection: sqlite3.Connection, source_id: int, signature: str, record: Record) -> None:
    connection.execute(_PUT_ANALYSIS, (source_id, signature, record.to_json()))


def drop_analysis(connection: sqlite3.Connection, source_id: int) -> None:
    connection.execute("DELETE FROM analysis WHERE source_id = ?", (source_id,))


def move(connection: sqlite3.Connection, source_id: int, folder_id: int, name: bytes) -> None:
    """The source lies somewhere else now. A row that waits there already gives way."""
    former = connection.execute("SELECT folder_id FROM source WHERE id = ?", (source_id,)).fetchone()[0]
    there = connection.execute(_BY_NAME, (folder_id, name)).fetchone()
    if there is not None and there[0] != source_id:
        remove(connection, there[0], keep_folder=True)
    query = "UPDATE source SET folder_id = ?, name = ?, gone = 0 WHERE id = ?"
    connection.execute(query, (folder_id, name, source_id))
    folders.remove_empty(connection, former)


def remove(connection: sqlite3.Connection, source_id: int, *, keep_folder: bool = False) -> None:
    """Forget a source. Whoever was refused a name in its watch is looked at again."""
    row = connection.execute("SELECT watch_id, folder_id FROM source WHERE id = ?", (source_id,)).fetchone()
    if row is None:
        return
    connection.execute("DELETE FROM source WHERE id = ?", (source_id,))
    connection.execute(_FREE_NAMES, (row[0],))
    if not keep_folder:
        folders.remove_empty(connection, row[1])


def below(connection: Reader, folder_id: int) -> list[tuple[int, str]]:
    """The sources in a folder and below it: their ids and where they lie (see `lies_on`)."""
    found: list[tuple[int, str]] = []
    for each in folders.subtree(connection, folder_id):
        rows = connection.execute(_MISSING_BELOW, (each,)).fetchall()
        found += [(source_id, lies_on(digest, volume)) for source_id, digest, volume in rows]
    return found


def mark_gone(connection: sqlite3.Connection, source_ids: Iterable[int], mark: Mark = Mark.ONCE_MORE) -> None:
    """A whole reconcile did not find these sources."""
    connection.executemany(f"UPDATE source SET gone = {mark} WHERE id = ?", [(each,) for each in source_ids])


def delete(connection: sqlite3.Connection, source_ids: Iterable[int], now: float) -> None:
    """An event said that these sources went: each waits for a last look, and no guard."""
    connection.executemany(f"{_DELETED} id = ?", [(now, each) for each in source_ids])


def delete_at(connection: sqlite3.Connection, watch_id: int, paths: Iterable[bytes], now: float) -> None:
    """The same, by paths."""
    for path in paths:
        folder, name = split(path)
        folder_id = folders.find(connection, watch_id, folder)
        connection.execute(f"{_DELETED} folder_id = ? AND name = ?", (now, folder_id, name))


def rehome(connection: sqlite3.Connection, source_ids: Iterable[int], volume: str) -> None:
    """These sources belong to this volume from now on."""
    connection.executemany("UPDATE source SET volume = ? WHERE id = ?", [(volume, each) for each in source_ids])


def unmark_gone(connection: sqlite3.Connection, source_id: int) -> None:
    connection.execute("UPDATE source SET gone = 0 WHERE id = ?", (source_id,))


def gone(connection: Reader, watch_id: int, after: int, limit: int, times: int = 1) -> list[Row]:
    """What at least `times` reconciles in a row did not find, by id from behind `after`."""
    query = f"SELECT {_COLUMNS} FROM source WHERE watch_id = ? AND gone >= ? AND id > ? ORDER BY id LIMIT ?"
    return [row_of(columns) for columns in connection.execute(query, (watch_id, times, after, limit)).fetchall()]


def retry_failed(connection: sqlite3.Connection, wanted: Sequence[tuple[int, bytes]] | None) -> int:
    """Let quarantined sources wait again, all of them or those at (watch id, path); returns how many.

    Their hashes are forgotten, so that the same bytes count as new.
    """
    if wanted is None:
        rows = connection.execute("SELECT id FROM source WHERE state = ?", (State.FAILED,)).fetchall()
        ids = [row[0] for row in rows]
    else:
        found = [find(connection, watch_id, path) for watch_id, path in wanted]
        ids = [row.id for row in found if row is not None and row.state is State.FAILED]
    for source_id in ids:
        connection.execute("UPDATE source SET made = '', hash = NULL WHERE id = ?", (source_id,))
        retry(connection, source_id, 0.0, 0)
    return len(ids)
