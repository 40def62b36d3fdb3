"""What commands share: the -c option, the loaded configuration, and the way to a living daemon."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotfolder.cli.importing import importing
from hotfolder.config import Config, Loaded, load
from hotfolder.errors import Exit, HotfolderError, NotRunning, UsageError

if TYPE_CHECKING:
    from hotfolder.engine import Engine
    from hotfolder.services.offline import Offline

ConfigOption = Annotated[
    str | None,
    typer.Option("-c", "--config", help="The configuration; default $HOTFOLDER_CONFIG, ./config.yaml."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]

ANSWER_SECONDS = 10.0
"""A daemon that lives answers within this time, however busy it is."""


def loaded(config: str | None) -> Loaded:
    """Raises ConfigError."""
    return load(config, os.environ)


def say_warnings(found: Loaded) -> None:
    for warning in found.warnings:
        typer.echo(f"hotfolder: {warning}", err=True)


class Refused(HotfolderError):
    """The daemon's answer is an error: what was asked cannot be (2), or it could not do it (4)."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.exit = Exit.USAGE if status < 500 else Exit.STOPPED_EARLY


class Control:
    """Calls to the daemon that holds the state, through its control socket."""

    def __init__(self, config: Config) -> None:
        self.path = os.path.join(config.state, "control.sock")
        self._state = config.state

    def alive(self) -> bool:
        """Whether a daemon answers, be it well or not. Raises NotRunning where one is there and is silent."""
        try:
            self._exchange("GET", "/healthz", None, ANSWER_SECONDS)
        except _Nobody:
            return False
        return True

    def require(self) -> None:
        """Raises NotRunning where no daemon answers."""
        if not self.alive():
            raise self._nobody()

    def call(self, method: str, path: str, body: Any = None, *, timeout: float | None = 60) -> Any:
        """The JSON answer. Raises NotRunning where no daemon answers, Refused with its objection."""
        if timeout is None:
            self.require()  # an answer that may take hours is waited for where somebody lives
        status, text = self._exchange(method, path, body, timeout)
        try:
            found = json.loads(text) if text else None
        except ValueError:
            found = None
        if status >= 400:
            raise Refused(status, _sentence(status, found))
        return found

    def _nobody(self) -> NotRunning:
        return _Nobody(f"no daemon runs on the state folder {self._state} (start one: hotfolder run)")

    def _exchange(self, method: str, path: str, body: Any, timeout: float | None) -> tuple[int, bytes]:
        if not os.path.exists(self.path):
            raise self._nobody()
        with importing():
            from http.client import HTTPException

            from hotfolder.cli.unix import UnixConnection

        connection = UnixConnection(self.path, timeout)
        try:
            connection.connect()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise self._nobody() from error
        except PermissionError as error:
            raise _Nobody(f"{self.path}: {error.strerror}; the daemon belongs to another user") from error
        except (TimeoutError, BlockingIOError) as error:
            raise self._silent(timeout) from error
        except OSError as error:
            raise NotRunning(f"{self.path}: {error.strerror or error}") from error
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except TimeoutError as error:
            raise self._silent(timeout) from error
        except (OSError, HTTPException) as error:
            raise NotRunning(f"the daemon on the state folder {self._state} ended before it answered") from error
        finally:
            connection.close()

    def _silent(self, timeout: float | None) -> NotRunning:
        return NotRunning(
            f"the daemon on the state folder {self._state} (pid {_holder(self._state)}) is there, but did not answer "
            f"within {timeout or 0:g} s; look at its log, and whether it is stopped"
        )


class _Nobody(NotRunning):
    """Nobody listens at the socket, or nobody who would listen to us."""


def _holder(state: str) -> str:
    try:
        with open(os.path.join(state, "lock"), encoding="ascii", errors="replace") as file:
            return file.read(32).strip() or "unknown"
    except OSError:
        return "unknown"


def _sentence(status: int, found: Any) -> str:
    """What the daemon said, or that it said nothing: never a structure."""
    detail = found.get("detail") if isinstance(found, dict) else None
    return detail if isinstance(detail, str) else f"the daemon answered with an error ({status}); its log may say why"


def in_body(paths: Iterable[str]) -> dict[str, list[str]]:
    """Paths for a request, in base64 where one of them is no UTF-8. Names are bytes."""
    raw = [os.fsencode(path) for path in paths]
    try:
        return {"paths": [path.decode() for path in raw]}
    except UnicodeDecodeError:
        return {"paths_b64": [base64.b64encode(path).decode() for path in raw]}


def exact(found: dict[str, Any]) -> bytes:
    """The path of a record as the bytes that it is."""
    return base64.b64decode(found["path_b64"]) if "path_b64" in found else os.fsencode(found["path"])


@contextmanager
def local_engine(config: Config) -> Iterator[Engine]:
    """An engine without events in this process, for when no daemon lives. Raises StartError."""
    import signal

    with importing():
        from hotfolder.engine import Engine

    if hasattr(signal, "SIGIO"):
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # a broken lease sends it; see pipeline/source.py
    engine = Engine(config, live=False)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop(config.shutdown_timeout)


def ask_index(config: Config, question: Callable[[Offline], object]) -> Any:
    """The answer of the index, for when no daemon lives, as the JSON that one would send: the index is only read.

    Raises StartError, StoppedEarly, ServiceError.
    """
    with importing():
        from hotfolder.services.answers import plain
        from hotfolder.services.offline import index_file, reading
        from hotfolder.telemetry import logs

    logs.setup("warning", "text")
    if not os.path.exists(index_file(config)):
        typer.echo(f"hotfolder: {index_file(config)}: no index yet (make one: hotfolder scan)", err=True)
    with reading(config) as offline:
        return plain(question(offline))


def change_index(config: Config, change: Callable[[Offline], object]) -> Any:
    """The same with the right to change it, under the lock. Raises StartError where a scan or a daemon holds that."""
    with importing():
        from hotfolder.services.answers import plain
        from hotfolder.services.offline import changing
        from hotfolder.telemetry import logs

    logs.setup("warning", "text")
    with changing(config) as offline:
        return plain(change(offline))


def check_watch(config: Config, name: str | None) -> None:
    """Raises UsageError for a watch that is not configured."""
    if name is not None and config.watch(name) is None:
        known = ", ".join(each.name for each in config.watches)
        raise UsageError(f"no watch is called {name}; known: {known}")


def show_size(number: float) -> str:
    """Bytes for people: 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return ""
