"""Every error in one shape: problem details (RFC 9457). Says what was wrong, and never a path of the server.

This alone knows which status an error of a use case has.
"""

from __future__ import annotations

import sqlite3
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from hotfolder.errors import SourceError
from hotfolder.faults import SHORT
from hotfolder.server.guard import PROBLEM
from hotfolder.server.guard import problem as document
from hotfolder.server.models import Problem
from hotfolder.services.errors import Conflict, Invalid, NotFound, Outside, ServiceError, TooLarge, Unavailable

AWAY_SECONDS = 30
"""When to try again what needs an output that is away."""
STATUSES: dict[type[ServiceError], HTTPStatus] = {
    Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFound: HTTPStatus.NOT_FOUND,
    Outside: HTTPStatus.FORBIDDEN,
    Conflict: HTTPStatus.CONFLICT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


def _schema() -> dict[str, Any]:
    """Of a problem document, with nothing to refer to: FastAPI keeps models of JSON alone among its components."""
    found = Problem.model_json_schema()
    found["properties"]["errors"]["items"] = found.pop("$defs")["FieldProblem"]
    return found


_DESCRIBED = {"description": "What was wrong (RFC 9457)", "content": {PROBLEM: {"schema": _schema()}}}
RESPONSES: dict[int | str, dict[str, Any]] = {"4XX": _DESCRIBED, "503": _DESCRIBED}
"""For the OpenAPI document: every call may end so."""


def add(app: FastAPI) -> None:
    @app.exception_handler(ServiceError)
    async def refused(request: Request, error: ServiceError) -> Response:
        return answer(error)

    @app.exception_handler(SourceError)
    async def unreachable(request: Request, error: SourceError) -> Response:
        """An output or a root is away: what an image causes is an answer, and never comes here."""
        return answer(Unavailable(error.message, retry_after=AWAY_SECONDS))

    @app.exception_handler(OSError)
    async def short(request: Request, error: OSError) -> Response:
        """This process is short of something (descriptors, memory); what else comes here is a bug."""
        if error.errno not in SHORT:
            raise error
        return answer(Unavailable(f"{error.strerror}: this machine is short of it", retry_after=AWAY_SECONDS))

    @app.exception_handler(sqlite3.OperationalError)
    async def unwritable(request: Request, error: sqlite3.OperationalError) -> Response:
        """The state's disk is full, read-only or fails."""
        return answer(Unavailable(f"the index cannot be used: {error}", retry_after=AWAY_SECONDS))

    @app.exception_handler(HTTPException)
    async def unroutable(request: Request, error: HTTPException) -> Response:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> Response:
        found = [{"field": _field(each["loc"]), "message": each["msg"]} for each in error.errors()]
        return _problem(422, f"{found[0]['field']}: {found[0]['message']}", errors=found[:20])


def answer(error: ServiceError | HTTPException, **more: object) -> Response:
    """The problem document of an error; `more` are members beyond those of the RFC."""
    if isinstance(error, HTTPException):
        return _problem(error.status_code, str(error.detail), error.headers, **more)
    headers = {"retry-after": str(error.retry_after)} if isinstance(error, Unavailable) else None
    if isinstance(error, Invalid):
        more = {"errors": [{"field": error.field, "message": error.message}]} | more
    return _problem(STATUSES[type(error)], str(error), headers, **more)


def _problem(status: int, detail: str, headers: Any = None, **more: object) -> Response:
    body = document(status, HTTPStatus(status).phrase, detail, **more)
    return Response(body, status, headers, media_type=PROBLEM)


def _field(location: Any) -> str:
    """("body", "paths", 0) as ``paths.0``: the part of the request that holds it is said by nothing but its name."""
    names = [str(part) for part in location]
    return ".".join(names[1:] or names)
