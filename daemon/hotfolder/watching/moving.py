"""The move of a whole folder: its output renamed, its row hung elsewhere, and nothing read or decoded."""

from __future__ import annotations

import sqlite3

from hotfolder import logs
from hotfolder.errors import SourceError
from hotfolder.keeping import atomic, folders, renditions
from hotfolder.keeping.database import Database
from hotfolder.working import announcing, following, making
from hotfolder.working.site import Site

GATE_SECONDS = 10.0
"""How long a move waits for the jobs of its watch that are in work; after that its images move one by one."""

log = logs.get("watching")


def move_folder(index: Database, site: Site, root_fd: int, old: bytes, new: bytes) -> bool:
    """Bring rows and renditions of the folder that was `old` to `new`.

    False where that cannot be done at once: then its images are found at their new place one by one, by their bytes.
    """
    if site.folds or not atomic.is_gone(root_fd, old):
        return False
    connection = index.read()
    if folders.find(connection, site.id, old) is None or folders.find(connection, site.id, new) is not None:
        return False

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
        except SourceError as error:  # its images follow one by one, as soon as they can
            log.warning("folder_not_moved", watch=site.name, path=new, reason=error.message)
            return False
    if moved:
        log.info("folder_moved", watch=site.name, path=new, was=old)
    return moved
