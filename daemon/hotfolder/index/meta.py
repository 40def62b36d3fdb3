"""Table `meta`: short notes by key, which outlive the process."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping

from hotfolder.index.readers import Reader

_PUT = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_PAUSED = "paused"


def get(connection: Reader, key: str) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def starting(connection: Reader, prefix: str) -> dict[str, str]:
    """The notes whose keys begin so, by what follows in the key."""
    rows = connection.execute("SELECT key, value FROM meta WHERE key LIKE ?", (f"{prefix}%",)).fetchall()
    return {key.removeprefix(prefix): value for key, value in rows}


def put(connection: sqlite3.Connection, values: Mapping[str, str | int]) -> None:
    connection.executemany(_PUT, [(key, str(value)) for key, value in values.items()])


def replace(connection: sqlite3.Connection, key: str, value: str) -> bool:
    """Note the value; returns whether another one was noted before."""
    former = get(connection, key)
    connection.execute(_PUT, (key, value))
    return former is not None and former != value


# -- what `hotfolder pause` holds: pairs of a lane and the name of a watch, or None for all ----------------------------


def paused(connection: Reader) -> list[tuple[str, str | None]]:
    text = get(connection, _PAUSED)
    return [(lane, watch) for lane, watch in json.loads(text)] if text is not None else []


def put_paused(connection: sqlite3.Connection, held: Iterable[tuple[str, str | None]]) -> None:
    connection.execute(_PUT, (_PAUSED, json.dumps([[lane, watch] for lane, watch in held])))


def rename_paused(connection: sqlite3.Connection, names: Mapping[str, str]) -> None:
    """Watches have other names now (former → new)."""
    if held := paused(connection):
        put_paused(connection, [(lane, names.get(watch, watch) if watch else None) for lane, watch in held])
