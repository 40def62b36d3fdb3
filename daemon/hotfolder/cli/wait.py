"""`hotfolder wait PATH…`: until all renditions of these images are there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from hotfolder.cli.common import ANSWER_SECONDS, ConfigOption, Control, JsonOption, exact, in_body, loaded
from hotfolder.cli.typos import status
from hotfolder.config import units
from hotfolder.errors import Exit, UsageError
from hotfolder.paths import show
from hotfolder.store.names import is_image_name

PAGE = 1000
"""Paths in one question (the server's bound)."""
LONGEST_QUESTION = 10.0
FIRST_QUESTION = 0.5
"""Seconds: what stands in the way is said soon, each reason once."""


def _duration(text: str | None) -> float | None:
    try:
        return None if text is None else units.duration(text)
    except ValueError as error:
        raise UsageError(f'--timeout: "{text}" {error}') from None


def wait(
    paths: Annotated[list[str], typer.Argument(help="Images, or folders of them, below a watched root.")],
    config: ConfigOption = None,
    timeout: Annotated[str | None, typer.Option("--timeout", help="Such as 30s; default: as long as it takes.")] = None,
    as_json: JsonOption = False,
    zero: Annotated[bool, typer.Option("-0", help="End each path by a NUL.")] = False,
) -> None:
    """Wait until all renditions of these images are there, and print them.

    Exit status 1: one of them failed; 2: nothing lies there; 124: the time was over before; 3: no daemon runs.
    """
    seconds = _duration(timeout)
    deadline = None if seconds is None else time.monotonic() + seconds
    control = Control(loaded(config).config)
    named = [os.path.abspath(path) for path in paths]
    wanted = list(dict.fromkeys(each for path in named for each in _images(path)))
    found = dict(zip(wanted, _ask(control, wanted, deadline), strict=True))
    for path in [path for path in found if path not in named and _failed_as(found[path], "ignored")]:
        del found[path]
    if as_json:
        typer.echo(json.dumps(list(found.values()), indent=2))
    else:
        _print(found.values(), b"\0" if zero else b"\n")
    for path, each in found.items():
        if each["state"] != "ready":
            late = f": {each['waits_for']}" if each["waits_for"] else ""
            why = f"it is not ready yet{late}" if each["error"] is None else each["error"]["message"]
            typer.echo(f"hotfolder: {show(os.fsencode(path))}: {why}", err=True)
    missing = sum(_failed_as(each, "not_found") for each in found.values())
    failed = sum(each["state"] == "failed" for each in found.values()) - missing
    ended = status(missing=missing, failed=failed, others=len(found) > missing)
    waiting = any(each["state"] == "waiting" for each in found.values())
    raise typer.Exit(Exit.TIMEOUT if waiting and ended is Exit.OK else ended)


def _failed_as(found: dict[str, Any], reason: str) -> bool:
    return found["error"] is not None and bool(found["error"]["reason"] == reason)


def _images(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        yield from (os.path.join(folder, name) for name in sorted(names) if is_image_name(os.fsencode(name)))


def _ask(control: Control, paths: list[str], deadline: float | None) -> list[dict[str, Any]]:
    """Until none waits or the time is over; the answers in the order of the paths."""
    found: dict[str, dict[str, Any]] = {}
    said: set[str] = set()
    longest = FIRST_QUESTION
    for begin in range(0, len(paths), PAGE):
        page = paths[begin : begin + PAGE]
        while page:
            left = longest if deadline is None else max(0.0, min(longest, deadline - time.monotonic()))
            answer = control.call("POST", "/api/wait", in_body(page) | {"seconds": left}, timeout=left + ANSWER_SECONDS)
            longest = LONGEST_QUESTION
            for path, each in zip(page, answer, strict=True):
                if (reason := each["waits_for"]) is not None and reason not in said:
                    said.add(reason)
                    typer.echo(f"hotfolder: {show(os.fsencode(path))}: {reason}", err=True)
                found[path] = each
            page = [path for path in page if found[path]["state"] == "waiting"]
            if deadline is not None and time.monotonic() >= deadline:
                break
    return [found[path] for path in paths]


def _print(found: Any, end: bytes) -> None:
    for each in found:
        for rendition in each["renditions"]:
            if rendition["path"] is not None:
                typer.echo(exact(rendition) + end, nl=False)
