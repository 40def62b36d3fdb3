"""`hotfolder bench`: what this machine does with one's own images, and what to write into config.yaml."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from hotfolder.cli.common import ConfigOption, JsonOption, show_size
from hotfolder.cli.importing import importing
from hotfolder.errors import SourceError, UsageError


def bench(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder with images of yours.")],
    thumbnails: Annotated[bool, typer.Option("--thumbnails", help="Without optimized copies.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure for half a minute, with a sample of the folder's images, and suggest settings. Writes nothing there.

    It measures the built-in presets, whatever the configuration has.
    """
    with importing():
        from hotfolder.bench import measure

    try:
        found = measure(folder, copies=not thumbnails)
    except OSError as error:
        raise UsageError(str(error)) from error
    except SourceError as error:
        raise UsageError(f"an image of {folder} cannot be rendered: {error}") from error
    limit = f"{-(-found.memory_limit // 1_000_000)}MB"  # never rounded down: the largest photo would not fit
    suggested = {"workers": found.workers, "memory_limit": limit}
    if as_json:
        typer.echo(json.dumps(asdict(found) | {"suggested": {"pool": suggested}}))
        return
    typer.echo(f"{found.images} images of {found.megapixels:.1f} MP on average; {found.left_out} left out")
    typer.echo(f"read {show_size(found.read_rate)}/s (perhaps from memory), write {show_size(found.write_rate)}/s")
    typer.echo("an image: " + ", ".join(f"{name} {1000 * spent:.0f} ms" for name, spent in found.stages.items()))
    if not found.simd:
        typer.echo("no SIMD resizer: pip install 'hotfolder[fast]' where there is a wheel (x86-64)")
    for workers, rate in found.by_workers.items():
        typer.echo(f"{workers:3} workers: {rate:6.1f} images/s")
    typer.echo("\nFor config.yaml; auto does nearly the same, and follows the load:\n")
    if found.memory_limit > found.memory_free:
        free = show_size(found.memory_free)
        typer.echo(f"# {suggested['memory_limit']} would take a photo of 50 MP; only {free} are free: leave it at auto")
    typer.echo(f"pool: {{workers: {suggested['workers']}, memory_limit: {suggested['memory_limit']}}}")
