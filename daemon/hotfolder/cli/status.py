"""`hotfolder status`: what the running daemon does now."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from hotfolder.cli.common import ConfigOption, Control, JsonOption, loaded, show_size


def status(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    once: Annotated[bool, typer.Option("--once", help="Show it once and end (the default).")] = True,
) -> None:
    """Show what the daemon does now; exit status 3 where none runs."""
    now = Control(loaded(config).config).call("GET", "/api/status")
    if as_json:
        typer.echo(json.dumps(now, indent=2))
    else:
        _show(now)


def _show(now: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    pool, jobs, memory = now["thread_pool"], now["jobs"], now["resources"]
    typer.echo(
        f"hotfolder {now['version']} (pid {now['pid']}), up {now['performance']['uptime_hours']:.1f} h: "
        f"made {now['made']}, failed {jobs['failed']}, waiting {jobs['pending']}, "
        f"workers {pool['active_threads']} of {pool['max_workers']} busy, "
        f"memory {memory['memory_usage_mb']:.0f} of {memory['memory_limit_mb']:.0f} MB, "
        f"written {show_size(now['bytes_out'])}"
    )
    table = Table("watch", "state", "sources", "waiting", "failed", "skipped", "folder")
    for watch in now["watches"]:
        counts = (str(watch[key]) for key in ("sources", "pending", "failed", "skipped"))
        table.add_row(watch["name"], watch["state"], *counts, watch["path"])
    Console().print(table)
