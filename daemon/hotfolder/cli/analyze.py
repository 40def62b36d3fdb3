"""`hotfolder analyze`, `duplicates` and `blurred`: what is in files and folders, with an index or without one."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotfolder.cli.common import ConfigOption, JsonOption, loaded, show_size
from hotfolder.config import Config
from hotfolder.errors import ConfigError, Exit, MissingExtra, Reason, SourceError, UsageError
from hotfolder.paths import named, show

if TYPE_CHECKING:
    from hotfolder.collection import Entry, Summary

ZeroOption = Annotated[bool, typer.Option("-0", help="Only paths, each ended by a NUL.")]
PathsArgument = Annotated[list[str] | None, typer.Argument(help="Files and folders; default: all in the index.")]
ROWS_MOST = 500
"""Images that a table at a terminal shows."""


def analyze(
    paths: Annotated[list[str], typer.Argument(help="Images and folders.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One line an image.")] = False,
    html: Annotated[str | None, typer.Option("--html", metavar="FILE", help="Write a report as one page.")] = None,
) -> None:
    """Say what is in images: format, camera, date, sharpness, exposure, colours, likeness. Where the index knows an
    image as it is, it is not read again."""
    from hotfolder.collection import Summary

    if as_json + as_csv + (html is not None) > 1:
        raise UsageError("--json, --csv and --html: give one of them")
    failed: list[str] = []
    summary = Summary()
    entries = _counted(_entries(paths, _config(config), failed), summary)
    if as_json:
        _say_json(entries, summary)
    elif as_csv:
        _say_csv(entries)
    elif html is not None:
        _write_page(html, entries, summary)
    else:
        _say_table(entries, summary)
    raise typer.Exit(Exit.FAILED_IMAGES if failed else Exit.OK)


def duplicates(
    paths: PathsArgument = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    zero: ZeroOption = False,
    only_exact: Annotated[bool, typer.Option("--exact", help="Only those with the same bytes.")] = False,
) -> None:
    """List groups of images that are the same, byte for byte or to the eye. -0 leaves out the first of each group."""
    from hotfolder.collection import exact, near

    names: list[bytes] = []
    digests: list[tuple[bytes, int] | None] = []
    hashes: list[int | None] = []
    failed: list[str] = []
    for entry in _chosen(paths, config, failed):
        names.append(entry.path)
        digests.append((entry.digest, entry.size) if entry.digest else None)
        judged = entry.record.phash is not None and not entry.record.blank
        hashes.append(int(entry.record.phash or "0", 16) if judged else None)
    groups = exact(digests) if only_exact else _merged(near(hashes), exact(digests))
    if as_json:
        typer.echo(json.dumps([[named("", names[at])["path"] for at in group] for group in groups], indent=2))
    elif zero:
        _say_zero(names[at] for group in groups for at in group[1:])
    else:
        for number, group in enumerate(groups):
            typer.echo(("\n" if number else "") + "\n".join(named("", names[at])["path"] for at in group))
    raise typer.Exit(Exit.FAILED_IMAGES if failed else Exit.OK)


def _merged(alike: list[list[int]], same: list[list[int]]) -> list[list[int]]:
    """Those that look alike, and those of the same bytes of which no hash is known (a blank page, twice)."""
    grouped = {at for group in alike for at in group}
    return sorted(alike + [group for group in same if not grouped.intersection(group)])


def blurred(
    paths: PathsArgument = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    zero: ZeroOption = False,
    below: Annotated[float | None, typer.Option(min=0, max=1, help="Sharpness under which an image is listed.")] = None,
) -> None:
    """List images that are likely blurred, the most blurred first."""

    failed: list[str] = []
    found: list[tuple[float, bytes]] = []
    for entry in _chosen(paths, config, failed):
        sharpness = entry.record.sharpness
        listed = entry.record.blurred if below is None else sharpness is not None and sharpness < below
        if listed and sharpness is not None:
            found.append((sharpness, entry.path))
    found.sort()
    if as_json:
        typer.echo(json.dumps([named("", path) | {"sharpness": value} for value, path in found], indent=2))
    elif zero:
        _say_zero(path for _, path in found)
    else:
        for value, path in found:
            typer.echo(f"{value:.3f}  {named('', path)['path']}")
    raise typer.Exit(Exit.FAILED_IMAGES if failed else Exit.OK)


def _say_zero(paths: Iterable[bytes]) -> None:
    for path in paths:
        typer.echo(path + b"\0", nl=False)


# -- where entries come from -------------------------------------------------------------------------------------------


def _config(explicit: str | None) -> Config | None:
    """The configuration where there is one; a wrong one is an error, none is not."""
    try:
        return loaded(explicit).config
    except ConfigError:
        if explicit is not None or os.environ.get("HOTFOLDER_CONFIG") or os.path.exists("config.yaml"):
            raise
        return None


def _chosen(paths: list[str] | None, config: str | None, failed: list[str]) -> Iterator[Entry]:
    """Of the files and folders given; otherwise all that the index knows. It is only read: beside a daemon, too."""
    from hotfolder.collection import of_index
    from hotfolder.services.offline import index_file, reading

    if paths:
        yield from _entries(paths, _config(config), failed)
        return
    settings = loaded(config).config
    file = index_file(settings)
    if not os.path.exists(file):
        raise UsageError(f"{file}: no index yet; name files and folders, or run: hotfolder scan")
    with reading(settings) as offline:
        yield from of_index(offline.index.read(), {watch.name: watch.path for watch in settings.watches})


def _entries(paths: list[str], config: Config | None, failed: list[str]) -> Iterator[Entry]:
    """In the order of the paths; a few are read ahead, on as many threads as there are processors."""
    from hotfolder.cli.reading import Reader
    from hotfolder.pool import sizing

    workers = max(1, round(sizing.usable_cpus()))
    with Reader(config) as reader, ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[str, Future[Entry]]] = deque()
        for path in _files(paths, failed):
            waiting.append((path, pool.submit(reader.entry, path)))
            if len(waiting) > 2 * workers:
                yield from _ended(*waiting.popleft(), failed)
        while waiting:
            yield from _ended(*waiting.popleft(), failed)


def _ended(path: str, future: Future[Entry], failed: list[str]) -> Iterator[Entry]:
    try:
        yield future.result()
    except (SourceError, MissingExtra) as error:
        _fail(path, str(error), failed)
    except OSError as error:
        _fail(path, error.strerror or str(error), failed)


def _fail(path: str, message: str, failed: list[str]) -> None:

    failed.append(path)
    typer.echo(f"hotfolder: {show(os.fsencode(path))}: {message}", err=True)


def _files(paths: list[str], failed: list[str]) -> Iterator[str]:
    """The files named, and the images below the folders named; links are not followed."""
    from hotfolder.store.layout import is_image_name
    from hotfolder.watcher.rules import built_in

    for path in paths:
        if not os.path.exists(path):
            _fail(path, f"{Reason.NOT_FOUND}: there is no such file or folder", failed)
        elif os.path.isfile(path):
            yield os.path.abspath(path)
        elif not os.path.isdir(path):
            _fail(path, f"{Reason.NOT_AN_IMAGE}: it is no regular file", failed)
        for folder, below, names in os.walk(os.path.abspath(path)):
            below[:] = sorted(name for name in below if not built_in(os.fsencode(name)))
            for name in sorted(names):
                file = os.path.join(folder, name)
                raw = os.fsencode(name)
                if is_image_name(raw) and not built_in(raw) and os.path.isfile(file) and not os.path.islink(file):
                    yield file


def _counted(entries: Iterable[Entry], summary: Summary) -> Iterator[Entry]:
    for entry in entries:
        summary.add(entry)
        yield entry


# -- how they are shown ------------------------------------------------------------------------------------------------


def _say_json(entries: Iterable[Entry], summary: Summary) -> None:
    typer.echo('{"images": [', nl=False)
    for number, entry in enumerate(entries):
        typer.echo((",\n" if number else "\n") + json.dumps(entry.as_dict()), nl=False)
    typer.echo('],\n"summary": ' + json.dumps(summary.as_dict()) + "}")


def _say_csv(entries: Iterable[Entry]) -> None:
    from hotfolder.imaging import Record

    columns = ["path", "bytes", *(field.name for field in fields(Record)), "blurred", "camera_class"]
    table = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for entry in entries:
        found = entry.as_dict()
        colours: Any = found["colours"] or ()
        table.writerow(found | {"colours": " ".join(name for name, _ in colours)})


def _write_page(file: str, entries: Iterable[Entry], summary: Summary) -> None:
    from hotfolder.collection import page

    chosen = page.Chosen()
    try:
        target = open(file, "a", encoding="utf-8")  # noqa: SIM115 - before the work, which may take an hour
    except OSError as error:
        raise UsageError(f"--html {file}: {error.strerror}; name a file that can be written") from error
    with target:
        for entry in entries:
            chosen.add(entry)
        text = page.build(summary.as_dict(), chosen)
        if os.path.isfile(file):
            target.truncate(0)
        target.write(text)
    typer.echo(f"{file}: {summary.images} images, {show_size(len(text.encode()))}")


def _say_table(entries: Iterable[Entry], summary: Summary) -> None:
    from rich.markup import escape
    from rich.table import Table

    from hotfolder.cli.console import Console

    table = Table(box=None, pad_edge=False)
    for title in ("image", "camera", "format", "pixels", "taken", "sharp", "light", ""):
        most = {"image": 24, "camera": 14}.get(title)
        table.add_column(title, no_wrap=True, max_width=most, min_width=None if most else len(title))
    for number, entry in enumerate(entries):
        if number >= ROWS_MOST:
            continue
        record = entry.record
        sharpness, exposure = ("" if v is None else f"{v:.2f}" for v in (record.sharpness, record.exposure))
        verdict = "[yellow]blurred" if record.blurred else "blank" if record.blank else ""
        name = escape(show(os.path.basename(entry.path)))
        taken, camera = (record.taken_at or "")[:10], escape(record.camera or "")
        size = f"{record.width}×{record.height}"
        table.add_row(name, camera, record.format, size, taken, sharpness, exposure, verdict)
    console = Console()
    console.print(table)
    if summary.images > ROWS_MOST:
        console.print(f"… and {summary.images - ROWS_MOST} more; --csv or --json shows all")
    found = summary.as_dict()
    formats = ", ".join(f"{name} {each['images']}" for name, each in found["formats"].items())
    same = found["duplicates"]
    console.print(f"{found['images']} images, {show_size(found['bytes'])}: {formats}", highlight=False)
    console.print(
        f"likely blurred {found['blurred']}, blank {found['blank']}, exact duplicates {same['exact']}, "
        f"near duplicates {same['near']}",
        highlight=False,
    )
