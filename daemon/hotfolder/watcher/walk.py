"""The walk of a root: which folders are entered, and in which order; each is listed and visited while it is open.

It knows no rows. What a visitor makes of a folder is its own: see compare.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple, Protocol

from hotfolder.pipeline import judge
from hotfolder.store import atomic
from hotfolder.telemetry import logs
from hotfolder.watcher.findings import Findings
from hotfolder.watcher.rules import FolderRules, Rules

log = logs.get("watching")


class Ground(NamedTuple):
    """How changes in a folder come to be known. `mount`: the mount point, at or below the root, that it lies on.

    `polled`: the folder is walked at each poll, and changes there may raise no event.
    """

    mount: bytes = b""
    polled: bool = False


class Surroundings(Protocol):
    """What a walk asks of the watch that it is made for."""

    def ensure(self, folder: bytes) -> None:
        """Have the events of this folder from now on. Called before it is listed."""

    def ground(self, folder: bytes) -> Ground:
        """What this folder lies on."""

    def knows(self, path: bytes) -> bool:
        """Whether something is known to have happened to this path that has not been worked on yet."""

    def goes_on(self) -> bool:
        """Called every now and then: the walk is alive. False where it shall end."""


_QUIET = Ground()


class Alone:
    """The surroundings of a walk that is made for itself, with no watch at work."""

    def ensure(self, folder: bytes) -> None:
        pass

    def ground(self, folder: bytes) -> Ground:
        return _QUIET

    def knows(self, path: bytes) -> bool:
        return False

    def goes_on(self) -> bool:
        return True


class Folder(NamedTuple):
    """A folder while it is open. Names are in the order of their bytes."""

    path: bytes
    fd: int
    inode: int
    volume: str
    """The file system that it lies on, and the root above it: see pipeline/judge.py."""
    ground: Ground
    files: list[bytes]
    """The names of its sources."""
    listed: list[bytes]
    """The names of all its sub-folders."""
    entered: list[bytes]
    """The names of those that the walk goes into."""


class Walk:
    """Depth first, with one folder open at a time."""

    def __init__(self, watch: str, rules: Rules, around: Surroundings, findings: Findings) -> None:
        self._watch = watch
        self._rules = rules
        self._around = around
        self._findings = findings

    def run(self, root_fd: int, start: bytes, visit: Callable[[Folder], None]) -> bool:
        """Visit `start` and all below it. False where `start` itself is not there.

        An OSError of `visit` is one of its folder: that folder, and all below it, counts as unread.
        """
        frontier = [start]
        while frontier:
            if not self._around.goes_on():
                self._findings.stopped = True
                break
            path = frontier.pop()
            try:
                rules = self._rules.folder(path)
            except OSError as error:
                self._unreadable(path, error)
                continue
            if rules.refused is not None:
                continue
            self._around.ensure(path)
            try:
                fd = atomic.open_folder(root_fd, path)
            except (FileNotFoundError, NotADirectoryError):
                if path == start:
                    return False
                continue  # it went meanwhile: its parent's rows, or its own event, report it
            except OSError as error:
                self._unreadable(path, error)
                continue
            try:
                entered = self._visit(self._list(root_fd, fd, path, rules), visit)
            except OSError as error:
                self._unreadable(path, error)
                continue
            finally:
                os.close(fd)
            prefix = path + b"/" if path else b""
            frontier.extend(prefix + name for name in reversed(entered))
        return True

    def _visit(self, folder: Folder, visit: Callable[[Folder], None]) -> list[bytes]:
        """Gives what the walk enters, and lets go of all other names before the next folder is listed."""
        visit(folder)
        return folder.entered

    def _list(self, root_fd: int, fd: int, path: bytes, rules: FolderRules) -> Folder:
        volume = judge.volume(root_fd, fd)
        files, below = _names(fd, rules)
        prefix = path + b"/" if path else b""
        entered = [name for name in below if self._rules.enters(prefix + name)]
        return Folder(path, fd, os.fstat(fd).st_ino, volume, self._around.ground(path), files, below, entered)

    def _unreadable(self, folder: bytes, error: OSError) -> None:
        self._findings.complete = False
        self._findings.unread.add(folder)
        log.warning(
            "folder_unreadable",
            watch=self._watch,
            path=folder or b".",
            reason=os.strerror(error.errno or 0),
            next="nothing below it counts as deleted; tried again",
        )


def _names(fd: int, rules: FolderRules) -> tuple[list[bytes], list[bytes]]:
    """Sources and sub-folders of one folder. Links are neither."""
    files: list[bytes] = []
    below: list[bytes] = []
    with os.scandir(fd) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if entry.is_dir(follow_symlinks=False):
                below.append(name)
            elif rules.accepts(name) and entry.is_file(follow_symlinks=False):
                files.append(name)
    files.sort()
    below.sort()
    return files, below
