"""Hooks and their deliveries."""

from __future__ import annotations

from fastapi import APIRouter

from hotfolder.engine import Engine
from hotfolder.server.bodies import Body
from hotfolder.server.models import Retried
from hotfolder.services import hooks
from hotfolder.services.hooks import HookList, HookTest


class HooksBody(Body):
    """A hook by its name; default: all of them."""

    hook: str | None = None


class HookBody(Body):
    """A hook by its name."""

    hook: str


def router(engine: Engine) -> APIRouter:
    routes = APIRouter(tags=["hooks"])

    @routes.get("/api/hooks")
    def list_hooks() -> HookList:
        """Each hook with what waits for it, and the newest deliveries that were given up."""
        return hooks.listed(engine)

    @routes.post("/api/hooks/retry")
    def retry_hooks(body: HooksBody) -> Retried:
        """Try again what was given up."""
        return Retried(retried=hooks.retry(engine, body.hook))

    @routes.post("/api/hooks/test")
    def test_hook(body: HookBody) -> HookTest:
        """Deliver an event called `test` now."""
        return hooks.test(hooks.named(engine.config, body.hook))

    return routes
