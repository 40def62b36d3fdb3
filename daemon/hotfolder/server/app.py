"""The HTTP application put together: one for the port and for the control socket."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from fastapi import APIRouter, Depends, FastAPI, Request

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
from hotfolder.services.errors import Unavailable
from hotfolder.services.rescans import Rescans
from hotfolder.version import VERSION

# FastAPI asks of each type that a route names whether it is one of pydantic 1, and would load that to know: 15 ms and
# 1 MB of every start. That it is not there is an answer, too.
sys.modules.setdefault("pydantic.v1", None)  # type: ignore[arg-type]

RETRY_SECONDS = 5
"""Until the state folder may be back."""


def create(engine: Engine, tokens: Sessions) -> FastAPI:
    """The application for one engine."""
    root_path = engine.config.http.root_path
    app = FastAPI(title="hotfolder", version=VERSION, root_path=root_path, redoc_url=None, responses=errors.RESPONSES)
    errors.add(app)
    for router in (static.router(), sessions.router(tokens), live.router(engine.events)):
        app.include_router(router)
    for router in _rooms(engine):
        app.include_router(router, dependencies=[Depends(_changes_nothing_without_its_state(engine))])
    examples.add(app)
    return app


def _rooms(engine: Engine) -> Iterator[APIRouter]:
    """Of what is served of the engine."""
    for room in (observation, state, library, images, holds, failures, hooks, cache):
        yield room.router(engine)
    for room in (sources, renditions, orders, uploads):
        yield room.router(engine)
    rescans = Rescans(engine)
    yield scans.router(engine, rescans)
    yield jobs.router(engine, rescans)


def _changes_nothing_without_its_state(engine: Engine) -> Callable[[Request], None]:
    """Another process may have taken the state folder in its place, and work on the same outputs."""

    def check(request: Request) -> None:
        problem = engine.possession.problem
        if problem is not None and request.method not in ("GET", "HEAD"):
            raise Unavailable(problem, retry_after=RETRY_SECONDS)

    return check
