"""uvicorn outside the main thread: the same application on the port and on `<state>/control.sock`.

The control socket has mode 0600 and needs no token; it is there with `http.enabled: false`, too.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading

import uvicorn

from hotfolder import logs
from hotfolder.engine import Engine
from hotfolder.errors import StartError
from hotfolder.serving import app, state, uploads
from hotfolder.serving.guard import Guard
from hotfolder.serving.live import Pulse
from hotfolder.serving.requests import Requests
from hotfolder.serving.sessions import Sessions

CONTROL = "control.sock"
START_SECONDS = 10.0

log = logs.get("serving")


class _Listener(uvicorn.Server):
    """A server without signal handlers that says when it stands."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.standing = threading.Event()

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield  # signals are the daemon's

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.standing.set()


class Server:
    """Both listeners; `start()` returns when they answer."""

    def __init__(self, engine: Engine, token: str | None) -> None:
        self._engine = engine
        self._token = token
        self._path = os.path.join(engine.config.state, CONTROL)
        self._running: list[tuple[_Listener, threading.Thread]] = []
        self._pulse = Pulse(engine.events, lambda: state.status(engine))
        self.address: str | None = None

    def start(self) -> None:
        """Raises StartError where the port is taken or the socket cannot be made."""
        state.bind_metrics(self._engine)
        sessions = Sessions(self._token) if self._token is not None else None
        application = app.create(self._engine, Requests(self._engine), sessions)
        http = self._engine.config.http
        sockets: list[tuple[socket.socket, bool]] = []
        if http.enabled:
            sockets.append((_listen(http.host, http.port), False))
            host, port = sockets[0][0].getsockname()[:2]
            self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}{http.root_path}/"
        sockets.append((_listen_unix(self._path), True))
        for listening, trusted in sockets:
            hosts = (*http.hosts, http.host)
            guarded = Guard(
                application, self._engine.metrics, sessions=sessions, hosts=hosts, root_path=http.root_path,
                upload_limit=http.upload_limit, trusted=trusted,
            )  # fmt: skip
            self._serve(guarded, listening, "control" if trusted else "http")
        self._pulse.start()
        threading.Thread(
            target=uploads.remove_leftovers, args=(self._engine,), name="hotfolder-leftovers", daemon=True
        ).start()

    def _serve(self, application: Guard, listening: socket.socket, name: str) -> None:
        config = uvicorn.Config(
            application, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1,
            limit_concurrency=200, h11_max_incomplete_event_size=65_536, ws="websockets-sansio", ws_max_size=65_536,
            ws_per_message_deflate=False,
        )  # fmt: skip
        listener = _Listener(config)
        thread = threading.Thread(
            target=listener.run, args=([listening],), name=f"hotfolder-{name}", daemon=True
        )  # fmt: skip
        thread.start()
        self._running.append((listener, thread))
        if not listener.standing.wait(START_SECONDS):
            raise StartError(f"the {name} server did not start within {START_SECONDS:g} s")

    def stop(self) -> None:
        self._pulse.stop()
        for listener, _ in self._running:
            listener.should_exit = True
        for _, thread in self._running:
            thread.join(3.0)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        reason = os.strerror(error.errno or 0)
        raise StartError(f"http: {host}:{port}: {reason}; stop what uses it, or set another http.port") from error
    listening.listen(128)
    listening.setblocking(False)
    return listening


def _listen_unix(path: str) -> socket.socket:
    """The lock is ours, so a socket that lies there is of a process that died."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    former = os.umask(0o177)
    try:
        listening.bind(path)
    except OSError as error:
        listening.close()
        raise StartError(f"{path}: {error}; a shorter `state` path may help") from error
    finally:
        os.umask(former)
    listening.listen(128)
    listening.setblocking(False)
    return listening
