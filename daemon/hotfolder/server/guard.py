"""Who may ask, and how much: the token, the Host that was meant, no page of another site, bounds on size and time.

Plain ASGI, in front of everything. The control socket needs no token: its file mode is its guard. Hosts follow SIGHUP
and every refusal is a problem document; with Starlette's TrustedHostMiddleware neither would be so.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hotfolder.config.schema import Http
from hotfolder.server import static
from hotfolder.server.sessions import Sessions
from hotfolder.telemetry.metrics import Metrics

OPEN_PATHS = frozenset({"", "/metrics", "/healthz", "/readyz", "/api/session"})
"""These never need the token; the last one asks for it itself."""
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
BODY_MAX = 1_000_000
UPLOADS = "/api/image-processing/uploads"
ENVELOPE = 1_000_000
"""What a multipart body may have beyond the files in it."""
BODY_SECONDS = 60.0
"""So long may the next piece of a body be awaited."""

DRAIN_MOST = 20_000_000
DRAIN_SECONDS = 2.0
PROBLEM = "application/problem+json"

Refusal = tuple[int, str]


class Guard:
    """ASGI middleware. `trusted`: the control socket; `http` gives the section that is in force."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, *, sessions: Sessions, http: Callable[[], Http], trusted: bool
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._sessions = sessions
        self._http = http
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"].endswith("response.start"):
                status = message["status"]
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"].removeprefix(self._http().root_path.rstrip("/"))
        most = self._http().upload_limit + ENVELOPE if path == UPLOADS else BODY_MAX
        refusal = self._refusal(headers, path, most)
        if refusal is not None:
            if refusal[0] == 413:
                await _drain(receive)
            await _refuse(scope, receive, watched, refusal, login=path == "/")
        elif scope["type"] == "http":
            await self._app(scope, _bounded(receive, most), watched)
        else:
            await self._app(scope, receive, watched)
        # FastAPI leaves the route that matched in the scope; a path of the caller's own must not become a label.
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.http_requests.labels(route, str(status)).inc()
        if scope["type"] == "http":
            self._metrics.http_seconds.labels(route).observe(time.perf_counter() - began)

    def _refusal(self, headers: dict[str, str], path: str, most: int) -> Refusal | None:
        if not self._trusted and (refusal := self._stranger(headers, path)):
            return refusal
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            return 413, f"a body has at most {most} bytes here"
        return None

    def _stranger(self, headers: dict[str, str], path: str) -> Refusal | None:
        hosts = (self._http().host, *self._http().hosts)
        if _host_of(headers.get("host", "")) not in (*LOCAL_HOSTS, *map(str.lower, hosts)):
            return 403, "this Host is not one of ours; add it to http.hosts"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "requests from other sites are refused"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return 403, "requests from other sites are refused"
        is_open = path in OPEN_PATHS or path.startswith(static.PREFIX)
        if not is_open and not self._sessions.admits(headers):
            return 401, "give the token: Authorization: Bearer …"
        return None


def _bounded(receive: Receive, most: int) -> Receive:
    """A body of at most `most` bytes, whose pieces come in time; also where it does not say its length."""
    seen = 0
    whole = False

    async def bounded() -> Message:
        nonlocal seen, whole
        if whole:
            return await receive()  # that the client left; no time is set for that
        try:
            async with asyncio.timeout(BODY_SECONDS):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"nothing more of the body came for {BODY_SECONDS:g} s") from None
        seen += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if seen > most:
            raise HTTPException(413, f"a body has at most {most} bytes here")
        return message

    return bounded


async def _drain(receive: Receive) -> None:
    """Read some of a body that is too large: closed at once, the client would see a broken line and no answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            left = DRAIN_MOST
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _host_of(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: Refusal, *, login: bool) -> None:
    """Problem details (RFC 9457); who opens the page without a session gets one that asks for the token."""
    status, detail = refusal
    headers = {"connection": "close"} | ({"www-authenticate": "Bearer"} if status == 401 else {})
    answer = Response(problem(status, "refused", detail), status, headers, PROBLEM)
    if status == 401 and login:
        answer = static.response(static.LOGIN, {}, 401)
    await answer(scope, receive, send)


def problem(status: int, title: str, detail: str, **more: object) -> bytes:
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail} | more
    return json.dumps(content).encode()
