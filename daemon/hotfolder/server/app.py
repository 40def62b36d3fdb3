"""The HTTP application: one for the port and for the control socket. Routes only; answers come from state and requests.

None blocks the event loop: plain functions run in FastAPI's threads; what touches a root or an output runs in those of
files.py, so that a mount that hangs stops nothing else.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from hotfolder.config import Hook
from hotfolder.engine import Engine
from hotfolder.model import Lane
from hotfolder.server import errors, examples, live, orders, sessions, sources, static, uploads
from hotfolder.server.files import in_thread
from hotfolder.server.sessions import Sessions
from hotfolder.services import estimate, hooks, naming, state, waiting  # fmt: skip
from hotfolder.services.cache import Cache
from hotfolder.services.overview import Overview
from hotfolder.services.paths import PathsBody, in_query
from hotfolder.services.rescans import Requests
from hotfolder.services.why import explain
from hotfolder.version import VERSION


class Body(BaseModel):
    """Unknown fields are 422."""

    model_config = ConfigDict(extra="forbid")


class RescanBody(PathsBody):
    watch: str | None = None
    verify: bool = False
    confirm_deletes: bool = False
    adopt: bool = False


class HoldBody(Body):
    lane: Literal["backlog", "all"] = "all"
    watch: str | None = None

    @property
    def lanes(self) -> frozenset[Lane]:
        return frozenset(Lane) if self.lane == "all" else frozenset({Lane.BACKLOG})


class HooksBody(Body):
    hook: str | None = None


class HookBody(Body):
    hook: str


def create(engine: Engine, requests: Requests, tokens: Sessions) -> FastAPI:
    """The application for one engine."""
    root_path = engine.config.http.root_path
    app = FastAPI(title="hotfolder", version=VERSION, root_path=root_path, redoc_url=None, responses=errors.RESPONSES)
    errors.add(app)
    static.add(app)
    sessions.add(app, tokens)
    _add_observation(app, engine)
    _add_processing(app, engine, requests)
    _add_control(app, engine, requests)
    _add_cache(app, engine)
    app.include_router(sources.router(engine))
    app.include_router(orders.router(engine, requests))
    app.include_router(uploads.router(engine))
    live.add(app, engine.events)
    waiting.add(app, engine)
    estimate.add(app, engine)
    examples.add(app)
    return app


def _add_observation(app: FastAPI, engine: Engine) -> None:
    @app.get("/metrics", response_class=Response)
    def metrics(request: Request) -> Response:
        state.refresh_metrics(engine)
        content, content_type = engine.metrics.expose(request.headers.get("accept", ""))
        return Response(content, headers={"content-type": content_type})

    @app.get("/healthz")
    def healthz() -> JSONResponse:
        problems = engine.health.problems()
        content = {"status": "failing" if problems else "ok", "version": VERSION, "problems": problems}
        return JSONResponse(content, 503 if problems else 200)

    @app.get("/readyz")
    def readyz() -> JSONResponse:
        problems = state.readiness(engine)
        content = {"ready": not problems, "problems": problems, "paused": engine.holds.state.as_dict()["paused"]}
        return JSONResponse(content, 503 if problems else 200)


def _add_processing(app: FastAPI, engine: Engine, requests: Requests) -> None:
    base = "/api/image-processing"

    @app.get(f"{base}/presets")
    def presets() -> dict[str, Any]:
        return state.presets(engine)

    @app.get(f"{base}/stats")
    def stats() -> dict[str, Any]:
        return state.stats(engine)

    @app.get(f"{base}/cache/stats")
    def cache_stats() -> dict[str, Any]:
        return Cache(engine).stats()

    @app.delete(f"{base}/cache/thumbnails")
    async def clear(watch: str | None = None, preset: str | None = None) -> dict[str, int]:
        """Remove renditions, all or of one watch or preset; they are made again when asked for, or by a rescan."""
        _check_watch(engine, watch)
        return await in_thread(lambda: Cache(engine).clear(watch, preset))


def _check_watch(engine: Engine, name: str | None) -> None:
    if name is not None and name not in engine.watchers:
        raise HTTPException(404, f"no watch is called {name}")


def _check_hook(engine: Engine, name: str) -> Hook:
    found = hooks.named(engine, name)
    if found is None:
        raise HTTPException(404, f"no hook is called {name}")
    return found


def _add_control(app: FastAPI, engine: Engine, requests: Requests) -> None:
    @app.get("/api/status")
    def status() -> dict[str, Any]:
        return state.status(engine)

    overview = Overview(engine)

    @app.get("/api/library/summary")
    def library() -> dict[str, Any]:
        """What is in everything that was analysed: formats, cameras, dates, distributions, duplicates, savings."""
        return overview.summary()

    @app.get("/api/why")
    async def why(path: Annotated[str, Query(min_length=1, max_length=4096)], request: Request) -> dict[str, Any]:
        """All that is known of one image. Its name may have any bytes, percent-encoded."""
        exact = in_query(request.scope["query_string"], "path")

        def look() -> dict[str, Any]:
            named = naming.resolve(engine, exact, "path")
            return explain(engine, named.watcher, named.path)

        return await in_thread(look)

    @app.post("/api/rescan", status_code=202)
    async def rescan(body: RescanBody) -> dict[str, Any]:
        """Compare everything, one watch, or these folders and files with the index."""
        _check_watch(engine, body.watch)
        paths = body.named()
        job_id = await in_thread(
            lambda: requests.rescan(
                body.watch, paths, verify=body.verify, confirm=body.confirm_deletes, adopt=body.adopt
            )
        )
        return {"job_id": job_id, "status_url": f"/api/jobs/{job_id}", "total": 0}

    @app.post("/api/pause")
    def pause(body: HoldBody) -> dict[str, Any]:
        _check_watch(engine, body.watch)
        return engine.holds.pause(body.lanes, body.watch).as_dict()

    @app.post("/api/resume")
    def resume(body: HoldBody) -> dict[str, Any]:
        return engine.holds.resume(body.lanes, body.watch).as_dict()

    @app.get("/api/failures")
    def failures(limit: Annotated[int, Query(ge=1, le=100_000)] = 100_000) -> list[dict[str, Any]]:
        return requests.failures()[:limit]

    @app.post("/api/failures/retry")
    async def retry(body: PathsBody) -> dict[str, int]:
        """Try the quarantine again, all of it or these paths."""
        paths = body.named()
        return {"retried": await in_thread(lambda: requests.retry_failures(paths))}

    @app.get("/api/hooks")
    def list_hooks() -> dict[str, Any]:
        return hooks.listed(engine)

    @app.post("/api/hooks/retry")
    def retry_hooks(body: HooksBody) -> dict[str, int]:
        if body.hook is not None:
            _check_hook(engine, body.hook)
        return {"retried": hooks.retry(engine, body.hook)}

    @app.post("/api/hooks/test")
    def test_hook(body: HookBody) -> dict[str, Any]:
        return hooks.test(_check_hook(engine, body.hook))


def _add_cache(app: FastAPI, engine: Engine) -> None:
    @app.post("/api/cache/verify")
    async def verify() -> dict[str, int]:
        """Look whether every rendition is still as it was made."""
        return await in_thread(Cache(engine).verify)

    @app.post("/api/cache/gc")
    async def collect() -> dict[str, int]:
        """Remove what was made for watches that are no longer configured."""
        return await in_thread(Cache(engine).collect)
