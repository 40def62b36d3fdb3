"""The HTTP application put together: one for the port and for the control socket."""

from __future__ import annotations

from fastapi import FastAPI

from hotfolder.engine import Engine
from hotfolder.server import errors, examples, live, sessions, static
from hotfolder.server.routes import (
    cache,
    failures,
    holds,
    hooks,
    images,
    jobs,
    library,
    observation,
    orders,
    renditions,
    scans,
    sources,
    state,
    uploads,
)
from hotfolder.server.sessions import Sessions
from hotfolder.services.rescans import Rescans
from hotfolder.version import VERSION


def create(engine: Engine, tokens: Sessions) -> FastAPI:
    """The application for one engine."""
    root_path = engine.config.http.root_path
    app = FastAPI(title="hotfolder", version=VERSION, root_path=root_path, redoc_url=None, responses=errors.RESPONSES)
    errors.add(app)
    rescans = Rescans(engine)
    for router in (
        static.router(),
        sessions.router(tokens),
        live.router(engine.events),
        *(room.router(engine) for room in (observation, state, library, images, holds, failures, hooks, cache)),
        *(room.router(engine) for room in (sources, renditions, orders, uploads)),
        scans.router(engine, rescans),
        jobs.router(engine, rescans),
    ):
        app.include_router(router)
    examples.add(app)
    return app
