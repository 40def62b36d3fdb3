"""Whether the renditions of given sources are there: asked again and again by `hotfolder wait` and `/api/wait`."""

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

from hotfolder.engine import Engine
from hotfolder.keeping import sources
from hotfolder.keeping.report import named_path
from hotfolder.keeping.sources import Row
from hotfolder.model import State, Version
from hotfolder.serving import naming
from hotfolder.serving.paths import PathsBody
from hotfolder.serving.problems import invalid
from hotfolder.watching.watcher import Watcher
from hotfolder.working import announcing

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
        while True:
            looked = await run_in_threadpool(look, engine, open_paths)
            found |= zip(open_paths, looked, strict=True)
            open_paths = [path for path in open_paths if found[path]["state"] == WAITING]
            left = ends - time.monotonic()
            if not open_paths or left <= 0:
                return [found[path] for path in paths]
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, longest)


def look(engine: Engine, paths: Sequence[str]) -> list[dict[str, Any]]:
    """Of each path, in order: {path, watch, state, error, renditions}. Touches the files. Raises Problem."""
    named = [naming.resolve(engine, path, f"paths.{n}") for n, path in enumerate(paths)]
    return [_look(engine, each.watcher, each.path) for each in named]


def _look(engine: Engine, watcher: Watcher, path: bytes) -> dict[str, Any]:
    found = named_path(watcher.config.path, path) | {"watch": watcher.config.name, "error": None, "renditions": []}
    if rule := watcher.rules.why_not(path):
        return found | _failed("ignored", f"ignored: {rule}")
    try:
        there = os.lstat(os.path.join(os.fsencode(watcher.config.path), path))
    except (FileNotFoundError, NotADirectoryError):
        return found | _failed("not_found", "there is no such file")
    except OSError as error:
        return found | _failed("io_error", os.strerror(error.errno or 0))
    if not stat.S_ISREG(there.st_mode):
        return found | _failed("not_an_image", "it is no regular file")
    if watcher.knows(path):
        return found | {"state": WAITING}
    connection = engine.index.read()
    row = sources.find(connection, watcher.site.id, path)
    if row is None or not _is_of(row, Version.of(there)):
        return found | {"state": WAITING}
    if row.state is State.FAILED:
        query = "SELECT reason, message FROM failure WHERE source_id = ?"
        return found | _failed(*connection.execute(query, (row.id,)).fetchone())
    if row.state is State.SKIPPED:
        return found | _failed("skipped", f"it needs the extra '{row.extra}'")
    if not row.complete(watcher.site.want):
        return found | {"state": WAITING}
    renditions = announcing.described(connection, watcher.site, row.id, path)["renditions"]
    return found | {"state": READY, "renditions": renditions}


def _is_of(row: Row, version: Version) -> bool:
    """The row speaks of the file as it is; of one that could not even be seen any row does."""
    return row.state is not State.PENDING and (row.version.size == -1 or row.version.same_stat(version))


def _failed(reason: str, message: str) -> dict[str, Any]:
    return {"state": FAILED, "error": {"reason": reason, "message": message}}
