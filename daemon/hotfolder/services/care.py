"""The care of what was made: verify, collect, clear, and another try for the quarantine.

Removes only files that the index made and that still are as it made them; everything else is counted and left.
"""

from __future__ import annotations

import os
import sqlite3

from hotfolder.index import backlog, folders, renditions, sources
from hotfolder.index.database import Database
from hotfolder.index.renditions import Made
from hotfolder.model import State
from hotfolder.pipeline import files, output
from hotfolder.store import atomic
from hotfolder.store.outputs import Habits
from hotfolder.watches.site import Site

PAGE = 500
_IDS = "SELECT id, folder_id FROM source WHERE watch_id = ? AND id > ? ORDER BY id LIMIT ?"


def verify(index: Database, site: Site, *, note: bool = True) -> dict[str, int]:
    """Compare every rendition of a watch with its row: {checked, missing}. Missing ones are noted, and made again."""
    found = {"checked": 0, "missing": 0}
    after = 0
    with output.opened(site) as output_fd:
        while rows := index.read().execute(_IDS, (site.id, after, PAGE)).fetchall():
            after = rows[-1][0]
            for source_id, folder_id in rows:
                folder = folders.path_of(index.read(), folder_id)
                made = [each for each in renditions.of(index.read(), source_id) if each.note != "kept"]
                missing = [m.preset for m in made if not (m.present and files.is_as_made(output_fd, folder, m))]
                found["checked"] += len(made)
                found["missing"] += len(missing)
                if missing and note:
                    index.write(lambda c, i=source_id, m=missing: renditions.miss(c, i, m))  # type: ignore[misc]
    if note:
        index.flush()
    return found


def clear(index: Database, site: Site, preset: str | None = None) -> dict[str, int]:
    """Remove renditions of a watch, all or of one preset: {removed, bytes, left}."""
    found = {"removed": 0, "bytes": 0, "left": 0}
    after = 0
    with output.opened(site) as output_fd:
        while rows := index.read().execute(_IDS, (site.id, after, PAGE)).fetchall():
            after = rows[-1][0]
            for source_id, folder_id in rows:
                folder = folders.path_of(index.read(), folder_id)
                made = [
                    each
                    for each in renditions.of(index.read(), source_id)
                    if each.present and each.note != "kept" and preset in (None, each.preset)
                ]
                gone = files.remove(site, output_fd, folder, made)
                _count(found, made, gone)
                names = [each.preset for each in gone]
                if names:
                    index.write(lambda c, i=source_id, n=names: renditions.miss(c, i, n))  # type: ignore[misc]
    index.flush()
    return found


def _count(found: dict[str, int], made: list[Made], gone: tuple[Made, ...]) -> None:
    found["removed"] += len(gone)
    found["bytes"] += sum(each.bytes for each in gone)
    found["left"] += len(made) - len(gone)


def collect(index: Database, known: set[int]) -> dict[str, int]:
    """Forget watches that are no longer configured, with what was made for them: {removed, bytes, left, watches}."""
    found = {"removed": 0, "bytes": 0, "left": 0, "watches": 0}
    for watch_id, place in index.read().execute("SELECT id, output FROM watch").fetchall():
        if watch_id in known:
            continue
        _remove_all(index, watch_id, place, found)
        index.write(lambda c, w=watch_id: _forget_watch(c, w)).result()  # type: ignore[misc]
        found["watches"] += 1
    index.write(lambda c: c.execute("DELETE FROM plan WHERE id NOT IN (SELECT plan_id FROM rendition)")).result()
    return found


def _remove_all(index: Database, watch_id: int, place: str, found: dict[str, int]) -> None:
    try:
        output_fd = atomic.open_root(place)
    except OSError:
        return  # the output went with the watch
    after = 0
    site = Site("", watch_id, "", place, (), None, None, 0o644, 0o755, True, False, Habits())
    try:
        while rows := index.read().execute(_IDS, (watch_id, after, PAGE)).fetchall():
            after = rows[-1][0]
            for source_id, folder_id in rows:
                made = [each for each in renditions.of(index.read(), source_id) if each.note != "kept"]
                folder = folders.path_of(index.read(), folder_id)
                _count(found, made, files.remove(site, output_fd, folder, made))
    finally:
        os.close(output_fd)


def _forget_watch(connection: sqlite3.Connection, watch_id: int) -> None:
    for table in ("source", "folder", "tally"):
        connection.execute(f"DELETE FROM {table} WHERE watch_id = ?", (watch_id,))
    connection.execute("DELETE FROM watch WHERE id = ?", (watch_id,))


def retry_failures(connection: sqlite3.Connection, wanted: list[tuple[int, bytes]] | None) -> int:
    """Let quarantined sources wait again: all of them, or those at (watch id, path)."""
    if wanted is None:
        rows = connection.execute("SELECT id FROM source WHERE state = ?", (State.FAILED,)).fetchall()
        ids = [row[0] for row in rows]
    else:
        found = [sources.find(connection, watch_id, path) for watch_id, path in wanted]
        ids = [row.id for row in found if row is not None and row.state is State.FAILED]
    for source_id in ids:
        connection.execute("UPDATE source SET made = '', hash = NULL WHERE id = ?", (source_id,))
        backlog.retry(connection, source_id, 0.0, 0)
    return len(ids)
