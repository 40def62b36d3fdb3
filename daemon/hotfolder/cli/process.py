"""`hotfolder process` and `hotfolder presets`: single files without an index, and what can be made."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from hotfolder.cli.common import ConfigOption, loaded
from hotfolder.errors import ConfigError, Exit, MissingExtra, SourceError, UsageError
from hotfolder.presets import BUILT_IN, OptimizeSpec, Preset


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
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "size", "fit", "format", "quality", "suffix")
    for preset in _known(config)[0].values():
        size = f"{preset.width}×{preset.height}"
        table.add_row(preset.name, size, preset.fit, preset.format, str(preset.quality), preset.suffix)
    Console().print(table)


def process(
    files: Annotated[list[str], typer.Argument(help="Images.")],
    to: Annotated[str, typer.Option("--to", help="The folder to write into.")],
    preset: Annotated[list[str] | None, typer.Option(help="Only this preset; can be given again.")] = None,
    config: ConfigOption = None,
) -> None:
    """Make renditions of single files: DIR/<name><suffix>.<ext> and DIR/optimized/<file name>. Keeps no index."""
    known, optimize = _known(config)
    for name in preset or ():
        if name not in known:
            raise UsageError(f'unknown preset "{name}"; known: {", ".join(sorted(known))}')
    chosen = [known[name] for name in preset] if preset else list(known.values())
    failed = 0
    for file in files:
        try:
            _process(file, to, chosen, None if preset else optimize)
        except (SourceError, MissingExtra) as error:
            failed += 1
            typer.echo(f"hotfolder: {file}: {error}", err=True)
        except OSError as error:
            failed += 1
            typer.echo(f"hotfolder: {error.filename or file}: {error.strerror}", err=True)
    raise typer.Exit(Exit.FAILED_IMAGES if failed else Exit.OK)


def _process(file: str, to: str, presets: list[Preset], optimize: OptimizeSpec | None) -> None:
    from hotfolder import imaging
    from hotfolder.errors import Reason
    from hotfolder.keeping import atomic, layout
    from hotfolder.keeping.layout import OPTIMIZED_FOLDER, Target

    limits = imaging.Limits()
    with open(file, "rb") as opened_file:
        data = opened_file.read(limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise SourceError(Reason.TOO_MANY_BYTES, f"it has more than {limits.max_bytes} bytes")
    name = os.fsencode(os.path.basename(file))
    targets = {}
    for target in layout.targets(name, presets, optimize):
        area = OPTIMIZED_FOLDER if target.area == OPTIMIZED_FOLDER else b""
        targets[target.preset] = Target(target.preset, area, target.name)
    plan = imaging.Plan(tuple(presets), optimize)
    opened = imaging.open_image(data, limits, name)
    os.makedirs(to, exist_ok=True)
    output_fd = atomic.open_root(to)
    try:
        with atomic.Staging(output_fd, b"", mode=0o644, dir_mode=0o755, fsync=False) as staging:
            rendered = imaging.render(opened, plan, plan.names(), lambda each: staging.create(targets[each]))
            staging.publish({})
    finally:
        os.close(output_fd)
    typer.echo(f"{file}: {len([each for each in rendered.outputs if each.note != 'kept'])} renditions")
