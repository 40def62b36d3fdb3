"""Rescans, and what one would cost. How far a rescan is stands among the jobs."""

from __future__ import annotations

from fastapi import APIRouter

from hotfolder.engine import Engine
from hotfolder.server.bodies import PathsBody
from hotfolder.server.files import in_thread
from hotfolder.server.models import Accepted
from hotfolder.services.estimate import Estimate, estimate
from hotfolder.services.rescans import Rescans, Scope


class RescanBody(PathsBody):
    """These folders and files; without any the watch; without that everything."""

    watch: str | None = None
    verify: bool = False
    confirm_deletes: bool = False
    adopt: bool = False


class EstimateBody(PathsBody):
    """As of a rescan."""

    watch: str | None = None
    verify: bool = False


def router(engine: Engine, rescans: Rescans) -> APIRouter:
    routes = APIRouter(tags=["scans"])

    @routes.post("/api/rescan", status_code=202)
    async def rescan(body: RescanBody) -> Accepted:
        """Compare everything, one watch, or these folders and files with the index."""
        scope = Scope(body.watch, body.named(), body.verify, body.confirm_deletes, body.adopt)
        id_ = await in_thread(lambda: rescans.begin(scope))
        return Accepted(job_id=id_, status_url=f"{engine.config.http.root_path}/api/jobs/{id_}", total=0)

    @routes.post("/api/estimate")
    def ask(body: EstimateBody) -> list[Estimate]:
        """What a rescan would make, and about how many bytes and seconds that takes."""
        return estimate(engine, body.watch, body.named(), verify=body.verify, workers=engine.pool.size)

    return routes
