"""Table `folder`: from paths to ids and back, and the move of a whole folder as one row."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from hotfolder import paths
from hotfolder.index.numbers import number, stored
from hotfolder.index.readers import Reader
from hotfolder.index.rows import Columns
from hotfolder.store.names import fold

_MOVING = "moving:"
_CHILD = "SELECT id FROM folder WHERE watch_id = ? AND parent_id = ? AND name = ?"
_INSERT = "INSERT INTO folder (watch_id, parent_id, name, place) VALUES (?, ?, ?, ?)"
_PARENT = "SELECT parent_id, name FROM folder WHERE id = ?"
_PLACE = "SELECT CASE place WHEN 0 THEN id ELSE place END FROM folder WHERE id = ?"
_PLACE_SIBLINGS = """
    SELECT CASE f.place WHEN 0 THEN f.id ELSE f.place END, f.name FROM folder f JOIN folder p ON p.id = f.parent_id
    WHERE f.watch_id = ? AND CASE p.place WHEN 0 THEN p.id ELSE p.place END = ?"""
_SUBTREE = """
    WITH RECURSIVE below(id) AS (
        SELECT ? UNION ALL SELECT f.id FROM folder f JOIN below ON f.parent_id = below.id)
    SELECT id FROM below"""
_IS_EMPTY = """
    SELECT NOT EXISTS (SELECT 1 FROM source WHERE folder_id = :id)
       AND NOT EXISTS (SELECT 1 FROM folder WHERE parent_id = :id)"""


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder that the index knows."""

    id: int
    name: bytes


_COLUMNS = Columns(Folder)
_CHILDREN = f"SELECT {_COLUMNS.sql} FROM folder WHERE watch_id = ? AND parent_id = ? AND id <> parent_id"


def find(connection: Reader, watch_id: int, path: bytes) -> int | None:
    """The id of the folder at `path`, or None."""
    row = connection.execute(_CHILD, (watch_id, 0, b"")).fetchone()
    for name in path.split(b"/") if path else ():
        if row is None:
            return None
        row = connection.execute(_CHILD, (watch_id, row[0], name)).fetchone()
    return None if row is None else int(row[0])


def ensure(connection: sqlite3.Connection, watch_id: int, path: bytes, *, folds: bool) -> int:
    """The id of the folder at `path`, made with its parents where it is new. `folds`: the output ignores case."""
    parent = 0
    for name in (b"", *path.split(b"/")) if path else (b"",):
        row = connection.execute(_CHILD, (watch_id, parent, name)).fetchone()
        if row is not None:
            parent = row[0]
            continue
        place = _shared_place(connection, watch_id, parent, name) if folds and parent else 0
        parent = connection.execute(_INSERT, (watch_id, parent, name, place)).lastrowid or 0
    return parent


def _shared_place(connection: sqlite3.Connection, watch_id: int, parent: int, name: bytes) -> int:
    """`Photos` and `photos` have one output folder where case is ignored: the first of them owns it."""
    (above,) = connection.execute(_PLACE, (parent,)).fetchone()
    for place, sibling in connection.execute(_PLACE_SIBLINGS, (watch_id, above)).fetchall():
        if fold(sibling) == fold(name):
            return int(place)
    return 0


def place(connection: Reader, folder_id: int) -> int:
    """The id under which renditions of this folder are kept apart from others."""
    return int(connection.execute(_PLACE, (folder_id,)).fetchone()[0])


def place_at(connection: Reader, watch_id: int, path: bytes, *, folds: bool) -> int | None:
    """The place of the folder at `path`, or the one that it would share; None where it would have one of its own."""
    if not folds:
        folder_id = find(connection, watch_id, path)
        return None if folder_id is None else place(connection, folder_id)
    row = connection.execute(_CHILD, (watch_id, 0, b"")).fetchone()
    if row is None:
        return None
    here = place(connection, row[0])
    for name in path.split(b"/") if path else ():
        siblings = connection.execute(_PLACE_SIBLINGS, (watch_id, here)).fetchall()
        alike = [shared for shared, sibling in siblings if fold(sibling) == fold(name)]
        if not alike:
            return None
        here = int(alike[0])
    return here


