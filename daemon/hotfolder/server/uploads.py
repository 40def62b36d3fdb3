"""The drop folder by HTTP, for those who have no mount: files are streamed to a temporary name in the root of a watch,
which no rule takes for a source, and renamed when they are whole; nothing is ever overwritten.

A file's name is all that is taken of what the sender says of it; it is never a path.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import sqlite3
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request

from hotfolder.engine import Engine
from hotfolder.server import multipart
from hotfolder.server.files import in_thread
from hotfolder.server.guard import UPLOADS
from hotfolder.services.problems import Problem, invalid
from hotfolder.store import atomic, layout
from hotfolder.telemetry import logs
from hotfolder.watcher.watcher import Watcher

NO_REPLACE = 1
"""RENAME_NOREPLACE of renameat2(2)."""

log = logs.get("serving")

EXAMPLE = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "watch": {"type": "string", "description": "Where there are several; before the files."},
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                    },
                }
            }
        },
    }
}


def router(engine: Engine) -> APIRouter:
    routes = APIRouter(tags=["images"])

    @routes.post(UPLOADS, status_code=201, openapi_extra=EXAMPLE)
    async def upload(request: Request) -> dict[str, Any]:
        """Images into the root of a watch. One whose name is there already is 409, and nothing is overwritten."""
        stored: list[dict[str, Any]] = []
        watch: str | None = None
        try:
            async for part in multipart.parts(request):
                if part.filename is None:
                    watch = await multipart.field(part) if part.name == "watch" else watch
                    continue
                watcher = _watcher(engine, watch)
                name = await in_thread(lambda sent=part.filename, at=watcher: _clean(sent, at))  # type: ignore[misc]
                size = await _store(engine, watcher, name, part)
                stored.append({"name": name, "watch": watcher.config.name, "path": name, "bytes": size})
        except Problem as error:
            error.more["uploaded"] = stored
            raise
        if not stored:
            raise invalid("files", "there is no file in the body")
        return {"uploaded": stored}

    return routes


def _watcher(engine: Engine, name: str | None) -> Watcher:
    watchers = dict(engine.watchers)
    if name is None and len(watchers) == 1:
        return next(iter(watchers.values()))
    if name is None:
        raise invalid("watch", f"say which, before the files: {', '.join(sorted(watchers))}")
    if name not in watchers:
        raise Problem(404, f"no watch is called {name}")
    return watchers[name]


def _clean(filename: str, watcher: Watcher) -> str:
    """The last part of whatever path was sent, without control characters, and no hidden name."""
    last = filename.replace("\\", "/").rpartition("/")[2]
    name = "".join(c for c in last if c.isprintable()).strip().lstrip(".")
    encoded = name.encode("utf-8", "replace")
    if not layout.is_image_name(encoded):
        raise invalid("files", f"{name or filename!r} has no extension of an image")
    if len(encoded) > layout.NAME_MAX:
        raise invalid("files", f"a name has at most {layout.NAME_MAX} bytes")
    if ignored := watcher.rules.why_not(encoded):
        raise invalid("files", f"{name} would be ignored: {ignored}")
    return name


async def _store(engine: Engine, watcher: Watcher, name: str, part: multipart.Part) -> int:
    """Stream one file; gives its bytes. Raises Problem: 409, 413, 503."""
    most = engine.config.http.upload_limit
    temporary = (atomic.TEMP_PREFIX + secrets.token_hex(8).encode() + atomic.TEMP_SUFFIX).decode()
    try:
        root_fd = await in_thread(lambda: atomic.open_root(watcher.site.root))
    except OSError as error:
        raise Problem(503, f"the watch {watcher.config.name} cannot be written", retry_after=30) from error
    size = 0
    fd = -1
    try:
        await in_thread(lambda: _note(engine, watcher, temporary))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = await in_thread(lambda: os.open(temporary, flags, 0o666, dir_fd=root_fd))
        async for piece in part.pieces:
            size += len(piece)
            if size > most:
                raise Problem(413, f"a file has at most {most} bytes (http.upload_limit)")
            await in_thread(lambda data=piece: _write(fd, data))  # type: ignore[misc]
        await in_thread(lambda: os.fsync(fd))
        await in_thread(lambda: rename_new(root_fd, temporary, name))
    except FileExistsError as error:
        raise Problem(409, f"there is a {name} already") from error
    except OSError as error:
        text = os.strerror(error.errno or 0)
        raise Problem(503, f"{name} cannot be stored: {text}", retry_after=30) from error
    finally:
        await in_thread(lambda: _tidy(engine, watcher, root_fd, fd, temporary))
    log.info("uploaded", watch=watcher.config.name, path=name.encode("utf-8", "replace"), bytes=size)
    return size


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def rename_new(root_fd: int, old: str, new: str) -> None:
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


# -- after a kill ------------------------------------------------------------------------------------------------------


def _note(engine: Engine, watcher: Watcher, temporary: str) -> None:
    """Noted before it is made, so that the next start finds what a killed process left."""
    values = (watcher.site.id, temporary)
    engine.index.write(lambda c: c.execute("INSERT INTO upload VALUES (?, ?)", values).rowcount).result()


def _tidy(engine: Engine, watcher: Watcher, root_fd: int, fd: int, temporary: str) -> None:
    """Nothing of a temporary name stays, however it ended."""
    if fd >= 0:
        os.close(fd)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=root_fd)
    os.close(root_fd)
    values = (watcher.site.id, temporary)
    engine.index.write(lambda c: c.execute("DELETE FROM upload WHERE watch_id = ? AND name = ?", values).rowcount)


def remove_leftovers(engine: Engine) -> None:
    """At the start, in a thread of its own, since a root may hang."""
    for watch_id, name in _noted(engine):
        watcher = engine.watcher_of(watch_id)
        if watcher is None:
            continue
        try:
            root_fd = atomic.open_root(watcher.site.root)
        except OSError as error:
            log.warning("upload_not_removed", watch=watcher.config.name, reason=os.strerror(error.errno or 0))
            continue
        _tidy(engine, watcher, root_fd, -1, name)


def _noted(engine: Engine) -> Iterator[tuple[int, str]]:
    try:
        yield from engine.index.read().execute("SELECT watch_id, name FROM upload").fetchall()
    except sqlite3.Error as error:
        log.warning("upload_not_removed", reason=str(error))
