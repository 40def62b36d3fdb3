"""`hotfolder process` and `hotfolder presets`: single files without an index, and what can be made."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from hotfolder.cli.common import ConfigOption, loaded
from hotfolder.cli.ending import tell
from hotfolder.cli.typos import NO_FILE, status
from hotfolder.errors import ConfigError, HotfolderError, UsageError
from hotfolder.paths import show
from hotfolder.presets import BUILT_IN, CHOSEN, OptimizeSpec, Preset


def _known(config: str | None) -> tuple[dict[str, Preset], OptimizeSpec | None]:
    """The presets of the configuration, where there is one; the built-in ones otherwise."""
    try:
        found = loaded(config)
    except ConfigError:
        if config is not None or os.environ.get("HOTFOLDER_CONFIG") or os.path.exists("config.yaml"):
            raise
        return dict(BUILT_IN), OptimizeSpec()
    return found.config.all_presets(), found.config.watches[0].optimize.spec


def presets(config: ConfigOption = None) -> None:
    """Show the presets: the built-in ones and those of the configuration."""
    from rich.table import Table

    from hotfolder.cli.console import Console

    others = [option for option in CHOSEN if option not in ("width", "height")]
    table = Table("name", "size", *others)
    for preset in _known(config)[0].values():
        size = f"{preset.width}×{preset.height}"
        table.add_row(preset.name, size, *(str(getattr(preset, option)) for option in others))
    Console().print(table)


def process(
    files: Annotated[list[str], typer.Argument(help="Images.")],
    to: Annotated[str, typer.Option("--to", help="The folder to write into.")],
    preset: Annotated[list[str] | None, typer.Option(help="Only this preset; can be given again.")] = None,
    config: ConfigOption = None,
) -> None:
    """Make renditions of single files: DIR/<name><suffix>.<ext> and DIR/optimized/<file name>. Keeps no index.

    Files whose names would meet keep their folders below DIR, from their common parent. What lies there from a former
    run is replaced, a source never.
    """
    from hotfolder.library import process as make

    known, optimize = _known(config)
    for name in preset or ():
        if name not in known:
            raise UsageError(f'unknown preset "{name}"; known: {", ".join(sorted(known))}')
    chosen = [known[name] for name in preset] if preset else list(known.values())
    count = missing = failed = 0
    for file, done in make(files, to, presets=chosen, optimize=None if preset else optimize):
        count += 1
        if isinstance(done, FileNotFoundError | NotADirectoryError) and not os.path.exists(file):
            missing += 1
            typer.echo(f"hotfolder: {file}: {NO_FILE}", err=True)
        elif isinstance(done, OSError):
            failed += 1
            subject = show(os.fsencode(done.filename or file))  # of the output, or the image
            typer.echo(f"hotfolder: {subject}: {done.strerror}", err=True)
        elif isinstance(done, HotfolderError):
            failed += 1
            typer.echo(f"hotfolder: {file}: {done}", err=True)
        else:
            tell(f"{file}: {sum(each.path is not None for each in done.files)} renditions")
    raise typer.Exit(status(missing=missing, failed=failed, others=count > missing))
