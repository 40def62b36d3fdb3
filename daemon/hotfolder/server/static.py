"""The files of the web page: read once, served with their types, an ETag, and a policy that lets nothing foreign in.

They hold no data: everything that is shown comes through the API, so they need no token; `/` itself does, and answers
with the login page where it is missing.

Starlette's StaticFiles makes an ETag of mtime and size, which an update of the package may leave as they were, and
reads the package again while it is being replaced.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

PREFIX = "/page/"
INDEX, LOGIN = "index.html", "login.html"
TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
HEADERS = {
    # Nothing inline, nothing from elsewhere, in no frame: a hostile name that became markup could do nothing.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-cache",  # kept, but asked for each time: an update of the daemon shows at once
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page, as it is sent."""

    content: bytes
    type: str
    etag: str


@cache
def files() -> dict[str, File]:
    """Every file of the page, by name."""
    found = {}
    for entry in resources.files("hotfolder.server").joinpath("page").iterdir():
        kind = TYPES.get(entry.name.rpartition(".")[2])
        if kind is not None:
            content = entry.read_bytes()
            found[entry.name] = File(content, kind, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
    return found


def response(name: str, request_headers: dict[str, str], status: int = 200) -> Response:
    """The file, or 304 where the browser has it. Raises KeyError for a name that is none of the page's."""
    file = files()[name]
    headers = HEADERS | {"etag": file.etag}
    known = [tag.strip().removeprefix("W/") for tag in request_headers.get("if-none-match", "").split(",")]
    if status == 200 and file.etag in known:
        return Response(status_code=304, headers=headers)
    return Response(file.content, status, headers | {"content-type": file.type})


def router() -> APIRouter:
    """The page at `/` and what it is made of below `/page/`."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/", methods=["GET", "HEAD"])
    def index(request: Request) -> Response:
        return response(INDEX, dict(request.headers))

    @routes.api_route(PREFIX + "{name}", methods=["GET", "HEAD"])
    def part(name: str, request: Request) -> Response:
        if name not in files():
            raise HTTPException(404, "the page has no such file")
        return response(name, dict(request.headers))

    return routes
