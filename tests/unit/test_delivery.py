"""One try of a delivery, with programs and receivers that do not behave."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hotfolder.config import Hook
from hotfolder.hooks import address, kinds, program
from hotfolder.hooks.answer import Answer
from tests.helpers import free_port

EVENT = {"id": "1", "event": "ready", "hook": "h", "watch": "w", "path": "/x", "path_b64": "L/8="}
Serve = Callable[[Callable[[socket.socket], None]], str]


def run(*command: str, timeout: float = 10.0, abort: threading.Event | None = None) -> Answer:
    return program.run(command, json.dumps(EVENT), 0, timeout, abort or threading.Event())


def post(url: str, timeout: float = 5.0) -> Answer:
    return address.post(url, "ready", "1", "{}", 0, timeout, None)


def test_a_child_that_lives_on_is_not_waited_for() -> None:
    began = time.monotonic()
    answer = run("/bin/sh", "-c", "sleep 60 & echo $!")
    assert answer.problem is None
    assert time.monotonic() - began < 30
    os.kill(int(answer.text), signal.SIGKILL)


def test_a_program_gets_the_exact_bytes_and_its_end_is_named() -> None:
    answer = run("/bin/sh", "-c", 'printf %s "$HOTFOLDER_PATH$HOTFOLDER_TRY"; exit 3')
    assert answer == Answer("it ended with exit status 3", b"/\xff1")
    assert run("/bin/sh", "-c", "kill -9 $$").problem == "it ended with signal 9"
    assert run("/bin/cat").output == json.dumps(EVENT).encode()


def test_a_program_that_has_gone_is_a_problem(tmp_path: Path) -> None:
    assert "cannot be run: No such file" in str(run(str(tmp_path / "gone")).problem)
    (tmp_path / "plain").write_text("x")
    assert "cannot be run: Permission denied" in str(run(str(tmp_path / "plain")).problem)
    (tmp_path / "plain").chmod(stat.S_IRWXU)
    assert "cannot be run: Exec format error" in str(run(str(tmp_path / "plain")).problem)


def test_it_can_be_broken_off() -> None:
    abort = threading.Event()
    threading.Timer(0.3, abort.set).start()
    began = time.monotonic()
    assert (
        run(sys.executable, "-c", "import signal; signal.pause()", timeout=600, abort=abort).problem == "hotfolder ends"
    )
    assert time.monotonic() - began < 60


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server that hands each connection to a function, after it has read the request."""
    listening = socket.create_server(("127.0.0.1", 0))

    def start(answer: Callable[[socket.socket], None]) -> str:
        def loop() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.recv(65_536)
                        answer(connection)

        threading.Thread(target=loop, daemon=True).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}/secret"

    yield start
    listening.close()


def test_an_answer_that_drips_ends_with_its_time(serve: Serve) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x")
            threading.Event().wait(0.2)

    began = time.monotonic()
    post(serve(drip), timeout=1.0)
    assert time.monotonic() - began < 15


def test_silence_noise_and_floods_are_bounded(serve: Serve) -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000_000)

    answer = post(serve(flood))
    assert answer.problem is None
    assert len(answer.output) == address.ANSWER_MOST


@pytest.mark.parametrize(
    ("sent", "said"), [(b"", "RemoteDisconnected|ProtocolError"), (b"nonsense\r\n\r\n", "ProtocolError|BadStatusLine")]
)
def test_what_is_no_http_is_a_problem(serve: Serve, sent: bytes, said: str) -> None:
    problem = str(post(serve(lambda connection: connection.sendall(sent))).problem)
    assert problem.startswith("http://127.0.0.1:")
    assert any(each in problem for each in said.split("|")), problem
    assert "secret" not in problem


def test_nobody_there_no_name_no_tls(serve: Serve) -> None:
    assert "no connection" in str(post(f"http://127.0.0.1:{free_port()}/").problem)
    assert "name" in str(post("http://no-such-host.invalid/").problem)
    url = serve(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n"))
    assert "TLS" in str(post(url.replace("http:", "https:")).problem)


def test_silence_ends_with_its_time(serve: Serve) -> None:
    held = threading.Event()

    def say_nothing(connection: socket.socket) -> None:
        held.wait(30)

    url = serve(say_nothing)
    began = time.monotonic()
    assert "no answer in time" in str(post(url, timeout=0.5).problem)
    assert time.monotonic() - began < 15
    held.set()


def test_what_is_shown_of_an_address() -> None:
    assert address.place("https://user:pass@example.org:8443/a?token=1") == "https://example.org:8443"
    assert address.place("http://[::1]/x") == "http://[::1]"


def test_each_hook_has_a_kind_and_each_kind_its_key() -> None:
    """A key of the configuration that leads nowhere would be a hook that is never delivered."""
    assert (
        set(kinds.KINDS)
        == {"run", "url"}
        == set(Hook.model_fields)
        - {
            *("name", "events", "watches", "timeout", "retries", "after", "secret_file", "secret"),
        }
    )
    program_hook = Hook(name="a", events=("ready",), run=("/bin/true", "secret"))
    address_hook = Hook(name="b", events=("ready",), url="http://example.org/secret")
    assert [kinds.of(each).goal(each) for each in (program_hook, address_hook)] == ["/bin/true", "http://example.org"]