def children(connection: Reader, watch_id: int, folder_id: int) -> list[Folder]:
    return _COLUMNS.rows(connection.execute(_CHILDREN, (watch_id, folder_id)).fetchall())


def path_of(connection: Reader, folder_id: int) -> bytes:
    """The path of a folder relative to its root; ``b""`` for the root itself."""
    names: list[bytes] = []
    row = connection.execute(_PARENT, (folder_id,)).fetchone()
    while row is not None and row[0] != 0:
        names.append(row[1])
        row = connection.execute(_PARENT, (row[0],)).fetchone()
    return b"/".join(reversed(names))


def with_inode(connection: Reader, watch_id: int, inode: int) -> list[int]:
    """Folders that had this inode when last seen: where a new folder may have come from."""
    query = "SELECT id FROM folder WHERE watch_id = ? AND inode = ?"
    return [row[0] for row in connection.execute(query, (watch_id, stored(inode))).fetchall()]


def describe(connection: sqlite3.Connection, folder_id: int, inode: int) -> None:
    connection.execute("UPDATE folder SET inode = ? WHERE id = ?", (stored(inode), folder_id))


def inode(connection: Reader, folder_id: int) -> int:
    return number(connection.execute("SELECT inode FROM folder WHERE id = ?", (folder_id,)).fetchone()[0])


def subtree(connection: Reader, folder_id: int) -> list[int]:
    return [row[0] for row in connection.execute(_SUBTREE, (folder_id,)).fetchall()]


def move(connection: sqlite3.Connection, watch_id: int, old: bytes, new: bytes) -> bool:
    """Hang the folder at `old` to `new`: one row, whatever lies below. False where that is not enough."""
    folder_id = find(connection, watch_id, old)
    if folder_id is None or find(connection, watch_id, new) is not None:
        return False
    head, name = paths.split(new)
    parent = ensure(connection, watch_id, head, folds=False)
    former = connection.execute(_PARENT, (folder_id,)).fetchone()[0]
    connection.execute("UPDATE folder SET parent_id = ?, name = ? WHERE id = ?", (parent, name, folder_id))
    remove_empty(connection, former)
    return True


def note_move(connection: sqlite3.Connection, watch_id: int, old: bytes, new: bytes) -> None:
    """The files of this folder are being renamed, and its row is not yet: a crash leaves the note."""
    value = json.dumps([old.hex(), new.hex()])
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (f"{_MOVING}{watch_id}", value))


def noted_move(connection: Reader, watch_id: int) -> tuple[bytes, bytes] | None:
    """The old and the new path of a move that did not come to its end."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (f"{_MOVING}{watch_id}",)).fetchone()
    if row is None:
        return None
    old, new = json.loads(row[0])
    return bytes.fromhex(old), bytes.fromhex(new)


def forget_move(connection: sqlite3.Connection, watch_id: int) -> None:
    connection.execute("DELETE FROM meta WHERE key = ?", (f"{_MOVING}{watch_id}",))


def forget(connection: sqlite3.Connection, folder_id: int) -> None:
    """Remove a folder and all below it, in none of which a source is."""
    for each in reversed(subtree(connection, folder_id)):
        connection.execute("DELETE FROM folder WHERE id = ?", (each,))


def remove_empty(connection: sqlite3.Connection, folder_id: int) -> None:
    """Forget a folder that holds nothing any more, and its parents likewise; never the root."""
    while True:
        row = connection.execute(_PARENT, (folder_id,)).fetchone()
        if row is None or row[0] == 0 or not connection.execute(_IS_EMPTY, {"id": folder_id}).fetchone()[0]:
            return
        connection.execute("DELETE FROM folder WHERE id = ?", (folder_id,))
        folder_id = row[0]
