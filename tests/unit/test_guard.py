"""Who may ask over HTTP: the Host that was meant, and no page of another site."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from hotfolder.config.schema import Http
from hotfolder.server.guard import Guard
from hotfolder.server.sessions import Sessions
from hotfolder.telemetry.metrics import Metrics

OWN = "localhost:9766"
NAVIGATION = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def status(path: str = "/api/status", *, method: str = "GET", kind: str = "http", **headers: str) -> int:
    """How a request with these headers is answered, `_` for `-`; Host is our own where none is given."""
    http = Http.model_validate({"hosts": ["NAS.local"]})
    guard = Guard(application, Metrics("", "", []), sessions=Sessions(None), http=lambda: http, trusted=False)
    given = {"host": OWN} | {name.replace("_", "-"): value for name, value in headers.items()}
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    scope = {"type": kind, "path": path, "headers": raw} | ({"method": method} if kind == "http" else {})
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request" if kind == "http" else "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    return int(sent[0].get("status", 403))


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9766", "127.0.0.1:1", "[::1]:9766", "nas.LOCAL", "nas.local:8443"]
)
def test_our_hosts_in_any_spelling(host: str) -> None:
    assert status(host=host) == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "evil.example:9766", "evil@localhost"])
def test_other_hosts_reach_only_what_machines_ask_for(host: str) -> None:
    for path in ("/", "/api/status", "/docs", "/api/session", "/healthz/x"):
        assert status(path, host=host) == 403
    for path in ("/healthz", "/readyz", "/metrics"):
        assert status(path, host=host) == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_pages_of_other_sites_may_link_to_us_and_nothing_else(site: str) -> None:
    assert status(sec_fetch_site=site) == 403
    assert status("/healthz", sec_fetch_site=site) == 403
    for path in ("/", "/api/renditions/1/small"):
        assert status(path, sec_fetch_site=site, **NAVIGATION) == 200
        assert status(path, sec_fetch_site=site, **NAVIGATION | {"sec-fetch-dest": "iframe"}) == 403
        assert status(path, sec_fetch_site=site, **NAVIGATION | {"sec-fetch-mode": "no-cors"}) == 403
        assert status(path, method="POST", sec_fetch_site=site, **NAVIGATION) == 403
    assert status("/api/events", kind="websocket", sec_fetch_site=site, **NAVIGATION) == 403
    assert status(host="evil.example", sec_fetch_site=site, **NAVIGATION) == 403


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_our_own_page_is_believed_by_what_its_browser_says(site: str) -> None:
    """A proxy that passes another Host on changes nothing about that."""
    assert status(method="POST", sec_fetch_site=site) == 200
    assert status(method="POST", sec_fetch_site=site, origin="https://photos.example") == 200


@pytest.mark.parametrize(
    ("host", "origin", "expected"),
    [
        (OWN, "http://localhost:9766", 200),
        (OWN, "http://LocalHost:9766", 200),
        (OWN, "http://localhost:9767", 403),
        (OWN, "http://localhost", 403),
        (OWN, "http://evil.example:9766", 403),
        (OWN, "null", 403),
        (OWN, "http://localhost:x", 403),
        (OWN, "", 403),
        ("localhost", "https://localhost:8443", 200),
        ("localhost", "http://localhost", 200),
        ("localhost", "http://evil.example", 403),
        ("localhost:443", "https://localhost", 200),
        ("localhost:80", "http://localhost", 200),
        ("localhost:80", "https://localhost", 403),
        ("[::1]:9766", "http://[::1]:9766", 200),
        ("[::1]", "http://[::1]:9766", 200),
    ],
)
def test_an_older_browser_is_judged_by_its_origin(host: str, origin: str, expected: int) -> None:
    assert status(method="POST", host=host, origin=origin) == expected
