"""Table `failure`: why a source is in quarantine. There is a row as long as the source's state is FAILED."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from hotfolder.errors import Reason
from hotfolder.index.readers import Reader
from hotfolder.index.rows import Columns

_PUT = """
    INSERT INTO failure (source_id, reason, message, decoder, tries, first_at, last_at) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET reason = excluded.reason, message = excluded.message, decoder = excluded.decoder,
        tries = excluded.tries, last_at = excluded.last_at"""


@dataclass(frozen=True, slots=True)
class Failure:
    """`decoder`: the one that gave up, with its version. Times in seconds since 1970."""

    reason: str
    message: str
    decoder: str
    tries: int
    first_at: float
    last_at: float


COLUMNS = Columns(Failure, table="f")
"""Of a query in which the table is called f."""
_OF = f"SELECT {COLUMNS.sql} FROM failure f WHERE f.source_id = ?"


def of(connection: Reader, source_id: int) -> Failure:
    """Why a source whose state is FAILED is in quarantine."""
    return COLUMNS.row(connection.execute(_OF, (source_id,)).fetchone())


def with_reasons(connection: Reader, reasons: Collection[Reason]) -> list[int]:
    """The sources that were refused for one of these reasons."""
    marks = ", ".join("?" * len(reasons))
    return _ids(connection, f"reason IN ({marks})", *reasons)


def of_former_decoders(connection: Reader, name: str, current: Collection[str]) -> list[int]:
    """The sources that a decoder of this name has refused in another version than the `current` ones."""
    marks = ", ".join("?" * len(current))
    return _ids(connection, f"decoder LIKE ? AND decoder NOT IN ({marks})", f"{name} %", *current)


def of_strict_decoders(connection: Reader, reasons: Collection[Reason], lenient: str) -> list[int]:
    """The sources that were refused for one of these reasons by a decoder whose name does not end in `lenient`."""
    marks = ", ".join("?" * len(reasons))
    return _ids(connection, f"reason IN ({marks}) AND decoder NOT LIKE ?", *reasons, f"%{lenient}")


def _ids(connection: Reader, condition: str, *values: str) -> list[int]:
    rows = connection.execute(f"SELECT source_id FROM failure WHERE {condition}", values).fetchall()
    return [source_id for (source_id,) in rows]


def put(
    connection: sqlite3.Connection, source_id: int, reason: Reason, message: str, decoder: str, tries: int, now: float
) -> None:
    """A new failure; of one that is known, `first_at` stays."""
    connection.execute(_PUT, (source_id, str(reason), message, decoder, tries, now, now))


def forget(connection: sqlite3.Connection, source_id: int) -> None:
    connection.execute("DELETE FROM failure WHERE source_id = ?", (source_id,))
