"""Metrics, liveness and readiness."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from hotfolder.engine import Engine
from hotfolder.services import gauges, health
from hotfolder.services.health import Health, Readiness


def router(engine: Engine) -> APIRouter:
    routes = APIRouter(tags=["observation"])

    @routes.get("/metrics", response_class=Response)
    def metrics(request: Request) -> Response:
        """For Prometheus."""
        gauges.refresh(engine)
        content, content_type = engine.metrics.expose(request.headers.get("accept", ""))
        return Response(content, headers={"content-type": content_type})

    @routes.get("/healthz", responses={"503": {"model": Health, "description": "Something does not live"}})
    def healthz(response: Response) -> Health:
        """Whether all threads live."""
        found = health.health(engine)
        response.status_code = 503 if found.problems else 200
        return found

    @routes.get("/readyz", responses={"503": {"model": Readiness, "description": "Something stands in the way"}})
    def readyz(response: Response) -> Readiness:
        """Whether images are taken and made."""
        found = health.readiness(engine)
        response.status_code = 200 if found.ready else 503
        return found

    return routes
