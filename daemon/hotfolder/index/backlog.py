"""Table `source`: the rows that wait for work (state PENDING), and when each of them is due.

Moments are in seconds since 1970.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hotfolder.index import sources
from hotfolder.index.deletions import CONFIRMED
from hotfolder.index.readers import Reader
from hotfolder.index.rows import Columns
from hotfolder.model import State

REMOVAL_SECONDS = 2.0
"""So much later than a rename that waits for the same output a removal is tried again."""
LONGEST_PAUSE = 1000.0
"""Seconds; no row is put off for longer."""


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


_COLUMNS = Columns(Waiting)
# A time further away than any pause was noted by a clock that has been set back since: it counts as due.
_DUE = "(retry_at <= ? OR retry_at > ?)"
# State 0 is a literal: partial indexes are found by it.
_PAGE = f"""
    SELECT {_COLUMNS.sql} FROM source
    WHERE state = 0 AND watch_id = ? AND (retry_at, id) > (?, ?) AND {_DUE} ORDER BY retry_at, id LIMIT ?"""
_PAGE_YOUNG = _PAGE.replace("state = 0", "state = 0 AND young = 1")
_NEXT_RETRY = "SELECT min(retry_at) FROM source WHERE state = 0 AND watch_id = ? AND retry_at > ?"
_ANY_DUE = "SELECT 1 FROM source WHERE state = 0 AND retry_at <= ? AND watch_id = ? LIMIT 1"
_ANY_TRIED = _ANY_DUE.replace("state = 0", "state = 0 AND put_off = 0")
_WAIT = """
    INSERT INTO source (watch_id, folder_id, name, state, young, retry_at, seen_at) VALUES (?, ?, ?, 0, ?, ?, ?)
    ON CONFLICT (folder_id, name) DO UPDATE SET state = 0, young = excluded.young, retry_at = excluded.retry_at,
        tries = CASE state WHEN 0 THEN tries ELSE 0 END, put_off = CASE state WHEN 0 THEN put_off ELSE 0 END,
        gone = 0"""
_RELEASE = f"""
    UPDATE source SET retry_at = CASE WHEN gone >= {CONFIRMED} THEN min(retry_at, ?) ELSE 0 END
    WHERE state = 0 AND watch_id = ? AND retry_at > 0"""


def due(
    connection: Reader, watch_id: int, now: float, after: tuple[float, int], limit: int, *, young: bool = False
) -> list[Waiting]:
    """What waits and is due at `now`, from behind the position `after`; `young`: drops alone."""
    query = _PAGE_YOUNG if young else _PAGE
    return _COLUMNS.rows(connection.execute(query, (watch_id, *after, now, now + LONGEST_PAUSE, limit)).fetchall())


def any_due(connection: Reader, watch_id: int, by: float, tried_by: float | None = None) -> bool:
    """Whether a row of the watch waits that is due at the moment `by`; at `tried_by`, where it waits for another try of
    its own and not until another is well again."""
    if connection.execute(_ANY_DUE, (by, watch_id)).fetchone() is not None:
        return True
    return tried_by is not None and connection.execute(_ANY_TRIED, (tried_by, watch_id)).fetchone() is not None


def waits(connection: Reader, source_id: int) -> bool:
    """Whether this source still waits for work."""
    row = connection.execute("SELECT state FROM source WHERE id = ?", (source_id,)).fetchone()
    return row is not None and row[0] == State.PENDING


def next_retry(connection: Reader, watch_id: int, now: float) -> float | None:
    """When the next row that waits becomes due; None where none does."""
    moment: float | None = connection.execute(_NEXT_RETRY, (watch_id, now)).fetchone()[0]
    return moment


def wait(
    connection: sqlite3.Connection,
    watch_id: int,
    folder_id: int,
    name: bytes,
    now: float,
    *,
    young: bool = False,
    retry_at: float = 0.0,
) -> None:
    """The source waits for work; a row that has renditions keeps them and their version."""
    connection.execute(_WAIT, (watch_id, folder_id, name, int(young), retry_at, now))


def put_off(connection: Reader, now: float) -> tuple[int, float | None]:
    """How many sources are tried again after `now`, and when the first of them is."""
    query = "SELECT count(*), min(retry_at) FROM source WHERE state = 0 AND retry_at > ?"
    count, first = connection.execute(query, (now,)).fetchone()
    return count, first


def retry(connection: sqlite3.Connection, source_id: int, retry_at: float, tries: int, put_off: int = 0) -> None:
    """It waits until `retry_at`, after so many failures of its own, and so many in a row that were another's fault."""
    query = "UPDATE source SET state = 0, retry_at = ?, tries = ?, put_off = ? WHERE id = ?"
    connection.execute(query, (retry_at, tries, put_off, source_id))


def retry_failed(connection: sqlite3.Connection, wanted: Sequence[tuple[int, bytes]] | None) -> int:
    """Let quarantined sources wait again, all of them or those at (watch id, path); returns how many.

    Their hashes are forgotten, so that the same bytes count as new.
    """
    if wanted is None:
        rows = connection.execute("SELECT id FROM source WHERE state = ?", (State.FAILED,)).fetchall()
        ids = [row[0] for row in rows]
    else:
        found = [sources.find(connection, watch_id, path) for watch_id, path in wanted]
        ids = [row.id for row in found if row is not None and row.state is State.FAILED]
    for source_id in ids:
        connection.execute("UPDATE source SET made = '', hash = NULL WHERE id = ?", (source_id,))
        retry(connection, source_id, 0.0, 0)
    return len(ids)


def retry_skipped(connection: sqlite3.Connection, extra: str) -> None:
    """The sources that were skipped since this extra was not installed are due now."""
    query = "UPDATE source SET state = ? WHERE state = ? AND extra = ?"
    connection.execute(query, (State.PENDING, State.SKIPPED, extra))


def remove_later(connection: sqlite3.Connection, source_id: int, retry_at: float, put_off: int) -> None:
    """It is gone for certain, but its renditions could not be removed."""
    query = "UPDATE source SET state = 0, gone = ?, retry_at = ?, put_off = ? WHERE id = ?"
    connection.execute(query, (CONFIRMED, retry_at, put_off, source_id))


def release(connection: sqlite3.Connection, watch_id: int) -> None:
    """What was put off is due now; removals a moment later, so that a rename still finds what was made."""
    connection.execute(_RELEASE, (time.time() + REMOVAL_SECONDS, watch_id))
