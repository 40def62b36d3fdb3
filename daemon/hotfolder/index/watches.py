"""The watches that the index knows: what each was last called, and where its root and its output lay.

A root that has moved is marked until some of the known images have been seen there: until then nothing of it counts as
deleted, since the place may simply be another one.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from hotfolder.index.readers import Reader

MOVED = "moved:"
"""Begins `watch.mount` of a root that has moved; the id of the newest source that was known before follows."""
_NOTE = "recognised:"


@dataclass(frozen=True, slots=True)
class Known:
    """One row."""

    id: int
    name: str
    root: str
    output: str


def known(connection: Reader) -> list[Known]:
    return [
        Known(*row) for row in connection.execute("SELECT id, name, root, output FROM watch ORDER BY id").fetchall()
    ]


def settle(connection: sqlite3.Connection, name: str, root: str, output: str) -> int:
    """The watch's row, made where there is none. At another output each rendition has to be looked for."""
    row = connection.execute("SELECT id, root, output FROM watch WHERE name = ?", (name,)).fetchone()
    if row is None:
        query = "INSERT INTO watch (name, root, output) VALUES (?, ?, ?)"
        return int(connection.execute(query, (name, root, output)).lastrowid or 0)
    watch_id, former_root, former_output = row
    if former_root != root:
        newest = "SELECT ? || max(id) FROM source WHERE watch_id = ?"  # NULL where nothing is known
        query = f"UPDATE watch SET root = ?, mount = ({newest}) WHERE id = ?"
        connection.execute(query, (root, MOVED, watch_id, watch_id))
    if former_output != output:
        connection.execute("UPDATE watch SET output = ? WHERE id = ?", (output, watch_id))
        below = "SELECT id FROM source WHERE watch_id = ?"
        connection.execute(f"UPDATE rendition SET present = 0 WHERE source_id IN ({below})", (watch_id,))
        connection.execute("UPDATE source SET made = '' WHERE watch_id = ?", (watch_id,))
    return int(watch_id)


def has_moved(connection: Reader, watch_id: int) -> bool:
    """Whether its root lies where none of its images has been seen yet."""
    query = "SELECT mount LIKE ? FROM watch WHERE id = ?"
    row = connection.execute(query, (f"{MOVED}%", watch_id)).fetchone()
    return row is not None and bool(row[0])


def confirm(connection: sqlite3.Connection, watch_id: int) -> None:
    """The new place is the right one, whatever lies there."""
    connection.execute(
        "UPDATE watch SET mount = NULL WHERE id = ? AND mount LIKE ?", (watch_id, f"{MOVED}%")
    )  # fmt: skip


def rename(connection: sqlite3.Connection, names: Mapping[int, str], taken: Collection[str]) -> None:
    """Give these rows their names, in one go, so that two may change theirs for each other's. Another row with a name
    that is taken is set aside: it gets one that no configuration can have."""
    former = {each.id: each.name for each in known(connection)}
    aside = {id_: f"{name}~{id_}" for id_, name in former.items() if name in taken and id_ not in names}
    goals = aside | {id_: name for id_, name in names.items() if former[id_] != name}
    for id_ in goals:
        _call(connection, id_, former[id_], f"~{id_}")
    for id_, name in goals.items():
        _call(connection, id_, f"~{id_}", name)
    _rename_holds(connection, {former[id_]: name for id_, name in goals.items()})


def _call(connection: sqlite3.Connection, watch_id: int, former: str, name: str) -> None:
    connection.execute("UPDATE watch SET name = ? WHERE id = ?", (name, watch_id))
    for table in ("outbox", "batch"):
        connection.execute(f"UPDATE {table} SET watch = ? WHERE watch = ?", (name, former))


def _rename_holds(connection: sqlite3.Connection, names: Mapping[str, str]) -> None:
    """What `hotfolder pause` holds by name."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'paused'").fetchone()
    if row is not None:
        held = [[lane, names.get(watch, watch)] for lane, watch in json.loads(row[0])]
        connection.execute("UPDATE meta SET value = ? WHERE key = 'paused'", (json.dumps(held),))


def note(connection: sqlite3.Connection, former: Known) -> None:
    """Remember what a watch was until now, for `doctor`."""
    value = json.dumps([former.name, former.root, former.output, time.time()])
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (f"{_NOTE}{former.id}", value))


def notes(connection: Reader) -> Iterable[tuple[Known, float]]:
    """What watches were before, and until when (seconds since 1970)."""
    query = "SELECT key, value FROM meta WHERE key LIKE ?"
    for key, value in connection.execute(query, (f"{_NOTE}%",)).fetchall():
        name, root, output, at = json.loads(value)
        yield Known(int(key.removeprefix(_NOTE)), name, root, output), at


def forget(connection: sqlite3.Connection, watch_id: int) -> None:
    """Forget a watch with all that is known of its sources."""
    for table in ("source", "folder", "tally"):
        connection.execute(f"DELETE FROM {table} WHERE watch_id = ?", (watch_id,))
    connection.execute("DELETE FROM watch WHERE id = ?", (watch_id,))
