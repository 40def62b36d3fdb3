"""Opening a source and judging whether it is whole: the evidence that settle asks for.

A source is read beneath its root without following a link, and only at one version from the first byte to the last.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from enum import Enum

import xxhash

from hotfolder.model import Job, Version
from hotfolder.store import atomic

CHUNK = 1 << 20


class Writers(Enum):
    """Whether anyone has the file open for writing, as far as can be known."""

    NONE = "none"
    SOME = "some"
    UNKNOWN = "unknown"


def writers(fd: int) -> Writers:
    """Ask for a read lease (fcntl(2)): the kernel refuses it with EAGAIN while anyone has the file open for writing.

    UNKNOWN where leases are not allowed (files of others without CAP_LEASE) or not supported (network, FUSE).
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return Writers.UNKNOWN
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return Writers.SOME if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK) else Writers.UNKNOWN
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return Writers.NONE


def is_whole(job: Job, version: Version, found: Writers) -> bool:
    """Whether this version may be taken now; otherwise it is looked at again after the quiet time."""
    if found is Writers.SOME:
        return False
    if found is Writers.NONE or job.closed or job.rested:
        return True
    return job.look is not None and job.look.same_moment(version)


def open_regular(root_fd: int, path: bytes) -> int:
    """The source's descriptor. Raises FileNotFoundError where no regular file stands there (a link, a folder, a
    socket, a name that no file there can have), OSError for what the file system reports else."""
    try:
        fd = atomic.open_source(root_fd, path)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EMLINK, errno.ENAMETOOLONG):
            raise FileNotFoundError(errno.ENOENT, "no regular file") from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileNotFoundError(errno.ENOENT, "no regular file")
    return fd


def version_of(fd: int, volume: str = "") -> Version:
    return Version.of(os.fstat(fd), volume)


def still(fd: int, version: Version, step: Callable[[], None]) -> Version | None:
    """The version now, where its bytes are those of `version` still: a new time or owner changes no picture.
    None where they are others, somebody writes, or it has been deleted. `step` is told of each part that was read."""
    now = version_of(fd, version.volume)
    if now.same_moment(version):
        return version
    if now.size != version.size or not os.fstat(fd).st_nlink or writers(fd) is Writers.SOME:
        return None
    hashed = now.hashed(_digest(fd, step))
    return hashed if hashed.hash == version.hash and version_of(fd).same_moment(now) else None


def _digest(fd: int, step: Callable[[], None]) -> bytes:
    found, done = xxhash.xxh3_128(), 0
    while part := os.pread(fd, CHUNK, done):
        found.update(part)
        done += len(part)
        step()
    return found.digest()
