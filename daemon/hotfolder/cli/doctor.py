"""`hotfolder doctor`: what on this machine stands in the way, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from hotfolder.cli.common import ConfigOption, JsonOption, loaded
from hotfolder.cli.importing import importing
from hotfolder.errors import Exit

MARKS = {"ok": " ok ", "advice": " -> ", "problem": "FAIL"}


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Examine kernel limits, file systems, permissions, codecs and space. Exit status 1: something will not work."""
    found = loaded(config)
    with importing():
        from hotfolder.doctor import Level, examine

    findings = list(examine(found.config))
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in findings], indent=2))
    else:
        for each in findings:
            typer.echo(f"{MARKS[each.level]}  {each.subject}: {each.text}")
            if each.remedy:
                typer.echo(f"      {each.remedy}")
    failed = any(each.level is Level.PROBLEM for each in findings)
    raise typer.Exit(Exit.FAILED_IMAGES if failed else Exit.OK)
