"""Routes of what is known: sources in pages, one source with all that was made of it, and the renditions themselves."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath

from hotfolder import paths, times
from hotfolder.engine import Engine
from hotfolder.index import analyses, listing, renditions, report
from hotfolder.index.listing import Filter, Listed, Position
from hotfolder.index.readers import Reader
from hotfolder.model import State
from hotfolder.server import files
from hotfolder.server.fetching import Fetching
from hotfolder.services.problems import Problem, invalid
from hotfolder.store.layout import rendition_path

Id = Annotated[int, InPath(ge=1, le=2**63 - 1)]
StateName = Literal["pending", "done", "failed", "skipped"]


def router(engine: Engine) -> APIRouter:
    routes = APIRouter(tags=["sources"])
    fetching = Fetching(engine)

    @routes.get("/api/sources")
    def listed(
        watch: str | None = None,
        state: StateName | None = None,
        text: Annotated[str, Query(max_length=200)] = "",
        cursor: Annotated[str, Query(max_length=100)] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 60,
    ) -> dict[str, Any]:
        """The newest first. `next` is the `cursor` of the page behind this one; null on the last."""
        watch_id = None if watch is None else _watch_id(engine, watch)
        chosen = Filter(watch_id, State[state.upper()] if state else None, text.strip())
        connection = engine.index.read()
        found = listing.page(connection, chosen, _position(cursor), limit + 1)
        page = found[:limit]
        return {
            "sources": [_summary(engine, each) for each in page if engine.watcher_of(each.watch_id)],
            "next": _cursor(page[-1]) if len(found) > limit else None,
            "total": None if text else _total(engine, connection, watch, chosen.state),
        }

    @routes.get("/api/sources/{id}")
    def detail(id: Id) -> dict[str, Any]:
        """One source: its version, what was made of it, why it failed, what the analysis says."""
        connection = engine.index.read()
        found = listing.one(connection, id)
        if found is None or engine.watcher_of(found.watch_id) is None:
            raise Problem(404, "no such source")
        return _summary(engine, found) | _detail(engine, connection, found)

    @routes.head("/api/renditions/{id}/{preset}", include_in_schema=False)
    @routes.get("/api/renditions/{id}/{preset}", response_class=Response)
    async def rendition(request: Request, id: Id, preset: Annotated[str, InPath(max_length=300)]) -> Response:
        """The file, with ETag, Last-Modified and ranges. One that is missing is made first."""
        found = await fetching.get(id, preset)
        return files.answer(found.file, request.headers, etag=found.etag, kind=found.kind)

    return routes


def _watch_id(engine: Engine, name: str) -> int:
    watcher = engine.watchers.get(name)
    if watcher is None:
        raise Problem(404, f"no watch is called {name}")
    return watcher.site.id


def _cursor(last: Listed) -> str:
    return base64.urlsafe_b64encode(json.dumps([last.done_at, last.id]).encode()).decode()


def _position(cursor: str) -> Position:
    if not cursor:
        return listing.START
    try:
        done_at, id_ = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
        position = float(done_at), int(id_)
        if abs(position[1]) < 2**63:
            return position
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError):
        pass
    raise invalid("cursor", "give what `next` of the page before said")


def _total(engine: Engine, connection: Reader, watch: str | None, state: State | None) -> int:
    counts = report.states(connection)
    names = engine.watchers if watch is None else [watch]
    return sum(n for (name, found), n in counts.items() if name in names and state in (None, found))


def _summary(engine: Engine, found: Listed) -> dict[str, Any]:
    """Paths are relative to the root of the watch."""
    watcher = engine.watcher_of(found.watch_id)
    return {
        "id": found.id,
        "watch": watcher.config.name if watcher is not None else None,
        **paths.named("", found.path),
        "state": found.state.name.lower(),
        "format": found.format or None,
        "width": found.width,
        "height": found.height,
        "bytes": max(0, found.version.size),
        "done_at": times.rfc3339(found.done_at) if found.done_at else None,
        "reason": found.failure.reason if found.failure else None,
    }


def _detail(engine: Engine, connection: Reader, found: Listed) -> dict[str, Any]:
    version, failure = found.version, found.failure
    return {
        "version": {
            "size": max(0, version.size),
            "mtime_ns": str(version.mtime_ns),
            "hash": version.hash.hex() if version.hash else None,
        },
        "decoder": found.decoder or None,
        "extra": found.extra or None,
        "seen_at": times.rfc3339(found.seen_at),
        "failure": None if failure is None else {
            "reason": failure.reason, "message": failure.message, "decoder": failure.decoder or None,
            "tries": failure.tries, "first_at": times.rfc3339(failure.first_at),
            "last_at": times.rfc3339(failure.last_at),
        },
        "renditions": [_rendition(found, each) for each in renditions.of(connection, found.id)],
        "analysis": analyses.as_json(connection, found.id),
    }  # fmt: skip


def _rendition(found: Listed, made: renditions.Made) -> dict[str, Any]:
    """`path` is relative to the output; `saved` the bytes that it is smaller than its source."""
    place = rendition_path(paths.parent(found.path), made.area, made.name)
    kept = made.note == "kept"
    named = {"path": None} if kept else paths.named("", place)
    return {"preset": made.preset} | named | {
        "width": made.width, "height": made.height, "bytes": made.bytes,
        "saved": None if kept else found.version.size - made.bytes,
        "present": made.present and not kept, "note": made.note or None,
        "made_at": None if kept else times.of_file(made.mtime_ns),
    }  # fmt: skip
