"""Is it still the same file system that lies under a root? Known by mounts.volume, kept in the index.

What lies below it, and whether the root folder is the one that it was, is for pipeline/judge.py: source by source.
"""

from __future__ import annotations

from hotfolder import faults, mounts
from hotfolder.errors import Owner
from hotfolder.faults import Operation
from hotfolder.index import folders, watches
from hotfolder.index.database import Database
from hotfolder.index.numbers import number
from hotfolder.store import atomic
from hotfolder.watches.site import Site

LOOKED_FOR = 200
"""So many known sources are looked for on another file system before it counts as not being the library."""


class RootAway(Exception):
    """The root cannot be opened, or is not the one that was there before."""


class Grounds:
    """What one root is known to lie on."""

    def __init__(self, index: Database, site: Site) -> None:
        self._index = index
        self._site = site

    def same_root(self, root_fd: int, *, remember: bool, accept: bool = False) -> bool:
        """Whether the root is what it was. Another file system becomes the known one where a source is found on it,
        or with `accept`. Raises RootAway where none of the known sources is.
        """
        identity = mounts.volume(root_fd)
        query = "SELECT mount FROM watch WHERE id = ?"
        row = self._index.read().execute(query, (self._site.id,)).fetchone()
        known = row[0] if row else None  # a dry run may be of a watch that the index does not know yet
        if known == identity:
            return True
        if known is not None and known.startswith(watches.MOVED):
            newest = int(known.removeprefix(watches.MOVED))
            if not accept and not lies_there(self._index, self._site.id, root_fd, newest):
                return False
            known = None
        if known is not None and not accept and not self._recognises(root_fd):
            message = "another file system is mounted there, without any of the known images"
            message += "; if that is right: `hotfolder scan --confirm-deletes`"
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
            except OSError as error:
                _raise_shortage(error)
                continue
            return True
        return not rows


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
        except OSError as error:
            _raise_shortage(error)
            continue
        there += (found.st_size, found.st_mtime_ns) == (size, number(mtime_ns))
    return there > 0 and 2 * there >= len(rows)


def _raise_shortage(error: OSError) -> None:
    """Where the machine is short of something nothing is known of what lies there."""
    if faults.owner(error.errno, Operation.REACH) is Owner.MACHINE:
        raise error
