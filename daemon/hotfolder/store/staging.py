"""The renditions of one job until they have their names: all of them get these, or none."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping
from types import TracebackType
from typing import BinaryIO

from hotfolder.store import temporary
from hotfolder.store.atomic import make_folder, remove_made, set_mode
from hotfolder.store.layouts import Target
from hotfolder.store.refusals import allowing, naming


class Staging:
    """The temporary files of one job, each in its target folder. What is not published goes with the block."""

    def __init__(self, output_fd: int, folder: bytes, *, mode: int, dir_mode: int, fsync: bool) -> None:
        self._output_fd = output_fd
        self._folder = folder
        self._mode = mode
        self._dir_mode = dir_mode
        self._fsync = fsync
        self._folders: dict[bytes, int] = {}
        self._waiting: dict[str, tuple[Target, bytes, BinaryIO]] = {}
        self.refused: set[str] = set()
        """What is nice to have and this output does not give: ``modes``, ``times``."""

    def create(self, target: Target) -> BinaryIO:
        """A new file under a temporary name, of the right mode. Raises OSError (disk full, no permission …)."""
        assert target.preset not in self._waiting
        name = temporary.name()
        if target.area not in self._folders:
            self._make_area(target.area)
        try:
            fd = self._open_new(target, name)
        except FileNotFoundError:  # a job beside us pruned the folder while it was empty
            self._make_area(target.area)
            fd = self._open_new(target, name)
        file = os.fdopen(fd, "w+b")
        self._waiting[target.preset] = (target, name, file)
        if not set_mode(fd, self._mode):
            self.refused.add("modes")
        return file

    def _make_area(self, area: bytes) -> None:
        fd = make_folder(self._output_fd, area, self._folder, self._dir_mode)
        if area in self._folders:
            os.close(self._folders[area])
        self._folders[area] = fd

    def _open_new(self, target: Target, name: bytes) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with allowing(self._output_fd, target.area, self._path(target)):
            return os.open(name, flags, self._mode, dir_fd=self._folders[target.area])

    def _path(self, target: Target) -> bytes:
        return b"/".join(part for part in (target.area, self._folder, target.name) if part)

    def publish(self, times: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        """Rename all to their names; `times` has the mtime in ns for some presets.

        Returns bytes and mtime_ns of each, as the file system has them then. Raises OSError; then those that were
        renamed go again, since no row would know of them, and the rest goes with the block.
        """
        written: dict[str, tuple[int, int]] = {}
        for preset, (_, _, file) in self._waiting.items():
            file.flush()
            if preset in times and not _set_mtime(file.fileno(), times[preset]):
                self.refused.add("times")
            if self._fsync:
                _sync(file.fileno())
            result = os.fstat(file.fileno())
            written[preset] = (result.st_size, result.st_mtime_ns)
            file.close()
        renamed: list[str] = []
        targets = {preset: target for preset, (target, _, _) in self._waiting.items()}
        try:
            for preset in targets:
                self._rename(preset)
                renamed.append(preset)
            if self._fsync:
                for folder_fd in self._folders.values():
                    _sync(folder_fd)
        except BaseException:
            for preset in renamed:
                with contextlib.suppress(OSError):  # the first error is the one to tell
                    remove_made(self._output_fd, targets[preset].area, self._path(targets[preset]), *written[preset])
            raise
        return written

    def _rename(self, preset: str) -> None:
        target, name, _ = self._waiting[preset]
        folder_fd = self._folders[target.area]
        with naming(self._output_fd, target.area, self._path(target), folder_fd, (folder_fd, name)):
            os.rename(name, target.name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        del self._waiting[preset]

    def drop(self, preset: str) -> None:
        """Remove one that is not wanted after all."""
        target, name, file = self._waiting.pop(preset)
        with contextlib.suppress(OSError):  # a full disk: what stands in the buffer is not wanted any more
            file.close()
        with contextlib.suppress(OSError):  # gone, or the output is: the first error is the one to tell
            os.unlink(name, dir_fd=self._folders[target.area])

    def discard(self) -> None:
        """Remove what was not published, and close the folders."""
        for preset in list(self._waiting):
            self.drop(preset)
        for folder_fd in self._folders.values():
            os.close(folder_fd)
        self._folders.clear()

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.discard()


def _set_mtime(fd: int, mtime_ns: int) -> bool:
    try:
        os.utime(fd, ns=(mtime_ns, mtime_ns))
    except OSError:  # CIFS and exFAT of another user
        return False
    return True


def _sync(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):  # a folder of CIFS, FUSE …
            raise
