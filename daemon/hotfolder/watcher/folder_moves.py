"""The move of a whole folder: its output renamed, its row hung elsewhere, and nothing read or decoded.

Three steps: the new path is claimed in the index, the files are renamed, and the rows follow. A note in the index
stands from the first to the last: what a crash cuts in between is undone before anything else is done for the watch.
"""

from __future__ import annotations

import sqlite3

from hotfolder.errors import SourceError
from hotfolder.hooks import facts
from hotfolder.index import areas, folders, sources
from hotfolder.index.database import Database
from hotfolder.pipeline import files, judge, output
from hotfolder.pipeline.judge import Look, Verdict
from hotfolder.telemetry import logs
from hotfolder.watches.site import Site

GATE_SECONDS = 10.0
"""How long a move waits for the jobs of its watch that are in work; after that its images move one by one."""

log = logs.get("watching")


def move_folder(index: Database, site: Site, old: bytes, new: bytes, volume: str) -> bool:
    """Bring rows and renditions of the folder that was `old` to `new`, which lies on `volume`.

    False where that cannot be done at once: then its images are found at their new place one by one, by their bytes.
    """
    if site.folds or site.index_lost.is_set():
        return False
    if judge.look_at(site.root, old, folder=True) != Look(Verdict.GONE, volume):
        return False
    connection = index.read()
    folder_id = folders.find(connection, site.id, old)
    if folder_id is None or folders.find(connection, site.id, new) is not None:
        return False
    if any(lies_on not in (None, "", volume) for _, lies_on in sources.below(connection, folder_id)):
        return False  # a folder of another disk, which has only the same inode, or one with a mount in it

    with site.gate.closed(GATE_SECONDS) as empty:
        if not empty or not index.write(lambda c: _claim(c, site, old, new)).result():
            return False
        moved = _move_files(index, site, old, new)
        try:
            moved = index.write(lambda c: _settle(c, site, old, new, moved=moved)).result()
        except BaseException:
            undo(index, site)
            raise
    if moved:
        log.info("folder_moved", watch=site.name, path=new, was=old)
    return moved


def _claim(connection: sqlite3.Connection, site: Site, old: bytes, new: bytes) -> bool:
    """The new path gets a row: who comes from here on finds it taken, and only notes what waits below it."""
    if folders.find(connection, site.id, old) is None or folders.find(connection, site.id, new) is not None:
        return False
    folders.ensure(connection, site.id, new, folds=site.folds)
    folders.note_move(connection, site.id, old, new)
    return True


def undo(index: Database, site: Site) -> None:
    """Bring files of a move that was cut back to where the rows say. Raises SourceError where the output is away."""
    if (noted := folders.noted_move(index.read(), site.id)) is None:
        return
    old, new = noted
    with output.opened(site) as output_fd:
        back = files.rename_folder(site, output_fd, new, old, areas.paths(index.read()))
    index.write(lambda c: _settle(c, site, old, new, moved=False)).result()
    log.info("folder_move_undone", watch=site.name, path=old, was=new, complete=back)


def _move_files(index: Database, site: Site, old: bytes, new: bytes) -> bool:
    """On the caller's thread: an output that hangs must not hold the index."""
    try:
        with output.opened(site) as output_fd:
            return files.rename_folder(site, output_fd, old, new, areas.paths(index.read()))
    except SourceError as error:  # its images follow one by one, as soon as they can
        log.warning("folder_not_moved", watch=site.name, path=new, reason=error.message)
        return False


def _settle(connection: sqlite3.Connection, site: Site, old: bytes, new: bytes, *, moved: bool) -> bool:
    """Hang the old row to the new path in place of the claim. What a walk has noted there meanwhile only waits, since
    the gate is closed: it is forgotten, and found again by the walk of the new path that follows."""
    folders.forget_move(connection, site.id)
    claim = folders.find(connection, site.id, new)
    if not moved:
        if claim is not None:
            folders.remove_empty(connection, claim)
        return False
    if claim is not None:
        for source_id, _ in sources.below(connection, claim):
            sources.remove(connection, source_id, keep_folder=True)
        folders.forget(connection, claim)
    facts.folder_moved(connection, site, old, new)
    return folders.move(connection, site.id, old, new)
