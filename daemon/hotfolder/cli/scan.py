"""`hotfolder scan`: one reconcile to its end, by a living daemon or in this process."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotfolder.cli.common import (
    ConfigOption,
    Control,
    ask_index,
    check_watch,
    in_body,
    loaded,
    local_engine,
    say_warnings,
    show_size,
)
from hotfolder.cli.importing import importing
from hotfolder.cli.typos import check_known
from hotfolder.config import Config
from hotfolder.errors import Exit, NotRunning, StoppedEarly
from hotfolder.telemetry import logs

if TYPE_CHECKING:
    from hotfolder.services.offline import Offline

FIRST_POLL_SECONDS = 0.005
"""A scan of nothing ends at once; later there is no hurry."""
POLL_SECONDS = 0.1
LINE_SECONDS = 2.0


def scan(
    paths: Annotated[
        list[str] | None, typer.Argument(help="Folders and files below a root; default: everything.")
    ] = None,
    config: ConfigOption = None,
    watch: Annotated[str | None, typer.Option(help="Only this watch.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Also look whether every rendition is there and whole.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what there is to do.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 also where images are in quarantine.")] = False,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Where nothing is known of an image, renditions that are there count as made."),
    ] = False,
    confirm_deletes: Annotated[
        bool, typer.Option("--confirm-deletes", help="Remove what is missing, however much that is.")
    ] = False,
) -> None:
    """Compare the folders with the index and make what is missing."""
    found = loaded(config)
    logs.setup("warning", found.config.log.format)
    say_warnings(found)
    check_watch(found.config, watch)
    wanted = [os.path.abspath(path) for path in paths or []]
    check_known(found.config, wanted, watch)
    asked = {"watch": watch, "verify": verify, "confirm_deletes": confirm_deletes, "adopt": adopt}
    if dry_run:
        raise typer.Exit(_dry_run(found.config, wanted, watch, verify=verify))
    control = Control(found.config)
    began = time.monotonic()
    if control.alive():
        _say_held(control.call("GET", "/api/status"))
        job_id = control.call("POST", "/api/rescan", asked | in_body(wanted))["job_id"]
        try:
            job = _follow(lambda: control.call("GET", f"/api/jobs/{job_id}"), threading.Event().wait)
            quarantined = sum(each["failed"] for each in control.call("GET", "/api/status")["watches"])
        except NotRunning as error:
            raise StoppedEarly("the daemon ended before the scan; what is missing is made at its next start") from error
    else:
        job, quarantined = _scan_here(found.config, wanted, asked)
    _say_summary(job, time.monotonic() - began)
    raise typer.Exit(_status(job, strict=strict, quarantined=quarantined))


def _say_held(status: dict[str, Any]) -> None:
    """Its work is part of the backlog, and waits where that is held."""
    if status["paused"]:
        typer.echo("hotfolder: work is paused; what is found waits for `hotfolder resume`", err=True)
    if not status["backlog"]["open"]:
        window = status["backlog"]["window"]
        typer.echo(f"hotfolder: what is found waits for the backlog's window, {window}", err=True)


def _scan_here(config: Config, paths: list[str], asked: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """In this process. SIGINT and SIGTERM end it: what was made is kept."""
    with importing():
        from hotfolder.services import quarantine
        from hotfolder.services.answers import plain
        from hotfolder.services.rescans import Rescans, Scope

    stop = threading.Event()
    caught: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with local_engine(config) as engine:
        rescans = Rescans(engine)
        scope = Scope(asked["watch"], paths, asked["verify"], asked["confirm_deletes"], asked["adopt"])
        job_id = rescans.begin(scope)

        def ask() -> dict[str, Any]:
            if problem := engine.lock.problem():
                raise StoppedEarly(f"{problem}; what is missing is made by the next scan")
            engine.check_scan()
            found: dict[str, Any] = plain(rescans.one(job_id))
            return found

        def rest(seconds: float) -> bool:
            rescans.wait(job_id, seconds)
            return stop.is_set()

        job = _follow(ask, rest)
        quarantined = len(quarantine.failures(engine))
        if not caught:
            engine.couriers.deliver_now(stop)
    if caught:
        _say_summary(job, 0.0)
        sys.exit(128 + caught[0])
    return job, quarantined


def _follow(ask: Callable[[], dict[str, Any]], rest: Callable[[float], bool]) -> dict[str, Any]:
    """Show progress until the job is done: a bar on a terminal, now and then a line elsewhere. `rest`, so many seconds
    at most, gives whether to stop."""
    if sys.stderr.isatty():
        return _follow_with_bar(ask, rest)
    said = time.monotonic()
    pause = FIRST_POLL_SECONDS
    while (job := ask())["state"] == "running" and not rest(pause):
        pause = min(POLL_SECONDS, 2 * pause)
        if time.monotonic() - said >= LINE_SECONDS:
            said = time.monotonic()
            typer.echo(f"{job['done']} of {job['total']} done, {job['failed']} failed", err=True)
    return job


def _follow_with_bar(ask: Callable[[], dict[str, Any]], rest: Callable[[float], bool]) -> dict[str, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("scan", total=None)
        while (job := ask())["state"] == "running" and not rest(POLL_SECONDS):
            text = f"scan, {job['failed']} failed" if job["failed"] else "scan"
            progress.update(task, description=text, total=job["total"] or None, completed=job["done"])
    return job


def _say_summary(job: dict[str, Any], seconds: float) -> None:
    found = job["summary"]
    made = f"made {found['made']} ({found['renditions']} renditions), reused {found['reused']}"
    others = ", ".join(f"{key} {found[key]}" for key in ("failed", "skipped", "removed"))
    typer.echo(f"sources {found['sources']}, {made}, {others}")
    rate = found["made"] / seconds if seconds else 0.0
    read, written = show_size(found["bytes_in"]), show_size(found["bytes_out"])
    typer.echo(f"read {read}, written {written}, {seconds:.1f} s, {rate:.1f} images/s")
    if found["held"]:
        typer.echo(f"{found['held']} deletions are held; see --confirm-deletes", err=True)
    if found["waiting"]:
        typer.echo(f"hotfolder: {found['waiting']} images are put off; the log says why", err=True)
    for problem in found["problems"]:
        typer.echo(f"hotfolder: {problem}", err=True)


def _status(job: dict[str, Any], *, strict: bool, quarantined: int) -> int:
    found = job["summary"]
    if found["problems"] or found["waiting"] or job["state"] != "done":
        return Exit.STOPPED_EARLY
    return Exit.FAILED_IMAGES if found["failed"] or (strict and quarantined) else Exit.OK


def _dry_run(config: Config, paths: list[str], watch: str | None, *, verify: bool) -> int:
    """How many, how many bytes, and about how long by what the index remembers; nothing is changed."""
    control = Control(config)
    if control.alive():
        asked = {"watch": watch, "verify": verify} | in_body(paths)
        found = control.call("POST", "/api/estimate", asked, timeout=None)
    else:
        found = ask_index(config, lambda offline: _estimate(offline, paths, watch, verify))
    for each in found:
        typer.echo(
            f"{each['watch']}: {each['sources']} sources, {each['to_make']} to make ({each['renditions']} renditions "
            f"from {show_size(each['bytes_in'])}), {each['missing']} missing"
        )
        if each["to_make"] and each["bytes_out"] is not None and each["seconds"] is not None:
            typer.echo(f"  about {show_size(each['bytes_out'])} to write, {_show_seconds(each['seconds'])}")
        if each["problem"]:
            typer.echo(f"hotfolder: {each['problem']}", err=True)
    return Exit.STOPPED_EARLY if any(each["problem"] for each in found) else Exit.OK


def _estimate(offline: Offline, paths: list[str], watch: str | None, verify: bool) -> object:
    from hotfolder.pool import sizing
    from hotfolder.services.estimate import estimate

    workers = offline.config.pool.workers
    count = max(2, round(sizing.usable_cpus())) if workers == "auto" else workers
    return estimate(offline, watch, paths, verify=verify, workers=count)


def _show_seconds(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
