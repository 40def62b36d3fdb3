"""Table `source`: marks against sources that were not found, up to the certainty that they were deleted.

`gone` counts whole reconciles in a row that did not find the source.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from enum import StrEnum

from hotfolder.index import folders, sources
from hotfolder.index.readers import Reader
from hotfolder.index.sources import Row
from hotfolder.model import State
from hotfolder.paths import split

CONFIRMED = 2
"""So many reconciles in a row without it, or an event: then a deletion is certain."""

_GONE = f"""
    SELECT {sources.SELECTED} FROM source WHERE watch_id = ? AND gone >= ? AND id > ? ORDER BY id LIMIT ?"""
_UNCERTAIN = "SELECT count(*) FROM source WHERE watch_id = ? AND gone > 0 AND gone < ?"
# Behind whatever else is due: what was renamed is found before its former name goes.
_DELETED = f"UPDATE source SET gone = max(gone, {CONFIRMED}), state = 0, young = 1, retry_at = ? WHERE "
_MISSED = "UPDATE source SET state = ?, made = '', gone = max(gone, 1) WHERE id = ?"
_UNSEEN = """
    UPDATE source SET gone = 0, made = CASE state WHEN 0 THEN '' ELSE made END, state = max(state, 1) WHERE id = ?"""


class Mark(StrEnum):
    """What a walk that did not find a source makes of its mark, in SQL."""

    ONCE_MORE = "gone + 1"
    HINTED = "max(gone, 1)"
    """It was looked for since it had just been missed: no second opinion."""
    CERTAIN = f"max(gone, {CONFIRMED})"
    """Events had reported that something was deleted there."""


# -- reading -----------------------------------------------------------------------------------------------------------


def gone(connection: Reader, watch_id: int, after: int, limit: int, times: int = 1) -> list[Row]:
    """What at least `times` reconciles in a row did not find, by id from behind `after`."""
    rows = connection.execute(_GONE, (watch_id, times, after, limit)).fetchall()
    return [sources.row_of(columns) for columns in rows]


def uncertain(connection: Reader, watch_id: int) -> int:
    """How many sources are missing and not yet certain to be gone."""
    return int(connection.execute(_UNCERTAIN, (watch_id, CONFIRMED)).fetchone()[0])


# -- changing ----------------------------------------------------------------------------------------------------------


def mark_gone(connection: sqlite3.Connection, source_ids: Iterable[int], mark: Mark = Mark.ONCE_MORE) -> None:
    """A whole reconcile did not find these sources."""
    connection.executemany(f"UPDATE source SET gone = {mark} WHERE id = ?", [(each,) for each in source_ids])


def unmark_gone(connection: sqlite3.Connection, source_id: int) -> None:
    """It was found after all."""
    connection.execute("UPDATE source SET gone = 0 WHERE id = ?", (source_id,))


def delete(connection: sqlite3.Connection, source_ids: Iterable[int], now: float) -> None:
    """An event reported that these sources were deleted: each waits for a last look, and no guard."""
    connection.executemany(f"{_DELETED} id = ?", [(now, each) for each in source_ids])


def delete_at(connection: sqlite3.Connection, watch_id: int, paths: Iterable[bytes], now: float) -> None:
    """The same, by paths."""
    for path in paths:
        folder, name = split(path)
        folder_id = folders.find(connection, watch_id, folder)
        connection.execute(f"{_DELETED} folder_id = ? AND name = ?", (now, folder_id, name))


def missed(connection: sqlite3.Connection, source_id: int) -> None:
    """Not found, and nobody reported that it was deleted: it waits no longer, and the next reconcile looks for it."""
    connection.execute(_MISSED, (State.DONE, source_id))


def unseen(connection: sqlite3.Connection, source_id: int) -> None:
    """It cannot be seen now, which proves nothing: it waits no longer, without a mark against it; walks look again."""
    connection.execute(_UNSEEN, (source_id,))
