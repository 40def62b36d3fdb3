"""`hotfolder pause` and `resume`: hold work, not watching. It lasts over restarts."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hotfolder.cli.common import ConfigOption, Control, change_index, check_watch, loaded
from hotfolder.model import Held

LaneOption = Annotated[
    Held, typer.Option("--lane", help="backlog: all but fresh drops; all: everything (the default).")
]
WatchOption = Annotated[str | None, typer.Option("--watch", help="Only this watch.")]


def pause(config: ConfigOption = None, lane: LaneOption = Held.ALL, watch: WatchOption = None) -> None:
    """Begin no more work until `hotfolder resume`. Watching goes on, and nothing is lost."""
    _say(_ask("pause", config, lane, watch))


def resume(config: ConfigOption = None, lane: LaneOption = Held.ALL, watch: WatchOption = None) -> None:
    """Go on with what was paused."""
    _say(_ask("resume", config, lane, watch))


def _ask(what: str, config: str | None, lane: Held, watch: str | None) -> dict[str, Any]:
    """By the daemon; where none runs it is noted for the next one."""
    settings = loaded(config).config
    check_watch(settings, watch)
    control = Control(settings)
    if control.alive():
        answer: dict[str, Any] = control.call("POST", f"/api/{what}", {"lane": lane.value, "watch": watch})
        return answer
    from hotfolder.services import holds

    change = holds.pause if what == "pause" else holds.resume
    found: dict[str, Any] = change_index(settings, lambda offline: change(offline, lane.value, watch))
    return found


def _say(state: dict[str, Any]) -> None:
    for each in state["paused"]:
        typer.echo(f"paused: {each['lane']} of {each['watch'] or 'all watches'}")
    if not state["paused"]:
        typer.echo("nothing is paused")
    if not state["backlog"]["open"]:
        typer.echo(f"the backlog waits for its window, {state['backlog']['window']}")
