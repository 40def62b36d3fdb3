"""Every error in one shape: problem details (RFC 9457). Says what was wrong, and never a path of the server."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from hotfolder.server.guard import PROBLEM
from hotfolder.server.guard import problem as document
from hotfolder.services.problems import Problem

_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object", "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}  # fmt: skip
_DESCRIBED = {"description": "What was wrong (RFC 9457)", "content": {PROBLEM: {"schema": _SCHEMA}}}
RESPONSES: dict[int | str, dict[str, Any]] = {"4XX": _DESCRIBED, "503": _DESCRIBED}
"""For the OpenAPI document: every call may end so."""


def add(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        headers = None if error.retry_after is None else {"retry-after": str(error.retry_after)}
        return answer(error.status, error.detail, headers=headers, **error.more)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return answer(error.status_code, str(error.detail), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> Response:
        found = [{"field": _field(each["loc"]), "message": each["msg"]} for each in error.errors()]
        return answer(422, f"{found[0]['field']}: {found[0]['message']}", errors=found[:20])


def answer(status: int, detail: str, *, headers: Any = None, **more: object) -> Response:
    """`more` are members beyond those of the RFC."""
    body = document(status, HTTPStatus(status).phrase, detail, **more)
    return Response(body, status, headers, media_type=PROBLEM)


def _field(location: Any) -> str:
    """("body", "paths", 0) as ``paths.0``: the part of the request that holds it is said by nothing but its name."""
    names = [str(part) for part in location]
    return ".".join(names[1:] or names)
