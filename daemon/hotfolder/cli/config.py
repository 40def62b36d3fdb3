"""`hotfolder config`: check, show, init, schema."""

from __future__ import annotations

import json
import os
from importlib import resources
from typing import Annotated, Any

import typer

from hotfolder.cli.common import ConfigOption, JsonOption, loaded, say_warnings
from hotfolder.config import Config
from hotfolder.config.schema import MASK
from hotfolder.errors import UsageError

app = typer.Typer(help="The configuration.", no_args_is_help=True)


@app.command()
def check(config: ConfigOption = None) -> None:
    """Validate it, and say what is wrong where."""
    found = loaded(config)
    say_warnings(found)
    typer.echo(f"{found.file}: fine; watches: {', '.join(watch.name for watch in found.config.watches)}")


@app.command()
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show what is in force: the file, the defaults, the environment. Secrets are masked."""
    found = loaded(config)
    content: dict[str, Any] = found.config.model_dump(mode="json")
    content["presets"] = {name: preset.as_dict() for name, preset in found.config.all_presets().items()}
    for preset in content["presets"].values():
        del preset["name"]
    if found.token is not None:
        content["http"]["token"] = MASK
    if as_json:
        typer.echo(json.dumps(content, indent=2))
        return
    import yaml

    typer.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), nl=False)


@app.command()
def init(
    path: Annotated[
        str | None, typer.Argument(help="The file to write; - for the terminal; default: that of -c, ./config.yaml.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write a commented sample."""
    path = path or config or "config.yaml"
    sample = resources.files("hotfolder.config").joinpath("sample.yaml").read_text("utf-8")
    if path == "-":
        typer.echo(sample, nl=False)
        return
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(sample)
    except FileExistsError:
        raise UsageError(f"{path} is there already; name another file, or - to see the sample") from None
    except OSError as error:
        raise UsageError(f"{path}: {os.strerror(error.errno or 0)}") from error
    typer.echo(f"{path} written; now: hotfolder run -c {path}")


@app.command()
def schema(config: ConfigOption = None) -> None:
    """Write the JSON Schema, for editors. It is the same whatever the configuration has."""
    typer.echo(json.dumps(Config.model_json_schema(), indent=2))
