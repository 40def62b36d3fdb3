"""Pausing work, and going on with it. Watching goes on all the time."""

from __future__ import annotations

from fastapi import APIRouter

from hotfolder.engine import Engine
from hotfolder.model import HeldName
from hotfolder.server.bodies import Body
from hotfolder.services import holds, naming
from hotfolder.services.holds import Held


class HoldBody(Body):
    """The backlog or all lanes, of one watch or of all."""

    lane: HeldName = "all"
    watch: str | None = None


def router(engine: Engine) -> APIRouter:
    routes = APIRouter(tags=["state"])

    @routes.post("/api/pause")
    def pause(body: HoldBody) -> Held:
        """Begin no more work; what is in work ends. It lasts over restarts."""
        if body.watch is not None:
            naming.watcher(engine, body.watch)
        return holds.pause(engine, body.lane, body.watch)

    @routes.post("/api/resume")
    def resume(body: HoldBody) -> Held:
        """Go on. Also of a watch that is no longer configured."""
        return holds.resume(engine, body.lane, body.watch)

    return routes
