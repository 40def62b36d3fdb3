"""`hotfolder failures`: the quarantine, and another try for it."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

from hotfolder.cli.common import (
    ConfigOption,
    Control,
    JsonOption,
    ask_index,
    exact,
    in_body,
    loaded,
    local_engine,
)
from hotfolder.cli.typos import check_known
from hotfolder.telemetry import logs

app = typer.Typer(help="The quarantine: images that failed for good.", invoke_without_command=True)


@app.callback()
def default(context: typer.Context, config: ConfigOption = None) -> None:
    """List it, where no other command is given."""
    if context.invoked_subcommand is None:
        show(config, False, False)


@app.command("list")
def show(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    zero: Annotated[bool, typer.Option("-0", help="Only paths, each ended by a NUL.")] = False,
) -> None:
    """Show each image in quarantine, with its reason."""
    found = _failures(config)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif zero:
        typer.echo(b"".join(exact(each) + b"\0" for each in found), nl=False)
    else:
        for each in found:
            typer.echo(f"{each['path']}: {each['reason']}: {each['message']}")


def _failures(config: str | None) -> list[dict[str, Any]]:
    settings = loaded(config).config
    control = Control(settings)
    found: list[dict[str, Any]]
    if control.alive():
        found = control.call("GET", "/api/failures")
    else:
        from hotfolder.services import quarantine

        found = ask_index(settings, quarantine.failures)
    return found


@app.command()
def retry(
    paths: Annotated[list[str] | None, typer.Argument(help="Images; default: all of them.")] = None,
    config: ConfigOption = None,
) -> None:
    """Try again: by the daemon where one runs, otherwise here, to the end."""
    from hotfolder.errors import Exit
    from hotfolder.services import quarantine
    from hotfolder.watcher.request import Request

    settings = loaded(config).config
    wanted = [os.path.abspath(path) for path in paths or []]
    check_known(settings, wanted)
    control = Control(settings)
    if control.alive():
        count = control.call("POST", "/api/failures/retry", in_body(wanted))["retried"]
    else:
        logs.setup("warning", "text")
        with local_engine(settings) as engine:
            count = quarantine.retry(engine, wanted)
            for watcher in engine.watchers.values():
                watcher.request(Request(())).done.wait()
            failed = engine.reporter.counts.failed
        typer.echo(f"{count} tried again, {failed} failed")
        raise typer.Exit(Exit.FAILED_IMAGES if failed else Exit.OK)
    typer.echo(f"{count} to be tried again")
