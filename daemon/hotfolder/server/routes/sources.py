"""What is known: sources in pages, and one source with all that was made of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from hotfolder.engine import Engine
from hotfolder.model import State, StateName
from hotfolder.services import sources
from hotfolder.services.sources import SourceDetail, SourcePage

Id = Annotated[int, Path(ge=1, le=2**63 - 1)]


def router(engine: Engine) -> APIRouter:
    routes = APIRouter(tags=["sources"])

    @routes.get("/api/sources")
    def listed(
        watch: str | None = None,
        state: StateName | None = None,
        text: Annotated[str, Query(max_length=200)] = "",
        cursor: Annotated[str, Query(max_length=100)] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 60,
    ) -> SourcePage:
        """The newest first. `next` is the `cursor` of the page behind this one; null on the last."""
        return sources.page(engine, watch, State[state.upper()] if state else None, text, cursor, limit)

    @routes.get("/api/sources/{id}")
    def detail(id: Id) -> SourceDetail:
        """One source: its version, what was made of it, why it failed, what the analysis says."""
        return sources.one(engine, id)

    return routes
