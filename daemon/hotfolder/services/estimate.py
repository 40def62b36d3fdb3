"""What a scan would have to do: walked without changing anything, and costed by the index's own history."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI, HTTPException

from hotfolder import probe
from hotfolder.engine import Engine
from hotfolder.index import history
from hotfolder.paths import parent
from hotfolder.services import naming
from hotfolder.services.offline import Knowing
from hotfolder.services.paths import PathsBody
from hotfolder.watcher.reconcile import Findings, Reconcile
from hotfolder.watcher.watcher import Watcher
from hotfolder.watches.grounds import RootAway


class EstimateBody(PathsBody):
    """Unknown fields are 422."""

    watch: str | None = None
    verify: bool = False


def add(app: FastAPI, engine: Engine) -> None:
    @app.post("/api/estimate")
    def ask(body: EstimateBody) -> list[dict[str, Any]]:
        if body.watch is not None and body.watch not in engine.watchers:
            raise HTTPException(404, f"no watch is called {body.watch}")
        return estimate(engine, body.watch, body.named(), verify=body.verify, workers=engine.pool.size)


def estimate(
    engine: Knowing, watch: str | None, paths: list[str], *, verify: bool, workers: int
) -> list[dict[str, Any]]:  # fmt: skip
    """Of each watch: {watch, sources, to_make, renditions, bytes_in, bytes_out, seconds, missing, problem}.

    Files among the paths are looked at with their folder. bytes_out and seconds are null as long as nothing was made.
    Raises Problem.
    """
    wanted: dict[str, list[bytes]] = {}
    for n, text in enumerate(paths):
        named = naming.resolve(engine, text, f"paths.{n}")
        watcher, path = named.watcher, named.path
        if not os.path.isdir(os.path.join(os.fsencode(watcher.config.path), path)):
            path = parent(path)
        wanted.setdefault(watcher.config.name, []).append(path)
    if not paths:
        wanted = {name: [b""] for name in engine.watchers if watch in (None, name)}
    return [_of(engine, engine.watchers[name], below, verify, workers) for name, below in wanted.items()]


def _of(engine: Knowing, watcher: Watcher, below: list[bytes], verify: bool, workers: int) -> dict[str, Any]:
    found: list[Findings] = []
    problem = None
    for folder in dict.fromkeys(below):
        walk = Reconcile(engine.index, watcher.site, watcher.rules, verify=verify, dry=True)
        try:
            probe.check(watcher.config.path)
            probe.check(watcher.config.output)
            found.append(walk.run(folder))
        except (RootAway, probe.Silent) as error:
            problem = str(error)
    to_make = sum(each.new + each.changed for each in found)
    to_read = sum(each.to_read for each in found)
    connection = engine.index.read()
    pace = history.pace(connection)
    seconds = pace.seconds / pace.bytes * to_read / workers if pace and pace.bytes else None
    return {
        "watch": watcher.config.name, "sources": sum(each.sources for each in found), "to_make": to_make,
        "renditions": to_make * len(watcher.site.signatures), "bytes_in": to_read,
        "bytes_out": history.written(connection, tuple(watcher.site.signatures), to_make, to_read),
        "seconds": None if seconds is None else round(seconds, 1),
        "missing": sum(each.vanished for each in found), "problem": problem,
    }  # fmt: skip
