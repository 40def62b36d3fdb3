"""uvicorn outside the main thread: the same application on the port and on `<state>/control.sock`.

The control socket has mode 0600 and needs no token; it is there with `http.enabled: false`, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hotfolder.engine import Engine
from hotfolder.errors import StartError
from hotfolder.loop import Loop
from hotfolder.server import app
from hotfolder.server.guard import Guard
from hotfolder.server.live import Pulse
from hotfolder.server.sessions import Sessions
from hotfolder.services import gauges, state, uploads
from hotfolder.services.answers import plain
from hotfolder.telemetry import logs

CONTROL = "control.sock"
START_SECONDS = 10.0
HEAD_SECONDS = 20.0
"""So long may the head of a request take."""
TICK_SECONDS = 1.0

log = logs.get("serving")

Identity = tuple[int, int] | None


class _Listener(uvicorn.Server):
    """A server without signal handlers that reports when it stands, and sleeps between requests."""

    def __init__(self, config: uvicorn.Config, standing: threading.Event) -> None:
        super().__init__(config)
        self.standing = standing
        self._ending = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield  # signals are the daemon's

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self.standing.set()

    async def main_loop(self) -> None:
        """A tick a second keeps the date of headers right; uvicorn's own loop wakes ten times as often."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), TICK_SECONDS)

    def end(self) -> None:
        """From any thread, after it stood."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ending.set)


class _Impatient(H11Protocol):
    """Whoever is slow to say what it wants is hung up on; else a few hundred of them would be all that we serve."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waits = self.cycle is None or self.cycle.response_complete
        if self.transport.get_protocol() is not self or not waits:
            self._stop_waiting()  # a WebSocket by now, or a request that has been read
        elif self._late is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._late = self.loop.call_later(HEAD_SECONDS, self._hang_up)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _hang_up(self) -> None:
        self._late = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


class _Serving:
    """One socket and the thread that answers on it; a server that ended by a bug is followed by another."""

    def __init__(self, config: uvicorn.Config, listening: socket.socket, name: str) -> None:
        self.listening = listening
        self.standing = threading.Event()
        self.loop = Loop(name, self._round)
        self._config = config
        self._listener: _Listener | None = None

    def _round(self) -> bool:
        self._listener = listener = _Listener(self._config, self.standing)
        if self.loop.stopped:
            return False
        with self.listening.dup() as copy:  # uvicorn closes what it is given
            copy.setblocking(False)
            listener.run([copy])
        return not listener.should_exit

    def end(self) -> None:
        self.loop.end()
        if self._listener is not None:
            self._listener.end()


class Server:
    """Both listeners; `start()` returns when they answer."""

    def __init__(self, engine: Engine, token: str | None) -> None:
        self._engine = engine
        self._sessions = Sessions(token)
        self._path = os.path.join(engine.config.state, CONTROL)
        self._running: list[_Serving] = []
        self._control: tuple[_Serving, Identity] | None = None
        self._unmade: str | None = None
        self._pulse = Pulse(engine.events, lambda: plain(state.status(engine)))
        self.address: str | None = None

    def start(self) -> None:
        """Raises StartError where the port is taken or the socket cannot be made."""
        gauges.bind(self._engine)
        self._application = app.create(self._engine, self._sessions)
        http = self._engine.config.http
        listening = None
        if http.enabled:
            listening = _listen(http.host, http.port)
            host, port = listening.getsockname()[:2]
            self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}{http.root_path}/"
        control = _listen_unix(self._path)
        if listening is not None:
            self._serve(listening, "http", trusted=False)
        self._control = self._serve(control, "control", trusted=True), _identity(self._path)
        self._pulse.start()
        threading.Thread(
            target=uploads.remove_leftovers, args=(self._engine,), name="hotfolder-leftovers", daemon=True
        ).start()

    def apply(self, token: str | None) -> None:
        """The engine has another configuration; what the listeners take from it themselves is in force already."""
        self._sessions.change(token)
        self._application.root_path = self._engine.config.http.root_path
        self._application.openapi_schema = None  # it names the root path

    def check(self) -> None:
        """Part of the beat: the control socket is made again where it was removed. What lies in its place is nobody's
        as long as the state folder is ours."""
        if self._control is None or self._engine.possession.problem is not None:
            return
        serving, made = self._control
        if _identity(self._path) == made:
            return
        try:
            listening = _listen_unix(self._path)
        except StartError as error:
            if str(error) != self._unmade:
                log.error(
                    "control_socket_lost", message=str(error), next="tried again; commands do not reach the daemon"
                )
            self._unmade = str(error)
            return
        self._unmade = None
        self._control = self._serve(listening, "control", trusted=True), _identity(self._path)
        self._running.remove(serving)
        serving.end()
        serving.listening.close()
        log.warning("control_socket_renewed", path=self._path, why="it was removed or replaced")

    def _serve(self, listening: socket.socket, name: str, *, trusted: bool) -> _Serving:
        guarded = Guard(
            self._application,
            self._engine.metrics,
            sessions=self._sessions,
            http=lambda: self._engine.config.http,
            trusted=trusted,
        )
        config = uvicorn.Config(
            guarded,
            http=_Impatient,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
            limit_concurrency=200,
            h11_max_incomplete_event_size=65_536,
            ws=cast("type[asyncio.Protocol]", _websocket),
            ws_max_size=65_536,
            ws_per_message_deflate=False,
        )
        serving = _Serving(config, listening, name)
        self._running.append(serving)
        serving.loop.start()
        if not serving.standing.wait(START_SECONDS):
            raise StartError(f"the {name} server did not start within {START_SECONDS:g} s")
        return serving

    def stop(self) -> None:
        self._pulse.stop()
        for serving in self._running:
            serving.end()
        for serving in self._running:
            serving.loop.join(3.0)
            serving.listening.close()
        if self._control is not None and _identity(self._path) == self._control[1]:
            os.unlink(self._path)


def _websocket(*arguments: Any, **options: Any) -> asyncio.Protocol:
    """Loaded with the first one that comes: most daemons never see the page."""
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    return WebSocketsSansIOProtocol(*arguments, **options)


def _identity(path: str) -> Identity:
    """Which file lies there; None where none does."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By the protocol's number asyncio knows to set TCP_NODELAY; without, answers wait 40 ms for the client's ACK.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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


def _remedy(error: OSError) -> str:
    return "a shorter `state` path may help" if error.errno is None else "move away what lies there, or free some space"


def _listen_unix(path: str) -> socket.socket:
    """The lock is ours, so a socket that lies there is of a process that died."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    former = os.umask(0o177)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        listening.bind(path)
    except OSError as error:
        listening.close()
        raise StartError(f"{path}: {error.strerror or error}; {_remedy(error)}") from error
    finally:
        os.umask(former)
    listening.listen(128)
    listening.setblocking(False)
    return listening
