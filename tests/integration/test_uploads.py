"""Uploads as senders make them: streamed, whole or not at all, under a clean name, never over another file."""

from __future__ import annotations

import http.client
import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
ADDRESS = "/api/image-processing/uploads"
BOUNDARY = "limit-of-parts"


def body(*parts: tuple[str, str | None, bytes]) -> bytes:
    """(field, file name, content) each."""
    text = b""
    for field, filename, content in parts:
        head = f'form-data; name="{field}"' + (f'; filename="{filename}"' if filename is not None else "")
        text += f"--{BOUNDARY}\r\nContent-Disposition: {head}\r\n\r\n".encode() + content + b"\r\n"
    return text + f"--{BOUNDARY}--\r\n".encode()


def send(place: Place, content: bytes, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
    given = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"} | headers
    connection.request("POST", ADDRESS, content, given)
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    return answer.status, found


def sources(place: Place) -> set[str]:
    return {str(path.relative_to(place.inbox)) for path in place.inbox.rglob("*") if path.is_file()}


def test_files_arrive_and_are_made(place: Place, run: Run) -> None:
    daemon = run(place)
    first, second = jpeg(200, 150), jpeg(300, 200, seed=1)
    status, found = send(place, body(("files", "a.jpg", first), ("files", "Grüße 1.jpg", second)))
    assert status == 201, found
    assert [(each["name"], each["watch"], each["bytes"]) for each in found["uploaded"]] == [
        ("a.jpg", "inbox", len(first)),
        ("Grüße 1.jpg", "inbox", len(second)),
    ]
    assert (place.inbox / "a.jpg").read_bytes() == first
    daemon.wait_renditions(place.of("a.jpg") | place.of("Grüße 1.jpg"))
    assert sources(place) == {"a.jpg", "Grüße 1.jpg"}

    status, problem = send(place, body(("files", "b.jpg", first), ("files", "a.jpg", second)))
    assert (status, [each["name"] for each in problem["uploaded"]]) == (409, ["b.jpg"])
    assert (place.inbox / "a.jpg").read_bytes() == first


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("../../up.jpg", "up.jpg"),
        ("/etc/absolute.jpg", "absolute.jpg"),
        ("C:\\\\photos\\\\dos.jpg", "dos.jpg"),
        (".hidden.jpg", "hidden.jpg"),
        ("x\x07y.jpg", "xy.jpg"),
        ("..%2f..%2fz.jpg", "..%2f..%2fz.jpg"),
    ],
)
def test_a_name_is_never_a_path(place: Place, run: Run, sent: str, name: str) -> None:
    run(place)
    before = {path for path in place.base.rglob("*") if ".hotfolder" not in path.parts}
    status, found = send(place, body(("files", sent, jpeg(20, 20))))
    assert status == 201, found
    cleaned = name.lstrip(".")
    assert found["uploaded"][0]["name"] == cleaned
    assert sources(place) == {cleaned}
    new = {path for path in place.base.rglob("*") if ".hotfolder" not in path.parts} - before
    assert all(place.inbox in path.parents or place.out in path.parents for path in new)


def test_what_is_refused_leaves_nothing(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path)
    config = (tmp_path / "config.yaml").read_text()
    text = config.replace("port: ", "upload_limit: 50kB, port: ")
    (tmp_path / "config.yaml").write_text(text.replace("settle", "exclude: ['secret*']\n    settle"))
    run(place)
    small = jpeg(20, 20)
    assert send(place, body(("files", "a.exe", small)))[0] == 422
    assert send(place, body(("files", "..", small)))[0] == 422
    assert send(place, body(("files", ".jpg", small)))[0] == 422
    assert send(place, body(("files", "a" * 300 + ".jpg", small)))[0] == 422
    assert send(place, body(("files", "secret.jpg", small)))[0] == 422
    assert send(place, body(("watch", None, b"other"), ("files", "a.jpg", small)))[0] == 404
    assert send(place, body(("watch", None, b"inbox")))[0] == 422
    assert send(place, b"not multipart at all")[0] == 422
    assert send(place, body(("files", "a.jpg", small))[:-20])[0] == 422
    assert send(place, small, **{"Content-Type": "image/jpeg"})[0] == 415
    assert send(place, body(("files", "big.jpg", bytes(60_000))))[0] == 413
    assert send(place, body(("files", "huge.jpg", bytes(2_000_000))))[0] == 413
    assert sources(place) == set()
    assert send(place, body(("watch", None, b"inbox"), ("files", "a.jpg", small)))[0] == 201


def begun(place: Place) -> socket.socket:
    """An upload whose end never comes."""
    client = socket.create_connection(("127.0.0.1", place.port))
    content = body(("files", "half.jpg", jpeg(400, 300)))
    client.sendall(
        f"POST {ADDRESS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n".encode()
        + content[:9000]
    )
    wait_for("the temporary file", lambda: any(name.startswith(".hotfolder-") for name in sources(place)))
    return client


def test_an_upload_that_breaks_off_leaves_nothing(place: Place, run: Run) -> None:
    daemon = run(place)
    begun(place).close()
    wait_for("the temporary file to go", lambda: sources(place) == set(), context=daemon.text)
    client = begun(place)
    daemon.stop(signal.SIGKILL)
    client.close()
    assert len(sources(place)) == 1
    run(place)
    wait_for("what the killed process left to go", lambda: sources(place) == set())
