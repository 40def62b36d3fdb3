"""The one judge of whether a source is gone: whoever wants to remove renditions because their source went queries it.

Events, walks and marks only make it look. It looks beneath a freshly opened root; and what is missing there is gone
only while the place where it is missing lies on the volume on which the source was when its row was written: the same
file system, below the same root folder. Everything else is not known, and nothing is removed for it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from enum import StrEnum

from hotfolder import mounts
from hotfolder.index.sources import ANY, Row
from hotfolder.store import atomic

_NO_FOLDER = frozenset({errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class Verdict(StrEnum):
    """GONE: for certain. THERE: it stands at its path. UNKNOWN: it cannot be seen from here and now."""

    GONE = "gone"
    THERE = "there"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at one path has seen. `volume`: of the folder in which the path ends, or ends too early."""

    verdict: Verdict
    volume: str = ""


_UNSEEN = Look(Verdict.UNKNOWN)


def volume(root_fd: int, fd: int) -> str:
    """A short text for the file system of an open file and the root folder above it. Raises OSError."""
    root = os.fstat(root_fd)
    top = f"{mounts.instance(root_fd)} {root.st_ino} {mounts.born(root_fd)}"
    return f"{_short(mounts.instance(fd))}.{_short(top)}"


def volume_of_folder(root: str, folder: bytes) -> str:
    """The same, by path. Raises OSError."""
    root_fd = atomic.open_root(root)
    try:
        fd = atomic.open_folder(root_fd, folder)
        try:
            return volume(root_fd, fd)
        finally:
            os.close(fd)
    finally:
        os.close(root_fd)


def same_root(one: str, other: str) -> bool:
    """Whether two volumes are below the same root folder."""
    return one.partition(".")[2] == other.partition(".")[2]


def belongs(lies_on: str, now: str) -> bool:
    """Whether the volume that is there now may say that a source is gone that lies on this one by its row."""
    return lies_on in (ANY, now)


def _short(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()[:12]


def source(root: str, path: bytes, row: Row) -> Verdict:
    """Whether the source of this row is gone."""
    look = look_at(root, path)
    if look.verdict is Verdict.GONE and not belongs(row.lies_on, look.volume):
        return Verdict.UNKNOWN
    return look.verdict


def look_at(root: str, path: bytes, *, folder: bool = False) -> Look:
    """What stands at the path: a regular file (or, with `folder`, a folder) is THERE, any other kind is GONE."""
    try:
        root_fd = atomic.open_root(root)
    except OSError:
        return _UNSEEN  # nor does a root that is missing say anything of what was below it
    try:
        return _descend(root_fd, path, folder)
    except OSError:
        return _UNSEEN
    finally:
        os.close(root_fd)


def _descend(root_fd: int, path: bytes, folder: bool) -> Look:
    if not path:
        return Look(Verdict.THERE)
    names = path.split(b"/")
    fd = os.dup(root_fd)
    try:
        for name in names[:-1]:
            try:
                below = atomic.open_folder(fd, name)
            except OSError as error:
                if error.errno not in _NO_FOLDER:
                    raise
                return _missing(root_fd, fd, name, folder=True)
            os.close(fd)
            fd = below
        return _missing(root_fd, fd, names[-1], folder=folder)
    finally:
        os.close(fd)


def _missing(root_fd: int, fd: int, name: bytes, *, folder: bool) -> Look:
    """Look for one name in an open folder, which has to answer when it is listed."""
    try:
        mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
            raise
        _list(fd)
    else:
        if stat.S_ISDIR(mode) if folder else stat.S_ISREG(mode):
            return Look(Verdict.THERE)
    return Look(Verdict.GONE, volume(root_fd, fd))


def _list(fd: int) -> None:
    """Some file systems that have died still say that names are missing. Raises OSError where no list can be had."""
    with os.scandir(fd) as entries:
        next(entries, None)
