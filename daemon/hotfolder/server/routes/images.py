"""Single images by their paths: what is known of one, and waiting for their renditions."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from hotfolder.engine import Engine
from hotfolder.server.bodies import PathsBody, in_query
from hotfolder.server.files import in_thread
from hotfolder.services import naming
from hotfolder.services.waiting import Awaited, Waiting
from hotfolder.services.why import Explanation, explain

PAUSE_SECONDS = (0.05, 0.5)
"""Between two looks, growing from the first to the second."""


class WaitBody(PathsBody):
    """The images, and for how long to wait at most."""

    seconds: Annotated[float, Field(ge=0, le=30)] = 10.0


def router(engine: Engine) -> APIRouter:
    routes = APIRouter(tags=["images"])

    @routes.get("/api/why")
    async def why(path: Annotated[str, Query(min_length=1, max_length=4096)], request: Request) -> Explanation:
        """All that is known of one image. Its name may have any bytes, percent-encoded."""
        exact = in_query(request.scope["query_string"], "path")

        def look() -> Explanation:
            named = naming.resolve(engine, exact, "path")
            return explain(engine, named.watcher, named.path)

        return await in_thread(look)

    @routes.post("/api/wait")
    async def wait(body: WaitBody) -> list[Awaited]:
        """Answers when none of the images waits any more, or after `seconds`. Holds no thread meanwhile."""
        ends = time.monotonic() + body.seconds
        pause, longest = PAUSE_SECONDS
        waiting = Waiting(engine, body.named())
        while await run_in_threadpool(waiting.look):
            left = ends - time.monotonic()
            if left <= 0:
                break
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, longest)
        return waiting.answers

    return routes
