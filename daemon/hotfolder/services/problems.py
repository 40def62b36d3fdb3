"""What a request ends with, as an exception: known to routes, to the CLI, and to all between them; no web framework."""

from __future__ import annotations

from hotfolder.errors import HotfolderError


class Problem(HotfolderError):
    """`retry_after`: seconds, for what may pass; `more`: members beyond those of RFC 9457."""

    def __init__(self, status: int, detail: str, *, retry_after: int | None = None, **more: object) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
        self.more = more


def invalid(field: str, message: str) -> Problem:
    """422 for one field of the request."""
    return Problem(422, f"{field}: {message}", errors=[{"field": field, "message": message}])
