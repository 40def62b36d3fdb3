"""`hotfolder events`: what happens, as it happens."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from hotfolder.cli.common import ANSWER_SECONDS, ConfigOption, Control, Refused, loaded
from hotfolder.errors import NotRunning

HIDDEN = ("topic", "event", "time", "watch", "path", "path_b64", "source_id")


def events(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")] = False,
    topics: Annotated[str, typer.Option(help="pipeline, jobs, state; separated by commas.")] = "pipeline,jobs",
) -> None:
    """Follow the events of the daemon until Ctrl-C. Exit status 3: no daemon runs, or it has ended."""
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
    from websockets.sync.client import unix_connect

    settings = loaded(config).config
    control = Control(settings)
    control.require()
    try:
        connection = unix_connect(
            control.path,
            f"ws://localhost/api/events?topics={quote(topics)}",
            max_size=None,
            open_timeout=ANSWER_SECONDS,
        )
    except InvalidStatus as error:
        raise Refused(error.response.status_code, _reason(error.response.body)) from error
    except (OSError, EOFError, InvalidHandshake) as error:
        raise NotRunning("the daemon has ended") from error
    with connection:
        try:
            for message in connection:
                typer.echo(message if as_json else _line(json.loads(message)))
        except ConnectionClosed:
            pass
    raise NotRunning("the daemon has ended")


def _reason(body: bytes | bytearray | None) -> str:
    try:
        return str(json.loads(body or b"")["detail"])
    except (ValueError, KeyError, TypeError):
        return "the daemon refuses to tell its events; its log may say why"


def _line(event: dict[str, Any]) -> str:
    words = [str(event.get("time", ""))[11:19], event["event"], event.get("watch"), event.get("path")]
    words += [f"{key}={value}" for key, value in event.items() if key not in HIDDEN and value is not None]
    return " ".join(word for word in words if word)
