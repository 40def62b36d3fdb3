"""Images that are sent to us go into the root of a watch: under a temporary name, which no rule takes for a source, and
renamed when they are whole. Nothing is ever overwritten.

A file's name is all that is taken of what the sender states; it is never a path.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sqlite3
from collections.abc import Iterator

from hotfolder.engine import Engine
from hotfolder.index import uploads
from hotfolder.services import naming
from hotfolder.services.answers import Answer
from hotfolder.services.errors import Conflict, Invalid, TooLarge, Unavailable
from hotfolder.store import atomic, temporary
from hotfolder.store.names import NAME_MAX, is_image_name
from hotfolder.telemetry import logs
from hotfolder.watcher.watcher import Watcher

NO_REPLACE = 1
"""RENAME_NOREPLACE of renameat2(2)."""
RETRY_SECONDS = 30

log = logs.get("serving")


class Uploaded(Answer):
    """One file that was stored; its path is relative to the root of the watch."""

    name: str
    watch: str
    path: str
    bytes: int


class Uploads(Answer):
    """The files that were stored, in the order in which they came."""

    uploaded: list[Uploaded]


class Upload:
    """One file on its way: `begin`, `write` all of it, `publish`; `end` always. Touches a root."""

    def __init__(self, engine: Engine, watch: str | None, filename: str) -> None:
        """Raises NotFound, Invalid, and Unavailable where its root does not answer."""
        self._engine = engine
        self._watcher = _watcher(engine, watch)
        self._name = _clean(filename, self._watcher)
        self._most = engine.config.http.upload_limit
        self._temporary = temporary.name().decode()
        self._root_fd = self._fd = -1
        self._size = 0

    def begin(self) -> None:
        """Raises Unavailable."""
        try:
            self._root_fd = atomic.open_root(self._watcher.site.root)
        except OSError as error:
            text = f"the watch {self._watcher.config.name} cannot be written"
            raise Unavailable(text, retry_after=RETRY_SECONDS) from error
        # Noted before it is made, so that the next start finds what a killed process left.
        self._engine.index.write(lambda c: uploads.note(c, self._watcher.site.id, self._temporary)).result()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with self._storing():
            self._fd = os.open(self._temporary, flags, 0o666, dir_fd=self._root_fd)

    def write(self, data: bytes) -> None:
        """Raises TooLarge, Unavailable."""
        self._size += len(data)
        if self._size > self._most:
            raise TooLarge(f"a file has at most {self._most} bytes (http.upload_limit)")
        view = memoryview(data)
        with self._storing():
            while view:
                view = view[os.write(self._fd, view) :]

    def publish(self) -> Uploaded:
        """It is whole. Raises Conflict where the name is taken, Unavailable."""
        with self._storing():
            os.fsync(self._fd)
            try:
                _rename_new(self._root_fd, self._temporary, self._name)
            except FileExistsError as error:
                raise Conflict(f"there is a {self._name} already") from error
        watch = self._watcher.config.name
        log.info("uploaded", watch=watch, path=self._name.encode("utf-8", "replace"), bytes=self._size)
        return Uploaded(name=self._name, watch=watch, path=self._name, bytes=self._size)

    def end(self) -> None:
        """Nothing of the temporary name stays, however it went."""
        if self._fd >= 0:
            os.close(self._fd)
        if self._root_fd >= 0:
            _tidy(self._engine, self._watcher.site.id, self._root_fd, self._temporary)

    @contextlib.contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            text = f"{self._name} cannot be stored: {os.strerror(error.errno or 0)}"
            raise Unavailable(text, retry_after=RETRY_SECONDS) from error


def _watcher(engine: Engine, name: str | None) -> Watcher:
    watchers = dict(engine.watchers)
    if name is None and len(watchers) != 1:
        raise Invalid("watch", f"say which, before the files: {', '.join(sorted(watchers))}")
    found = next(iter(watchers.values())) if name is None else naming.watcher(engine, name)
    naming.answered(found.config.path, lambda: os.path.isdir(found.config.path))
    return found


def _clean(filename: str, watcher: Watcher) -> str:
    """The last part of whatever path was sent, without control characters, and no hidden name."""
    last = filename.replace("\\", "/").rpartition("/")[2]
    name = "".join(c for c in last if c.isprintable()).strip().lstrip(".")
    encoded = name.encode("utf-8", "replace")
    if not is_image_name(encoded):
        raise Invalid("files", f"{name or filename!r} has no extension of an image")
    if len(encoded) > NAME_MAX:
        raise Invalid("files", f"a name has at most {NAME_MAX} bytes")
    if ignored := watcher.rules.why_not(encoded):
        raise Invalid("files", f"{name} would be ignored: {ignored}")
    return name


def _rename_new(root_fd: int, old: str, new: str) -> None:
    """Rename within the folder. Raises FileExistsError, and nothing is done, where the new name is taken."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "renameat2"):
        if libc.renameat2(root_fd, os.fsencode(old), root_fd, os.fsencode(new), NO_REPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(number, os.strerror(number), new)
    # This system or file system cannot say so in one step: take the name first, with nothing in it.
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=root_fd))
    os.rename(old, new, src_dir_fd=root_fd, dst_dir_fd=root_fd)


def _tidy(engine: Engine, watch_id: int, root_fd: int, temporary: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=root_fd)
    os.close(root_fd)
    engine.index.write(lambda c: uploads.forget(c, watch_id, temporary))


def remove_leftovers(engine: Engine) -> None:
    """What a killed process left, at the next start. In a thread of its own, since a root may hang."""
    try:
        noted = uploads.noted(engine.index.read())
    except sqlite3.Error as error:
        log.warning("upload_not_removed", reason=str(error))
        return
    for watch_id, name in noted:
        watcher = engine.watchers.by_id(watch_id)
        if watcher is None:
            continue
        try:
            root_fd = atomic.open_root(watcher.site.root)
        except OSError as error:
            log.warning("upload_not_removed", watch=watcher.config.name, reason=os.strerror(error.errno or 0))
            continue
        _tidy(engine, watch_id, root_fd, name)
