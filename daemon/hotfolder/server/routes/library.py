"""The library as a whole."""

from __future__ import annotations

from fastapi import APIRouter

from hotfolder.engine import Engine
from hotfolder.services.overview import Library, Overview


def router(engine: Engine) -> APIRouter:
    routes = APIRouter(tags=["library"])
    overview = Overview(engine)

    @routes.get("/api/library/summary")
    def library() -> Library:
        """What is in everything that was analysed: formats, cameras, dates, distributions, duplicates, savings."""
        return overview.summary()

    return routes
