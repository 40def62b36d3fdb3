"""The move of a whole folder: its output renamed, its row hung elsewhere, and nothing read or decoded."""

from __future__ import annotations

import sqlite3

from hotfolder import logs
from hotfolder.keeping import folders, renditions, sources
from hotfolder.keeping.database import Database
from hotfolder.working import announcing, following, judge, making
from hotfolder.working.judge import Look, Verdict
from hotfolder.working.site import Site

GATE_SECONDS = 10.0
"""How long a move waits for the jobs of its watch that are in work; after that its images move one by one."""

log = logs.get("watching")


def move_folder(index: Database, site: Site, old: bytes, new: bytes, volume: str) -> bool:
    """Bring rows and renditions of the folder that was `old` to `new`, which lies on `volume`.

    False where that cannot be done at once: then its images are found at their new place one by one, by their bytes.
    """
    if site.folds or judge.look_at(site.root, old, folder=True) != Look(Verdict.GONE, volume):
        return False
    connection = index.read()
    folder_id = folders.find(connection, site.id, old)
    if folder_id is None or folders.find(connection, site.id, new) is not None:
        return False
    if any(lies_on not in (None, "", volume) for _, lies_on in sources.below(connection, folder_id)):
        return False  # a folder of another disk, which has only the same inode, or one with a mount in it

    def move(connection: sqlite3.Connection) -> bool:
        """On the index's writer: nobody can give the new path a row between the look, the files and the commit."""
        if folders.find(connection, site.id, old) is None or folders.find(connection, site.id, new) is not None:
            return False
        with making.output_root(site) as output_fd:
            if not following.rename_folder(site, output_fd, old, new, renditions.areas(connection)):
                return False
            moved = folders.move(connection, site.id, old, new)
        if moved:
            announcing.folder_moved(connection, site, old, new)
        return moved

    with site.gate.closed(GATE_SECONDS) as empty:
        if not empty:
            return False
        try:
            moved = index.write(move).result()
        except OSError as error:
            log.warning("folder_not_moved", watch=site.name, path=new, error=error)
            return False
    if moved:
        log.info("folder_moved", watch=site.name, path=new, was=old)
    return moved
