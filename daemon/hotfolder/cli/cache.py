"""`hotfolder cache`: the index and the renditions, through the daemon where one lives."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from hotfolder import logs
from hotfolder.cli.common import ConfigOption, Control, JsonOption, loaded, local_engine, show_size
from hotfolder.config import Config
from hotfolder.errors import Exit, UsageError

app = typer.Typer(help="The index and the renditions.", no_args_is_help=True)


def _ask(settings: Config, method: str, path: str, name: str) -> Any:
    """The daemon's answer, or that of the same function here."""
    control = Control(settings)
    if control.alive():
        return control.call(method, path, timeout=None)
    from hotfolder.serving import state
    from hotfolder.serving.requests import Requests

    logs.setup("warning", "text")
    with local_engine(settings) as engine:
        if name == "stats":
            return state.cache_stats(engine)
        return getattr(Requests(engine), name)()


@app.command()
def stats(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """How many renditions there are, how large, and what optimized copies save."""
    found = _ask(loaded(config).config, "GET", "/api/image-processing/cache/stats", "stats")
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    typer.echo(f"{found['entries']} renditions of {found['sources']} sources, {show_size(found['bytes'])}")
    for name, each in found["by_preset"].items():
        saved = f", {show_size(each['saved_bytes'])} less than their sources" if each.get("saved_bytes") else ""
        typer.echo(f"  {name}: {each['entries']}, {show_size(each['bytes'])}{saved}")


@app.command()
def verify(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Look whether every rendition is still as it was made; what is missing is made again at the next scan."""
    found = _ask(loaded(config).config, "POST", "/api/cache/verify", "verify")
    typer.echo(json.dumps(found) if as_json else f"{found['checked']} checked, {found['missing']} missing or changed")
    raise typer.Exit(Exit.FAILED_IMAGES if found["missing"] else Exit.OK)


@app.command()
def gc(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Remove what was made for watches that are no longer configured."""
    found = _ask(loaded(config).config, "POST", "/api/cache/gc", "collect")
    typer.echo(json.dumps(found) if as_json else _removed(found))


@app.command()
def clear(
    config: ConfigOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove all renditions that are still as they were made; they are made again at the next reconcile."""
    settings = loaded(config).config
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("cache clear removes all renditions: say --yes in scripts")
        typer.confirm("Remove all renditions?", abort=True)
    found = _ask(settings, "DELETE", "/api/image-processing/cache/thumbnails", "clear")
    typer.echo(json.dumps(found) if as_json else _removed(found))


def _removed(found: dict[str, int]) -> str:
    text = f"{found['removed']} renditions removed, {show_size(found['bytes'])}"
    return text + (f"; {found['left']} left, changed by others" if found["left"] else "")


@app.command()
def export(config: ConfigOption = None, as_json: JsonOption = True) -> None:
    """Write the index as JSON: every source with its version and renditions."""
    import os

    from hotfolder.keeping import report
    from hotfolder.keeping.database import Database

    path = os.path.join(loaded(config).config.state, "index.db")
    if not os.path.exists(path):
        typer.echo("[]")
        return
    index = Database(path)  # only read: beside a living daemon, too
    try:
        first = True
        for each in report.export(index.read()):
            typer.echo(("[" if first else ",\n") + json.dumps(each), nl=False)
            first = False
        typer.echo("[]" if first else "]")
    finally:
        index.close()
