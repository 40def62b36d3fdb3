"""One daemon or scan for each state folder: an flock that the kernel drops with its holder.

Network file systems are refused: neither SQLite's WAL nor flock can be relied on there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator

from hotfolder import mounts
from hotfolder.errors import StartError


class StateLock:
    """Holds `<state>/lock`; the file carries the holder's pid for messages."""

    def __init__(self, state: str) -> None:
        self.state = state
        self._fd: int | None = None

    def acquire(self) -> None:
        """Raises StartError where another holds it, the folder cannot be made or lies on a network file system."""
        make_state(self.state)
        path = os.path.join(self.state, "lock")
        with starting(path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            os.close(fd)
            raise StartError(
                f"another hotfolder (pid {pid or 'unknown'}) uses the state folder {self.state}; "
                "stop it first, or give this one a `state` of its own"
            ) from None
        self._fd = fd
        os.ftruncate(fd, 0)
        with contextlib.suppress(OSError):  # a full disk: the lock holds, and names no process
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)

    def problem(self) -> str | None:
        """Why the state folder is not the one that was locked any more; None while it is."""
        assert self._fd is not None
        ours = os.fstat(self._fd)
        try:
            there = os.stat(os.path.join(self.state, "lock"), follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return f"the state folder {self.state}, or the lock in it, was removed or renamed"
        except OSError as error:
            return f"the state folder {self.state} cannot be looked at: {error.strerror}"
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            return f"another state folder lies at {self.state}"
        return None

    def release(self) -> None:
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None


@contextlib.contextmanager
def starting(path: str) -> Iterator[None]:
    """A file of the state folder is opened: what goes wrong with it there is a StartError that names it."""
    try:
        yield
    except OSError as error:
        remedy = "free some space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "move it away"
        raise StartError(f"{path}: {os.strerror(error.errno or 0)}; {remedy}, or name another `state`") from error


def make_state(state: str) -> None:
    """Make the state folder (mode 0700). Raises StartError where that fails or it is on a network file system."""
    try:
        os.makedirs(state, mode=0o700, exist_ok=True)
    except OSError as error:
        raise StartError(f"state {state}: {os.strerror(error.errno or 0)}; name a folder that can be made") from error
    if not os.access(state, os.W_OK | os.X_OK):
        raise StartError(f"state {state} is not writable by this user")
    mount = mounts.of(os.fsencode(os.path.realpath(state)), mounts.read())
    if mount is not None and mounts.backend_for(mount.fstype) == "polling":
        raise StartError(
            f"state {state} is on a network file system ({mount.fstype}); SQLite cannot keep an index there: "
            "put `state` on a local disk"
        )


def is_held(state: str) -> bool:
    """Whether a living process holds the lock now."""
    try:
        fd = os.open(os.path.join(state, "lock"), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    with contextlib.closing(os.fdopen(fd)):
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
