"""Is it still the same file system that lies under a root? Known by mounts.volume, kept in the index.

What lies below it, and whether the root folder is the one that it was, is for pipeline/judge.py: source by source.
"""

from __future__ import annotations

import os

from hotfolder import faults, mounts
from hotfolder.errors import Owner
from hotfolder.faults import Operation
from hotfolder.index import folders, sources, watches
from hotfolder.index.database import Database
from hotfolder.index.sources import Row
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
        known = watches.mount(self._index.read(), self._site.id)
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
            self._index.write(lambda c: watches.put_mount(c, self._site.id, identity)).result()
        return known is None

    def _recognises(self, root_fd: int) -> bool:
        rows = sources.oldest(self._index.read(), self._site.id, LOOKED_FOR)
        return not rows or any(_found(self._index, root_fd, row) is not None for row in rows)


def lies_there(index: Database, watch_id: int, root_fd: int, newest: int | None = None) -> bool:
    """Whether at least half of the first sources that were known (up to the id `newest`) are at this root as they were.

    A name alone proves nothing: every camera has an IMG_0001.JPG.
    """
    rows = sources.oldest_made(index.read(), watch_id, LOOKED_FOR, 2**63 - 1 if newest is None else newest)
    there = 0
    for row in rows:
        found = _found(index, root_fd, row)
        there += found is not None and (found.st_size, found.st_mtime_ns) == (row.version.size, row.version.mtime_ns)
    return there > 0 and 2 * there >= len(rows)


def _found(index: Database, root_fd: int, row: Row) -> os.stat_result | None:
    """What lies at the path of a known source; None where nothing can be seen there."""
    folder = folders.path_of(index.read(), row.folder_id)
    try:
        return atomic.lstat_beneath(root_fd, folder + b"/" + row.name if folder else row.name)
    except OSError as error:
        _raise_shortage(error)
        return None


def _raise_shortage(error: OSError) -> None:
    """Where the machine is short of something nothing is known of what lies there."""
    if faults.owner(error.errno, Operation.REACH) is Owner.MACHINE:
        raise error
