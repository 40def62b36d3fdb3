"""`hotfolder status`: what the running daemon does now."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotfolder.cli.common import ANSWER_SECONDS, ConfigOption, Control, JsonOption, loaded, show_size
from hotfolder.errors import Exit

if TYPE_CHECKING:
    from rich.console import Group

    from hotfolder.cli.console import Console

REFRESH_SECONDS = 1.0


def status(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    once: Annotated[bool, typer.Option("--once", help="Show it once and end; without a terminal always.")] = False,
) -> None:
    """Show what the daemon does, live at a terminal. Exit status 1: a watch is not well; 3: no daemon runs."""
    from hotfolder.cli.console import Console

    control = Control(loaded(config).config)
    now = control.call("GET", "/api/status", timeout=ANSWER_SECONDS)
    console = Console()
    if as_json:
        typer.echo(json.dumps(now, indent=2))
    elif once or not console.is_terminal:
        console.print(_picture(now), soft_wrap=True)
    else:
        now = _follow(control, console, now)
    unwell = any(watch["state"] in ("offline", "degraded") for watch in now["watches"])
    raise typer.Exit(Exit.FAILED_IMAGES if unwell else Exit.OK)


def _follow(control: Control, console: Console, now: dict[str, Any]) -> dict[str, Any]:
    """Until Ctrl-C, or until the daemon ends; returns what was seen last."""
    from rich.live import Live

    pause, ended = threading.Event(), False

    def end(*_: object) -> None:
        # Raised within a destructor the exception would be lost, and Ctrl-C with it.
        nonlocal ended
        ended = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, end)
    with contextlib.suppress(KeyboardInterrupt), Live(_picture(now), console=console, auto_refresh=False) as live:
        while not ended:
            pause.wait(REFRESH_SECONDS)
            before, now = now, control.call("GET", "/api/status", timeout=ANSWER_SECONDS)
            live.update(_picture(now, before), refresh=True)
    return now


def _picture(now: dict[str, Any], before: dict[str, Any] | None = None) -> Group:
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    pool, jobs, memory = now["thread_pool"], now["jobs"], now["resources"]
    rate = "" if before is None else f" ({(now['made'] - before['made']) / REFRESH_SECONDS:.0f}/s)"
    line = (
        f"hotfolder {now['version']} (pid {now['pid']}), up {now['performance']['uptime_hours']:.1f} h: "
        f"made {now['made']}{rate}, failed {jobs['failed']}, waiting {jobs['pending']}, "
        f"workers {pool['active_threads']} of {pool['max_workers']} busy, "
        f"memory {memory['memory_usage_mb']:.0f} of {memory['memory_limit_mb']:.0f} MB, "
        f"written {show_size(now['bytes_out'])}"
    )
    table = Table("watch", "state", "sources", "waiting", "failed", "skipped", "folder")
    for watch in now["watches"]:
        counts = (str(watch[key]) for key in ("sources", "pending", "failed", "skipped"))
        table.add_row(watch["name"], watch["state"], *counts, escape(watch["path"]))
    held = [f"paused: {each['lane']} of {each['watch'] or 'all watches'}" for each in now["paused"]]
    if (put_off := now["put_off"])["count"]:
        held.append(f"put off after a failed try: {put_off['count']}, next try at {put_off['next_try']}")
    if not now["backlog"]["open"]:
        held.append(f"the backlog waits for its window, {now['backlog']['window']}")
    troubles = [f"{watch['name']}: {trouble}" for watch in now["watches"] for trouble in watch["troubles"]]
    return Group(Text(line), *map(Text, held), table, *(Text(trouble, style="red") for trouble in troubles))
