"""The renditions themselves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from hotfolder.engine import Engine
from hotfolder.server import files
from hotfolder.server.routes.sources import Id
from hotfolder.services.renditions import Fetching


def router(engine: Engine) -> APIRouter:
    routes = APIRouter(tags=["sources"])
    fetching = Fetching(engine, files.in_thread)

    @routes.head("/api/renditions/{id}/{preset}", include_in_schema=False)
    @routes.get("/api/renditions/{id}/{preset}", response_class=Response)
    async def rendition(request: Request, id: Id, preset: Annotated[str, Path(max_length=300)]) -> Response:
        """The file, with ETag, Last-Modified and ranges. One that is missing is made first."""
        found = await fetching.get(id, preset)
        return files.answer(found.file, request.headers, etag=found.etag, kind=found.kind)

    return routes
