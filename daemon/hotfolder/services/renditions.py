"""A rendition's file for whoever asks for it; a missing one is made on the way, once, however many ask at that time."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeVar

from hotfolder import paths
from hotfolder.engine import Engine
from hotfolder.imaging import formats
from hotfolder.index import listing, renditions
from hotfolder.index.listing import Listed
from hotfolder.index.renditions import Made
from hotfolder.model import Job, Lane, Result, State
from hotfolder.services.errors import Conflict, NotFound, Unavailable
from hotfolder.store import atomic
from hotfolder.store.layout import rendition_path
from hotfolder.watcher.watcher import Watcher

T = TypeVar("T")

MAKING_SECONDS = 60.0
CHANGED_SECONDS = 0.5
"""Between two looks at a source that is being written."""


class InThread(Protocol):
    """How an event loop has work done that touches files."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


@dataclass(frozen=True, slots=True)
class Found:
    """An open rendition, what it is, and a tag that no other bytes have."""

    file: BinaryIO
    kind: str
    etag: str


@dataclass(frozen=True, slots=True)
class _Missing:
    """What has to be made. `stale`: the preset whose row speaks of a file that is not there."""

    watcher: Watcher
    listed: Listed
    stale: str | None


class Fetching:
    """Called on event loops; whatever touches a file or the index runs in a thread."""

    def __init__(self, engine: Engine, in_thread: InThread) -> None:
        self._engine = engine
        self._in_thread = in_thread
        self._lock = threading.Lock()
        self._going: dict[tuple[int, str], Future[None]] = {}

    async def get(self, source_id: int, preset: str) -> Found:
        """Raises NotFound for what does not exist, Conflict for what cannot be made, Unavailable for what takes too
        long or cannot be read."""
        deadline = time.monotonic() + MAKING_SECONDS
        while True:
            found = await self._in_thread(lambda: self._open(source_id, preset))
            if isinstance(found, Found):
                self._engine.metrics.cache_requests.labels("hit").inc()
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                raise Unavailable("it is still being made; ask again", retry_after=5)
            await self._made(source_id, preset, left)

    async def _made(self, source_id: int, preset: str, timeout: float) -> None:
        """Make it, or wait for whoever makes it already."""
        key = (source_id, preset)
        with self._lock:
            going = self._going.get(key)
            mine: Future[None] | None = None
            if going is None:
                mine = self._going[key] = Future()
        if mine is None:
            assert going is not None
            await asyncio.wait({asyncio.wrap_future(going)}, timeout=timeout)
            return
        try:
            await self._make(source_id, preset, timeout)
        finally:
            with self._lock:
                del self._going[key]
            mine.set_result(None)

    async def _make(self, source_id: int, preset: str, timeout: float) -> None:
        """Let the pipeline look at the source, before others, and wait until it has."""
        found = await self._in_thread(lambda: self._open(source_id, preset))
        if isinstance(found, Found):  # made since it was last looked for
            found.file.close()
            return
        if (stale := found.stale) is not None:
            await self._in_thread(lambda: self._miss(source_id, stale))
        name, path = found.watcher.config.name, found.listed.path
        end = self._engine.ends.next(name, path)
        now = time.monotonic()
        found.watcher.look_at(Job(name, path, Lane.FRESH, now, now, rested=True))
        ended = asyncio.wrap_future(end)
        done, _ = await asyncio.wait({ended}, timeout=timeout)
        if not done:
            end.cancel()
            return
        match ended.result().result:
            case Result.GONE:
                raise NotFound("its source is not there")
            case Result.RETRIED:
                raise Unavailable(f"it cannot be made for now: {ended.result().reason}", retry_after=10)
            case Result.CHANGED:  # it is being written
                await asyncio.sleep(CHANGED_SECONDS)

    def _miss(self, source_id: int, preset: str) -> None:
        self._engine.index.write(lambda c: renditions.miss(c, source_id, [preset])).result()

    # -- in threads ----------------------------------------------------------------------------------------------------

    def _open(self, source_id: int, preset: str) -> Found | _Missing:
        connection = self._engine.index.read()
        listed = listing.one(connection, source_id)
        watcher = None if listed is None else self._engine.watchers.by_id(listed.watch_id)
        if listed is None or watcher is None:
            raise NotFound("no such source")
        made = next((each for each in renditions.of(connection, source_id) if each.preset == preset), None)
        wanted = watcher.site.signatures.get(preset)
        if made is None and wanted is None:
            raise NotFound("its watch makes no such rendition")
        if made is not None and made.note == "kept":
            raise Conflict("of this format no copy can be made")
        current = made is not None and made.present and (wanted is None or made.signature == wanted)
        if current and listed.state is State.DONE:
            assert made is not None
            if found := _opened(watcher, listed, made):
                return found
        if listed.failure is not None:
            raise Conflict(f"{listed.failure.reason}: {listed.failure.message}")
        if listed.state is State.SKIPPED:
            raise Conflict(f"it needs the extra '{listed.extra}', which is not installed")
        return _Missing(watcher, listed, preset if current else None)


def _opened(watcher: Watcher, listed: Listed, made: Made) -> Found | None:
    """None where it does not lie there as it was made."""
    path = rendition_path(paths.parent(listed.path), made.area, made.name)
    try:
        root_fd = atomic.open_root(watcher.site.output)
        try:
            fd = atomic.open_source(root_fd, path)
        finally:
            os.close(root_fd)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Unavailable(f"the output cannot be read: {os.strerror(error.errno or 0)}", retry_after=10) from error
    file = os.fdopen(fd, "rb", buffering=0)
    stat = os.fstat(fd)
    if (stat.st_size, stat.st_mtime_ns) != (made.bytes, made.mtime_ns):
        file.close()
        return None
    digest = listed.version.hash.hex()[:16] if listed.version.hash else ""
    etag = f'"{digest}-{made.signature[:8]}-{stat.st_size:x}-{stat.st_mtime_ns:x}"'
    return Found(file, formats.media_type(os.pread(fd, 512, 0), made.name), etag)
