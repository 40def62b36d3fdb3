"""`hotfolder cache`: the index and the renditions, through the daemon where one lives."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotfolder.cli.common import ConfigOption, Control, JsonOption, ask_index, change_index, loaded, show_size
from hotfolder.config import Config
from hotfolder.errors import Exit, StartError, UsageError

if TYPE_CHECKING:
    from hotfolder.services.cache import Cache
    from hotfolder.services.offline import Offline

app = typer.Typer(help="The index and the renditions.", no_args_is_help=True)


def _cache(offline: Offline) -> Cache:
    from hotfolder.services.cache import Cache

    return Cache(offline)


@app.command()
def stats(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """How many renditions there are, how large, and what optimized copies save."""
    settings = loaded(config).config
    control = Control(settings)
    if control.alive():
        found = control.call("GET", "/api/image-processing/cache/stats")
    else:
        found = ask_index(settings, lambda offline: _cache(offline).stats())
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
    settings = loaded(config).config
    control = Control(settings)
    if control.alive():
        found = control.call("POST", "/api/cache/verify", timeout=None)
    else:
        found = ask_index(settings, lambda offline: _cache(offline).verify(note=False))
        if found["missing"]:
            _note_missing(settings)
    typer.echo(json.dumps(found) if as_json else f"{found['checked']} checked, {found['missing']} missing or changed")
    raise typer.Exit(Exit.FAILED_IMAGES if found["missing"] else Exit.OK)


def _note_missing(settings: Config) -> None:
    """Only this needs the lock. A scan that holds it goes on; another look reports what is left to do."""
    try:
        change_index(settings, lambda offline: _cache(offline).verify())
    except StartError as error:
        typer.echo(f"hotfolder: what is missing is not noted: {error}", err=True)


@app.command()
def gc(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Remove what was made for watches that are no longer configured."""
    found = _change(loaded(config).config, "POST", "/api/cache/gc", lambda cache: cache.collect())
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
        if sys.stdin is None or not sys.stdin.isatty():
            raise UsageError("cache clear removes all renditions: say --yes in scripts")
        typer.confirm("Remove all renditions?", abort=True)
    path = "/api/image-processing/cache/thumbnails"
    found = _change(settings, "DELETE", path, lambda cache: cache.clear())
    typer.echo(json.dumps(found) if as_json else _removed(found))


def _change(settings: Config, method: str, path: str, here: Callable[[Cache], object]) -> Any:
    """By the daemon, or by the same function here."""
    control = Control(settings)
    if control.alive():
        return control.call(method, path, timeout=None)
    return change_index(settings, lambda offline: here(_cache(offline)))


def _removed(found: dict[str, int]) -> str:
    text = f"{found['removed']} renditions removed, {show_size(found['bytes'])}"
    return text + (f"; {found['left']} left, changed by others" if found["left"] else "")


@app.command()
def export(config: ConfigOption = None, as_json: JsonOption = True) -> None:
    """Write the index as JSON: every source with its version and renditions."""
    ask_index(loaded(config).config, _export)


def _export(offline: Offline) -> None:
    from hotfolder.index import report

    first = True
    for each in report.export(offline.index.read()):
        typer.echo(("[" if first else ",\n") + json.dumps(each), nl=False)
        first = False
    typer.echo("[]" if first else "]")
