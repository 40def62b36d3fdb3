"""`hotfolder why PATH`: all that is known of one image, or which rule ignores it."""

from __future__ import annotations

import json
import os
import urllib.parse
from typing import Annotated, Any

import typer

from hotfolder import logs
from hotfolder.cli.common import ConfigOption, Control, JsonOption, loaded, local_engine, show_size
from hotfolder.presets import OPTIMIZED


def why(
    path: Annotated[str, typer.Argument(help="An image below a watched root.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is known of one image, why it was ignored or failed, and what to do."""
    settings = loaded(config).config
    wanted = os.path.abspath(path)
    control = Control(settings)
    if control.alive():
        query = urllib.parse.quote(os.fsencode(wanted))
        found = control.call("GET", f"/api/why?path={query}")
    else:
        from hotfolder.serving import naming
        from hotfolder.serving.why import explain

        logs.setup("warning", "text")
        with local_engine(settings) as engine:
            named = naming.resolve(engine, wanted, "path")
            found = explain(engine, named.watcher, named.path)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _say(found)


def _say(found: dict[str, Any]) -> None:
    typer.echo(f"{found['path']}: {found['verdict']}")
    typer.echo(f"  watch      {found['watch']} ({found['watch_state']}), file {found['file']}")
    if found["state"] != "unknown":
        done = f", done {found['done_at']}" if found["done_at"] else ""
        typer.echo(f"  known      {found['state']}, seen {found['seen_at']}{done}")
    if found.get("format"):
        size = show_size(found["bytes"])
        typer.echo(f"  version    {found['format']} {found['width']}×{found['height']}, {size}, {found['decoder']}")
    if found.get("notes"):
        typer.echo(f"  notes      {', '.join(found['notes'])}")
    for each in found["renditions"]:
        if each["path"] is None:
            typer.echo(f"  {each['preset']:<10} none can be made of this format")
            continue
        lost = "" if each["present"] else ", is missing"
        size = f"{each['width']}×{each['height']}, {show_size(each['bytes'])}"
        if each["preset"] == OPTIMIZED and found["bytes"]:
            size += f" ({1 - each['bytes'] / found['bytes']:.0%} saved)"
        typer.echo(f"  {each['preset']:<10} {size}{lost}: {each['path']}")
    if found["next"] != "nothing":
        typer.echo(f"  do         {found['next']}")
