"""Who may ask: the token, the Host that was meant, and no page of another site. Plain ASGI, in front of everything.

The control socket needs none of it: its file mode is its guard.
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hotfolder.metrics import Metrics

OPEN_PATHS = frozenset({"/metrics", "/healthz", "/readyz"})
"""These never need the token."""
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
BODY_MAX = 1_000_000


class Guard:
    """ASGI middleware. `trusted`: the control socket."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, *, token: str | None, hosts: Iterable[str], trusted: bool
    ) -> None:  # fmt: skip
        self._app = app
        self._metrics = metrics
        self._token = token
        self._hosts = frozenset((*LOCAL_HOSTS, *hosts))
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        refusal = None if self._trusted else self._refusal(scope)
        if refusal is not None:
            await _answer(watched, *refusal)
        else:
            await self._app(scope, receive, watched)
        # FastAPI leaves the route that matched in the scope; a path of the caller's own must not become a label.
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.http_requests.labels(route, str(status)).inc()
        self._metrics.http_seconds.labels(route).observe(time.perf_counter() - began)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = _host_of(headers.get("host", ""))
        if host not in self._hosts:
            return 403, "this Host is not one of ours; add it to http.hosts"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "requests from other sites are refused"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return 403, "requests from other sites are refused"
        if int(headers.get("content-length") or 0) > BODY_MAX:
            return 413, f"a body has at most {BODY_MAX} bytes"
        if self._token is not None and scope["path"] not in OPEN_PATHS and not self._has_token(headers):
            return 401, "give the token: Authorization: Bearer …"
        return None

    def _has_token(self, headers: dict[str, str]) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        assert self._token is not None
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token.encode())


def _host_of(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()


async def _answer(send: Send, status: int, detail: str) -> None:
    body = json.dumps({"type": "about:blank", "title": "refused", "status": status, "detail": detail}).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
