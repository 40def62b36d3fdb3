"""Is it still the same file system that lies under a root, or a folder below it? Only then does missing mean gone.

Known by type, source, root and id of the mount (see mounts.identity), kept in the index; st_dev changes over reboots.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from hotfolder import mounts
from hotfolder.keeping import atomic, folders, watches
from hotfolder.keeping.database import Database
from hotfolder.working.site import Site

LOOKED_FOR = 200
"""So many known sources are looked for on another file system before it counts as not being the library."""


class RootAway(Exception):
    """The root cannot be opened, or is not the one that was there before."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a folder lies on: its identity where something is mounted on it, and what the index knows of it."""

    identity: str | None
    known: str | None
    inode: int

    @property
    def same(self) -> bool:
        return self.known is None or self.known == self.identity

    @property
    def away(self) -> bool:
        """Something was mounted here, and is not now."""
        return self.known is not None and self.identity is None


class Grounds:
    """Reads the mounts once, for one reconcile."""

    def __init__(self, index: Database, site: Site) -> None:
        self._index = index
        self._site = site
        self._root = os.fsencode(os.path.realpath(site.root))
        self._mounts = mounts.read()

    def same_root(self, root_fd: int, *, remember: bool) -> bool:
        """Whether the root is what it was. Another file system becomes the known one where a source is found on it.

        Raises RootAway where none of the known sources is.
        """
        identity = mounts.identity(root_fd, self._root, self._mounts)
        query = "SELECT mount FROM watch WHERE id = ?"
        (known,) = self._index.read().execute(query, (self._site.id,)).fetchone()
        if known == identity:
            return True
        if known is not None and known.startswith(watches.MOVED):
            if not lies_there(self._index, self._site.id, root_fd, int(known.removeprefix(watches.MOVED))):
                return False
            known = None
        if known is not None and not self._recognises(root_fd):
            message = "another file system is mounted there, without any of the known images"
            raise RootAway(f"{self._site.root}: {message}")
        if remember:
            update = "UPDATE watch SET mount = ? WHERE id = ?"
            self._index.write(lambda c: c.execute(update, (identity, self._site.id))).result()
        return known is None

    def _recognises(self, root_fd: int) -> bool:
        query = "SELECT folder_id, name FROM source WHERE watch_id = ? ORDER BY id LIMIT ?"
        rows = self._index.read().execute(query, (self._site.id, LOOKED_FOR)).fetchall()
        for folder_id, name in rows:
            folder = folders.path_of(self._index.read(), folder_id)
            try:
                atomic.lstat_beneath(root_fd, folder + b"/" + name if folder else name)
            except OSError:
                continue
            return True
        return not rows

    def of_folder(self, fd: int, folder: bytes, folder_id: int) -> Ground:
        """What one folder lies on now, beside what is known of it."""
        query = "SELECT inode, mount FROM folder WHERE id = ?"
        inode, known = self._index.read().execute(query, (folder_id,)).fetchone()
        path = self._root + b"/" + folder
        mounted = bool(folder) and any(mount.point == path for mount in self._mounts)
        identity = mounts.identity(fd, path, self._mounts) if mounted else None
        return Ground(identity, known, inode)


def lies_there(index: Database, watch_id: int, root_fd: int, newest: int | None = None) -> bool:
    """Whether at least half of the first sources that were known (up to the id `newest`) are at this root as they were.

    A name alone proves nothing: every camera has an IMG_0001.JPG.
    """
    query = """
        SELECT folder_id, name, size, mtime_ns FROM source
        WHERE watch_id = ? AND id <= ? AND size >= 0 AND gone = 0 ORDER BY id LIMIT ?"""
    most = 2**63 - 1 if newest is None else newest
    rows = index.read().execute(query, (watch_id, most, LOOKED_FOR)).fetchall()
    there = 0
    for folder_id, name, size, mtime_ns in rows:
        folder = folders.path_of(index.read(), folder_id)
        try:
            found = atomic.lstat_beneath(root_fd, folder + b"/" + name if folder else name)
        except OSError:
            continue
        there += (found.st_size, found.st_mtime_ns) == (size, mtime_ns)
    return there > 0 and 2 * there >= len(rows)
