"""Whether the renditions of given sources are there: asked again and again by `hotfolder wait` and `/api/wait`.

Whoever waits wants them: what nobody would make by himself (cleared, removed by somebody) is made on this demand.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from hotfolder import paths
from hotfolder.engine import Engine
from hotfolder.errors import SourceError
from hotfolder.hooks import facts
from hotfolder.index import renditions, sources
from hotfolder.index.sources import Row
from hotfolder.model import Job, Lane, State, Version
from hotfolder.pipeline import files, output
from hotfolder.services import hindrance, naming
from hotfolder.services.paths import PathsBody
from hotfolder.services.problems import invalid
from hotfolder.watcher import condition
from hotfolder.watcher.watcher import Watcher

PAUSE_SECONDS = (0.05, 0.5)
"""Between two looks, growing from the first to the second."""
READY, WAITING, FAILED = "ready", "waiting", "failed"


class WaitBody(PathsBody):
    """Unknown fields are 422."""

    seconds: Annotated[float, Field(ge=0, le=30)] = 10.0


def add(app: FastAPI, engine: Engine) -> None:
    @app.post("/api/wait")
    async def wait(body: WaitBody) -> list[dict[str, Any]]:
        """Answers when none of the images waits any more, or after `seconds`. Holds no thread meanwhile."""
        ends = time.monotonic() + body.seconds
        found: dict[str, dict[str, Any]] = {}
        pause, longest = PAUSE_SECONDS
        paths = body.named()
        if not paths:
            raise invalid("paths", "is empty; give at least one")
        open_paths = list(dict.fromkeys(paths))
        demanded: set[str] = set()
        while True:
            looked = await run_in_threadpool(look, engine, open_paths, demanded)
            found |= zip(open_paths, looked, strict=True)
            open_paths = [path for path in open_paths if found[path]["state"] == WAITING]
            left = ends - time.monotonic()
            if not open_paths or left <= 0:
                return [found[path] for path in paths]
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, longest)


def look(engine: Engine, paths: Sequence[str], demanded: set[str]) -> list[dict[str, Any]]:
    """Of each path, in order: {path, watch, state, waits_for, error, renditions}. Touches the files. Raises Problem.

    Each is demanded once where it would otherwise wait for the next reconcile.
    """
    named = [naming.resolve(engine, path, f"paths.{n}") for n, path in enumerate(paths)]
    found = []
    for text, each in zip(paths, named, strict=True):
        looked, wanting = _look(engine, each.watcher, each.path)
        if wanting and text not in demanded:
            demanded.add(text)
            now = time.monotonic()
            each.watcher.look_at(Job(each.watcher.config.name, each.path, Lane.FRESH, now, now))
        found.append(looked)
    return found


def _look(engine: Engine, watcher: Watcher, path: bytes) -> tuple[dict[str, Any], bool]:
    """What is so, and whether nobody is about to change it though something is missing."""
    found = paths.named(watcher.config.path, path) | {"watch": watcher.config.name}
    found |= {"error": None, "waits_for": None, "renditions": []}
    if (trouble := hindrance.of_watch(watcher, condition.ROOT)) is not None:
        return found | {"state": WAITING, "waits_for": trouble}, False
    there = _there(watcher, path)
    if isinstance(there, dict):
        return found | there, False
    known = watcher.knows(path)
    connection = engine.index.read()
    row = sources.find(connection, watcher.site.id, path)
    found |= {"state": WAITING, "waits_for": hindrance.of(engine, watcher, path, row)}
    if known:
        return found, False
    if row is None or not _is_of(row, there):
        return found, row is None or row.state is not State.PENDING
    found["waits_for"] = None
    if row.state is State.FAILED:
        query = "SELECT reason, message FROM failure WHERE source_id = ?"
        return found | _failed(*connection.execute(query, (row.id,)).fetchone()), False
    if row.state is State.SKIPPED:
        return found | _failed("skipped", f"it needs the extra '{row.extra}'"), False
    try:
        if not row.complete(watcher.site.want) or _lost(engine, watcher, path, row):
            return found, True
    except SourceError as error:
        return found | {"waits_for": error.message}, False
    made = facts.described(connection, watcher.site, row.id, path)["renditions"]
    return found | {"state": READY, "renditions": made}, False


def _there(watcher: Watcher, path: bytes) -> Version | dict[str, Any]:
    """The version that lies there, or why there is no image."""
    if rule := watcher.rules.why_not(path):
        return _failed("ignored", f"ignored: {rule}")
    try:
        there = os.lstat(os.path.join(os.fsencode(watcher.config.path), path))
    except (FileNotFoundError, NotADirectoryError):
        return _failed("not_found", "there is no such file")
    except OSError as error:
        return _failed("io_error", os.strerror(error.errno or 0))
    return Version.of(there) if stat.S_ISREG(there.st_mode) else _failed("not_an_image", "it is no regular file")


def _lost(engine: Engine, watcher: Watcher, path: bytes, row: Row) -> bool:
    """Whether renditions that the index has are not there any more as they were made; noted in the index.

    Raises SourceError where the output is away.
    """
    made = [each for each in renditions.of(engine.index.read(), row.id) if each.present]
    with output.opened(watcher.site) as output_fd:
        folder = paths.parent(path)
        lost = [each.preset for each in made if not files.is_as_made(output_fd, folder, each)]
    if lost:
        engine.index.write(lambda c: renditions.miss(c, row.id, lost)).result()
    return bool(lost)


def _is_of(row: Row, version: Version) -> bool:
    """The row speaks of the file as it is; of one that could not even be seen any row does."""
    return row.state is not State.PENDING and (row.version.size == -1 or row.version.same_stat(version))


def _failed(reason: str, message: str) -> dict[str, Any]:
    return {"state": FAILED, "error": {"reason": reason, "message": message}}
