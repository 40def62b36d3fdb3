"""The commands put together. Heavy imports stand in the commands that need them, so that the others start at once."""

from __future__ import annotations

from typing import Annotated

import typer

from hotfolder.cli import (
    analyze,
    bench,
    cache,
    config,
    doctor,
    events,
    failures,
    hold,
    hooks,
    process,
    run,
    scan,
    status,
    wait,
    why,
)
from hotfolder.cli.ending import Commands
from hotfolder.version import VERSION


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hotfolder {VERSION}")
        raise typer.Exit


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help="Drop an image into a folder; a moment later every rendition that you need is there, and it stays right.",
    )

    @app.callback()
    def options(
        version: Annotated[
            bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
        ] = False,
    ) -> None:
        pass

    app.command("run")(run.run)
    app.command("scan")(scan.scan)
    app.command("process")(process.process)
    app.command("pause")(hold.pause)
    app.command("resume")(hold.resume)
    app.command("presets")(process.presets)
    app.command("status")(status.status)
    app.command("events")(events.events)
    app.command("wait")(wait.wait)
    app.command("why")(why.why)
    app.command("analyze")(analyze.analyze)
    app.command("duplicates")(analyze.duplicates)
    app.command("blurred")(analyze.blurred)
    app.command("bench")(bench.bench)
    app.command("doctor")(doctor.doctor)
    app.add_typer(failures.app, name="failures")
    app.add_typer(hooks.app, name="hooks")
    app.add_typer(cache.app, name="cache")
    app.add_typer(config.app, name="config")
    return app
