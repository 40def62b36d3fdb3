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
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import APIRouter, Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from hotfolder import logs
from hotfolder.engine import Engine
from hotfolder.keeping import atomic, layout
from hotfolder.serving.files import in_thread
from hotfolder.serving.guard import UPLOADS
from hotfolder.serving.problems import Problem, invalid
from hotfolder.watching.watcher import Watcher

HEADERS_MOST = 8192
"""Bytes of the headers of one part."""
FIELD_MOST = 200
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
            async for part in _parts(request):
                if part.filename is None:
                    watch = await _field(part) if part.name == "watch" else watch
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


class Part:
    """One part of a multipart body, whose bytes come as they arrive."""

    def __init__(self, headers: dict[bytes, bytes]) -> None:
        _, options = parse_options_header(headers.get(b"content-disposition"))
        self.name = options.get(b"name", b"").decode("utf-8", "replace")
        filename = options.get(b"filename")
        self.filename = None if filename is None else filename.decode("utf-8", "replace")
        self.pieces: AsyncIterator[bytes] = _none()


async def _none() -> AsyncIterator[bytes]:
    return
    yield b""


class _Events:
    """What the parser has found so far, as a list: it calls back, and files are written elsewhere."""

    def __init__(self, boundary: bytes) -> None:
        self.found: list[tuple[str, Any]] = []
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self.parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": self._on_name,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
                "on_headers_finished": lambda: self.found.append(("part", Part(dict(self._headers)))),
                "on_part_data": lambda data, start, end: self.found.append(("data", bytes(data[start:end]))),
                "on_part_end": lambda: self.found.append(("end", None)),
                "on_end": lambda: self.found.append(("whole", None)),
            },
        )

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._check()

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check()

    def _check(self) -> None:
        if len(self._name) + len(self._value) > HEADERS_MOST or len(self._headers) > 20:
            raise FormParserError("a part has too many headers")

    def _on_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def take(self) -> list[tuple[str, Any]]:
        found, self.found = self.found, []
        return found


async def _events(request: Request) -> AsyncIterator[tuple[str, Any]]:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Problem(415, "send multipart/form-data")
    try:
        events = _Events(options[b"boundary"])
        whole = False
        async for chunk in request.stream():
            if chunk:
                events.parser.write(chunk)
            for event in events.take():
                whole = whole or event[0] == "whole"
                yield event
    except FormParserError as error:
        raise Problem(422, f"the multipart body cannot be read: {error}") from error
    if not whole:
        raise Problem(422, "the multipart body ends too early")


async def _parts(request: Request) -> AsyncIterator[Part]:
    """One after another; what is not read of a part is passed over."""
    events = _events(request)

    async def pieces() -> AsyncIterator[bytes]:
        async for kind, data in events:
            if kind == "end":
                return
            yield data

    async for kind, part in events:
        if kind == "part":
            part.pieces = pieces()
            yield part
            async for _ in part.pieces:
                pass


async def _field(part: Part) -> str:
    value = b""
    async for piece in part.pieces:
        value += piece
        if len(value) > FIELD_MOST:
            raise invalid(part.name, "is too long")
    return value.decode("utf-8", "replace")


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


async def _store(engine: Engine, watcher: Watcher, name: str, part: Part) -> int:
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
