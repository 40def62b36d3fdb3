"""How the daemon is, and what it is configured to make."""

from __future__ import annotations

from fastapi import APIRouter

from hotfolder.engine import Engine
from hotfolder.services import presets as configured
from hotfolder.services import state
from hotfolder.services.presets import PresetSpec
from hotfolder.services.state import Stats, Status


def router(engine: Engine) -> APIRouter:
    routes = APIRouter(tags=["state"])

    @routes.get("/api/status")
    def status() -> Status:
        """All that the daemon does."""
        return state.status(engine)

    @routes.get("/api/image-processing/stats")
    def stats() -> Stats:
        """The figures of the pool, of jobs, of speed and of memory."""
        return state.stats(engine)

    @routes.get("/api/image-processing/presets")
    def presets() -> dict[str, PresetSpec]:
        """The presets by name."""
        return configured.presets(engine)

    return routes
