"""Table `watch`: what each watch was last called, and where its root and its output lay.

A root that has moved is marked until some of the known images have been seen there: until then nothing of it counts as
deleted, since the place may simply be another one.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from hotfolder.index import meta, outbox, renditions
from hotfolder.index.readers import Reader
from hotfolder.index.rows import Columns

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


_COLUMNS = Columns(Known)


# -- reading -----------------------------------------------------------------------------------------------------------


def known(connection: Reader) -> list[Known]:
    return _COLUMNS.rows(connection.execute(f"SELECT {_COLUMNS.sql} FROM watch ORDER BY id").fetchall())


def id_of(connection: Reader, name: str) -> int | None:
    """The id of the watch with this name, or None."""
    row = connection.execute("SELECT id FROM watch WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def mount(connection: Reader, watch_id: int) -> str | None:
    """The identity of the mount that its root was last seen on, or what follows MOVED; None where nobody looked yet."""
    row = connection.execute("SELECT mount FROM watch WHERE id = ?", (watch_id,)).fetchone()
    return None if row is None else row[0]


def has_moved(connection: Reader, watch_id: int) -> bool:
    """Whether its root lies where none of its images has been seen yet."""
    return (mount(connection, watch_id) or "").startswith(MOVED)


def notes(connection: Reader) -> Iterator[tuple[Known, float]]:
    """What watches were before, and until when (seconds since 1970)."""
    for id_, value in meta.starting(connection, _NOTE).items():
        name, root, output, at = json.loads(value)
        yield Known(id=int(id_), name=name, root=root, output=output), at


# -- changing ----------------------------------------------------------------------------------------------------------


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
        renditions.miss_all(connection, watch_id)
    return int(watch_id)


def put_mount(connection: sqlite3.Connection, watch_id: int, identity: str) -> None:
    """Its root lies on this mount from now on."""
    connection.execute("UPDATE watch SET mount = ? WHERE id = ?", (identity, watch_id))


def confirm(connection: sqlite3.Connection, watch_id: int) -> None:
    """The new place is the right one, whatever lies there."""
    connection.execute("UPDATE watch SET mount = NULL WHERE id = ? AND mount LIKE ?", (watch_id, f"{MOVED}%"))


def reconciled(connection: sqlite3.Connection, watch_id: int, now: float) -> None:
    """A whole reconcile has ended."""
    connection.execute("UPDATE watch SET reconciled_at = ? WHERE id = ?", (now, watch_id))


def rename(connection: sqlite3.Connection, names: Mapping[int, str], taken: Collection[str]) -> None:
    """Rename these rows in one go, so that two may exchange their names. Another row with a name that is taken is set
    aside: it gets one that no configuration can have."""
    former = {each.id: each.name for each in known(connection)}
    aside = {id_: f"{name}~{id_}" for id_, name in former.items() if name in taken and id_ not in names}
    goals = aside | {id_: name for id_, name in names.items() if former[id_] != name}
    for id_ in goals:
        _call(connection, id_, former[id_], f"~{id_}")
    for id_, name in goals.items():
        _call(connection, id_, f"~{id_}", name)
    meta.rename_paused(connection, {former[id_]: name for id_, name in goals.items()})


def _call(connection: sqlite3.Connection, watch_id: int, former: str, name: str) -> None:
    connection.execute("UPDATE watch SET name = ? WHERE id = ?", (name, watch_id))
    outbox.rename_watch(connection, former, name)


def note(connection: sqlite3.Connection, former: Known) -> None:
    """Remember what a watch was until now, for `doctor`."""
    value = json.dumps([former.name, former.root, former.output, time.time()])
    meta.put(connection, {f"{_NOTE}{former.id}": value})


def forget(connection: sqlite3.Connection, watch_id: int) -> None:
    """Forget a watch with all that is known of its sources."""
    for table in ("source", "folder", "tally"):
        connection.execute(f"DELETE FROM {table} WHERE watch_id = ?", (watch_id,))
    connection.execute("DELETE FROM watch WHERE id = ?", (watch_id,))
