"""The WebSocket as its clients see it: events of the pipeline, the pulse, and who may listen."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect, unix_connect

from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]


def listen(place: Place, topics: str = "pipeline,jobs,state", **options: Any) -> ClientConnection:
    client: ClientConnection = connect(f"ws://127.0.0.1:{place.port}/api/events?topics={topics}", **options)
    return client


def until(client: ClientConnection, event: str) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = json.loads(client.recv(timeout=20))
        if found["event"] == event:
            return found


def test_what_becomes_of_an_image(place: Place, run: Run) -> None:
    daemon = run(place)
    with listen(place, "pipeline") as client:
        source = place.put("one/a.jpg", jpeg())
        ready = until(client, "ready")
        assert (ready["topic"], ready["watch"], ready["path"], ready["renditions"]) == (
            "pipeline",
            "inbox",
            "one/a.jpg",
            7,
        )
        wait_for("the job to leave", lambda: not json.loads(daemon.get("/api/status"))["thread_pool"]["active_threads"])
        source.rename(place.inbox / "b.jpg")
        renamed = until(client, "renamed")
        assert (renamed["path"], renamed["was"], renamed["source_id"]) == ("b.jpg", "one/a.jpg", ready["source_id"])
        (place.inbox / "b.jpg").unlink()
        assert until(client, "removed")["source_id"] == ready["source_id"]
        place.put(b"bad\xff.png", b"\x89PNG\r\n\x1a\nnothing")
        off = until(client, "put_off")  # it may not be whole yet
        assert (off["path"], off["path_b64"], off["reason"]) == ("bad\\xff.png", "YmFk/y5wbmc=", "truncated")


def test_the_pulse_beats_for_listeners_only(place: Place, run: Run) -> None:
    run(place)
    with listen(place, "state") as client:
        first, second = until(client, "state"), until(client, "state")
        assert first["time"] < second["time"]
        assert second["watches"][0]["name"] == "inbox"
        assert set(second["queue"]) == {"fresh", "backlog", "capacity"}
    with unix_connect(str(place.base / ".hotfolder/control.sock"), "ws://localhost/api/events") as client:
        assert until(client, "state")["topic"] == "state"


def refused(place: Place, **headers: str) -> int:
    with pytest.raises(InvalidStatus) as caught:
        listen(place, additional_headers=headers)
    return caught.value.response.status_code


def test_who_may_listen(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path)
    (tmp_path / "token").write_text("a secret of some length\n")
    (tmp_path / "token").chmod(0o600)
    config = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(config.replace("port: ", "token_file: token, port: "))
    run(place)
    assert refused(place) == 401
    assert refused(place, Authorization="Bearer wrong") == 401
    authorization = "Bearer a secret of some length"
    assert refused(place, Authorization=authorization, Origin="http://evil.example") == 403
    assert refused(place, Authorization=authorization, **{"Sec-Fetch-Site": "cross-site"}) == 403
    assert refused(place, Cookie="hotfolder_session=99999999999.0123") == 401
    with listen(place, additional_headers={"Authorization": authorization}) as client:
        assert until(client, "state")

    # A browser: the page asks for the token, and gives it for a cookie.
    address = f"http://127.0.0.1:{place.port}"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(address)
    assert caught.value.code == 401
    assert b"<html" in caught.value.read()
    assert session(address, "wrong") == (401, "")
    status, cookie = session(address, "a secret of some length")
    assert status == 204
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "secret" not in cookie
    given = {"Cookie": cookie.partition(";")[0], "Origin": address}
    with listen(place, additional_headers=given) as client:
        assert until(client, "state")


def session(address: str, token: str) -> tuple[int, str]:
    body = json.dumps({"token": token}).encode()
    request = urllib.request.Request(f"{address}/api/session", body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers["set-cookie"]
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_another_host_is_refused(place: Place, run: Run) -> None:
    run(place)
    with socket.create_connection(("127.0.0.1", place.port)) as client:
        client.sendall(
            b"GET /api/events HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 403")


def test_who_is_slow_to_say_what_it_wants_is_hung_up_on(place: Place, run: Run) -> None:
    place.hook("import hotfolder.server.server as server\nserver.HEAD_SECONDS = 0.4\n")
    daemon = run(place)
    with listen(place, "state") as live, socket.create_connection(("127.0.0.1", place.port), timeout=20) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
        assert slow.recv(100) == b""
        until(live, "state")
        until(live, "state")  # a WebSocket is no request that is late
    assert daemon.get("/healthz")
