"""`hotfolder why PATH`: all that is known of one image, or which rule ignores it."""

from __future__ import annotations

import json
import os
import urllib.parse
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotfolder.cli.common import ConfigOption, Control, JsonOption, ask_index, loaded, show_size
from hotfolder.cli.typos import NOTHING
from hotfolder.errors import UsageError
from hotfolder.presets import OPTIMIZED

if TYPE_CHECKING:
    from hotfolder.services.offline import Offline


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
        found = control.call("GET", f"/api/why?path={urllib.parse.quote(os.fsencode(wanted))}")
    else:
        found = ask_index(settings, lambda offline: _explain(offline, wanted))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _say(found)
    if found["file"] == "missing" and found["state"] == "unknown":
        raise UsageError(f"{found['path']}: {NOTHING}")


def _explain(offline: Offline, path: str) -> object:
    from hotfolder.services import naming
    from hotfolder.services.why import explain

    named = naming.resolve(offline, path, "path")
    return explain(offline, named.watcher, named.path)


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
