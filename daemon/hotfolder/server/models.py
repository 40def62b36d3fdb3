"""Answers that HTTP alone has; all others are those of services/."""

from __future__ import annotations

from pydantic import BaseModel

from hotfolder.services.answers import Answer


class Accepted(Answer):
    """A job was taken. `status_url`: where to look how far it is; `total`: how many images."""

    job_id: str
    status_url: str
    total: int


class Retried(Answer):
    """How many are tried again."""

    retried: int


class FieldProblem(BaseModel):
    """What is wrong with one field of a request."""

    field: str
    message: str


class Problem(BaseModel):
    """Problem details (RFC 9457). `errors`: of requests that are not valid."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []
