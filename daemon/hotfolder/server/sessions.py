"""Proof that one may ask: the token itself (programs), or a cookie that was given for it (browsers).

A session is `<end>.<HMAC-SHA256 of end by the token>`: nothing is stored, it lasts over restarts, and another token
ends them all. The standard library's `hmac` does all that signs: itsdangerous would be one more package that everybody
has to install, for three lines.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import Field

from hotfolder.server.bodies import Body

COOKIE = "hotfolder_session"
SESSION_SECONDS = 30 * 86400


class Sessions:
    """For one token, or for none: then everybody may ask. Comparisons take the same time whatever is given."""

    def __init__(self, token: str | None, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.change(token)

    def change(self, token: str | None) -> None:
        """Another token ends all sessions."""
        self.needed = token is not None
        self._token = (token or "").encode()

    def is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)

    def begin(self) -> str:
        """The value of a new session's cookie."""
        end = str(int(self._clock()) + SESSION_SECONDS)
        return f"{end}.{self._sign(end)}"

    def admits(self, headers: dict[str, str]) -> bool:
        """Whether a request with these headers (names in lower case) may pass."""
        if not self.needed:
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.is_token(given.strip())
        return self._is_running(_cookie(headers.get("cookie", "")))

    def _is_running(self, value: str) -> bool:
        end, _, signature = value.partition(".")
        signed = hmac.compare_digest(signature.encode("utf-8", "replace"), self._sign(end).encode())
        return signed and int(end) > self._clock()

    def _sign(self, end: str) -> str:
        return hmac.new(self._token, b"hotfolder session " + end.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value


class SessionBody(Body):
    """What `http.token_file` holds."""

    token: Annotated[str, Field(max_length=4096)]


def router(sessions: Sessions) -> APIRouter:
    """The routes. Without a token there is nothing to prove, and no cookie."""
    routes = APIRouter(tags=["session"])

    @routes.post("/api/session", status_code=204)
    def begin(body: SessionBody, request: Request) -> Response:
        """For browsers: the token for a cookie that scripts cannot read."""
        answer = Response(status_code=204)
        if sessions.needed:
            if not sessions.is_token(body.token):
                raise HTTPException(401, "that is not the token")
            answer.set_cookie(COOKIE, sessions.begin(), max_age=SESSION_SECONDS, **_attributes(request))
        return answer

    @routes.delete("/api/session", status_code=204)
    def end(request: Request) -> Response:
        """Sign out: the browser forgets the cookie."""
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, **_attributes(request))
        return answer

    return routes


def _attributes(request: Request) -> dict[str, Any]:
    secure = request.url.scheme == "https"
    path = request.scope.get("root_path") or "/"
    return {"path": path, "secure": secure, "httponly": True, "samesite": "strict"}
