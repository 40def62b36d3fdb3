"""How far jobs are: orders, and the rescans among them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from hotfolder.engine import Engine
from hotfolder.server.bodies import MOST
from hotfolder.services.jobs import Jobs, Order, OrderPage
from hotfolder.services.rescans import Rescan, Rescans

Id = Annotated[str, Field(max_length=64)]


def router(engine: Engine, rescans: Rescans) -> APIRouter:
    routes = APIRouter(tags=["jobs"])
    found = Jobs(engine, rescans)

    @routes.get("/api/jobs")
    def jobs() -> list[Order | Rescan]:
        """The newest first, without results."""
        return found.listed()

    @routes.get("/api/jobs/{id}")
    def job(
        id: Id,
        cursor: Annotated[int, Query(ge=0, le=MOST)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    ) -> OrderPage | Rescan:
        """How far a job is, with a page of its results; `next` is the `cursor` of the page behind it."""
        return found.one(id, cursor, limit)

    @routes.delete("/api/jobs/{id}")
    def cancel(id: Id) -> Order:
        """Give up what has not begun. One that has ended stays as it is."""
        return found.cancel(id)

    return routes
