"""What an output refuses: a name, one path, or all. The number of the error alone does not tell which."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from hotfolder.faults import Denied, Unnamed
from hotfolder.store import temporary

_DENIED = frozenset({errno.EACCES, errno.EPERM})


@contextlib.contextmanager
def naming(
    root_fd: int, area: bytes, path: bytes, folder_fd: int, was: tuple[int, bytes] | None = None
) -> Iterator[None]:
    """An error within is one of the name `path`, unless the folder, or the file that was to get it, went meanwhile, or
    the output denies more than that."""
    try:
        with allowing(root_fd, area, path):
            yield
    except Denied:
        raise
    except OSError as error:
        if error.errno in _DENIED:
            raise
        if error.errno == errno.ENOENT and not (os.fstat(folder_fd).st_nlink and (was is None or _is_there(*was))):
            raise
        raise Unnamed(error, path) from error


@contextlib.contextmanager
def allowing(root_fd: int, area: bytes, path: bytes) -> Iterator[None]:
    """What is denied within (immutable, another user's …) is `path` alone, where its area takes other files."""
    try:
        yield
    except OSError as error:
        if error.errno in _DENIED and _takes_files(root_fd, area):
            raise Denied(error, path) from error
        raise


def _takes_files(root_fd: int, area: bytes) -> bool:
    """By a file that is made and removed: of modes, servers and other users' folders nothing else shows."""
    name = (area + b"/" if area else b"") + temporary.name()
    try:
        os.close(
            os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=root_fd)
        )
        os.unlink(name, dir_fd=root_fd)
    except OSError:
        return False
    return True


def _is_there(folder_fd: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
