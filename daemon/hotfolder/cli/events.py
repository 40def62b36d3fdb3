"""`hotfolder events`: what happens, as it happens."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any
from urllib.parse import quote

import typer

from hotfolder.cli.common import ConfigOption, loaded
from hotfolder.errors import NotRunning

HIDDEN = ("topic", "event", "time", "watch", "path", "path_b64", "source_id")


def events(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")] = False,
    topics: Annotated[str, typer.Option(help="pipeline, jobs, state; separated by commas.")] = "pipeline,jobs",
) -> None:
    """Follow the events of the daemon until Ctrl-C. Exit status 3: no daemon runs, or it has ended."""
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import unix_connect

    state = loaded(config).config.state
    try:
        connection = unix_connect(
            os.path.join(state, "control.sock"), f"ws://localhost/api/events?topics={quote(topics)}", max_size=None
        )
    except InvalidStatus as error:
        detail = json.loads(error.response.body or b"{}").get("detail", error.response.status_code)
        raise NotRunning(f"the daemon refuses: {detail}") from error
    except OSError as error:
        raise NotRunning(f"no daemon runs on the state folder {state} (start one: hotfolder run)") from error
    with connection:
        try:
            for message in connection:
                typer.echo(message if as_json else _line(json.loads(message)))
        except ConnectionClosed:
            pass
    raise NotRunning("the daemon has ended")


def _line(event: dict[str, Any]) -> str:
    words = [str(event.get("time", ""))[11:19], event["event"], event.get("watch"), event.get("path")]
    words += [f"{key}={value}" for key, value in event.items() if key not in HIDDEN and value is not None]
    return " ".join(word for word in words if word)
