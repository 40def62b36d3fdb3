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
ANY_HOST = frozenset({"/metrics", "/healthz", "/readyz"})
"""What machines ask for, by whatever name or address they reach it."""
DEFAULT_PORTS = {"http": 80, "https": 443}
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
    """ASGI middleware. `trusted`: the control socket; `http` returns the section that is in force."""

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
        refusal = self._refusal(headers, path, scope.get("method", ""), most)
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

    def _refusal(self, headers: dict[str, str], path: str, method: str, most: int) -> Refusal | None:
        if not self._trusted and (refusal := self._stranger(headers, path, method)):
            return refusal
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            return 413, f"a body has at most {most} bytes here"
        return None

    def _stranger(self, headers: dict[str, str], path: str, method: str) -> Refusal | None:
        host = headers.get("host", "")
        known = (*LOCAL_HOSTS, self._http().host.lower(), *map(str.lower, self._http().hosts))
        if path not in ANY_HOST and _split(host)[0] not in known:
            return 403, "this Host is not one of ours; add it to http.hosts"
        if not _is_navigation(headers, method) and _is_of_another_site(headers, host):
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


def _is_navigation(headers: dict[str, str], method: str) -> bool:
    """Somebody follows a link: the answer is shown to him, and no page of another site reads it."""
    mode, goal = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    return (method, mode, goal) == ("GET", "navigate", "document")


def _is_of_another_site(headers: dict[str, str], host: str) -> bool:
    """By what the browser says of it; by the Origin, where it is too old to say so. No browser sends neither."""
    if (site := headers.get("sec-fetch-site")) is not None:
        return site not in ("none", "same-origin")
    return (origin := headers.get("origin")) is not None and not _is_own(origin, host)


def _is_own(origin: str, host: str) -> bool:
    """A Host without a port stands for any port: proxies drop it."""
    scheme, _, rest = origin.partition("://")
    name, port = _split(rest)
    own_name, own_port = _split(host)
    return name is not None and name == own_name and own_port in (None, port or DEFAULT_PORTS.get(scheme))


def _split(host: str) -> tuple[str | None, int | None]:
    """Name and port of a Host, in lower case; no name where it is none."""
    try:
        found = urlsplit(f"//{host}")
        wrong = found.username is not None or found.path or found.query or found.fragment
        return (None, None) if wrong else (found.hostname, found.port)
    except ValueError:
        return None, None


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
