"""What commands share: the -c option, the loaded configuration, and the way to a living daemon."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from hotfolder.cli.importing import importing
from hotfolder.config import Config, Loaded, load
from hotfolder.errors import HotfolderError, NotRunning

ConfigOption = Annotated[
    str | None,
    typer.Option("-c", "--config", help="The configuration; default $HOTFOLDER_CONFIG, ./config.yaml."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]


def loaded(config: str | None) -> Loaded:
    """Raises ConfigError."""
    return load(config, os.environ)


def say_warnings(found: Loaded) -> None:
    for warning in found.warnings:
        typer.echo(f"hotfolder: {warning}", err=True)


class Control:
    """Calls to the daemon that holds the state, through its control socket."""

    def __init__(self, config: Config) -> None:
        self._path = os.path.join(config.state, "control.sock")
        self._state = config.state

    def alive(self) -> bool:
        """Whether a daemon answers."""
        try:
            self.call("GET", "/healthz")
        except NotRunning:
            return False
        return True

    def call(self, method: str, path: str, body: Any = None, *, timeout: float | None = 60) -> Any:
        """The JSON answer. Raises NotRunning where no daemon answers, HotfolderError with what it refused."""
        silent = NotRunning(f"no daemon runs on the state folder {self._state} (start one: hotfolder run)")
        if not os.path.exists(self._path):
            raise silent
        with importing():
            from hotfolder.cli.unix import UnixConnection

        connection = UnixConnection(self._path, timeout)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        except OSError as error:
            raise silent from error
        finally:
            connection.close()
        found = json.loads(text) if text else None
        if answer.status >= 400:
            detail = found.get("detail", found) if isinstance(found, dict) else found
            raise HotfolderError(str(detail))
        return found


@contextmanager
def local_engine(config: Config) -> Iterator[Any]:
    """An engine without events in this process, for when no daemon lives. Raises StartError."""
    import signal

    with importing():
        from hotfolder.engine import Engine

    if hasattr(signal, "SIGIO"):
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # a broken lease sends it; see working/looking.py
    engine = Engine(config, live=False)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop(config.shutdown_timeout)


def show_size(number: float) -> str:
    """Bytes for people: 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return ""
