"""The quarantine."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from hotfolder.engine import Engine
from hotfolder.server.bodies import PathsBody
from hotfolder.server.files import in_thread
from hotfolder.server.models import Retried
from hotfolder.services import quarantine
from hotfolder.services.quarantine import Quarantined

LISTED = 100_000


def router(engine: Engine) -> APIRouter:
    routes = APIRouter(tags=["failures"])

    @routes.get("/api/failures")
    def failures(limit: Annotated[int, Query(ge=1, le=LISTED)] = LISTED) -> list[Quarantined]:
        """Images that failed for good, each with its reason."""
        return quarantine.failures(engine, limit)

    @routes.post("/api/failures/retry")
    async def retry(body: PathsBody) -> Retried:
        """Try the quarantine again, all of it or these paths."""
        paths = body.named()
        return Retried(retried=await in_thread(lambda: quarantine.retry(engine, paths)))

    return routes
