"""Whether the daemon lives, and whether it can work. Touches no root: a mount that hangs would block."""

from __future__ import annotations

import sqlite3
from typing import Literal

from hotfolder.engine import Engine
from hotfolder.index import report
from hotfolder.services import holds
from hotfolder.services.answers import Answer
from hotfolder.services.holds import Paused
from hotfolder.version import VERSION
from hotfolder.watcher import condition


class Health(Answer):
    """`problems`: what does not live, by subject."""

    status: Literal["ok", "failing"]
    version: str
    problems: dict[str, str]


class Readiness(Answer):
    """`problems`: what stands in the way of work, by subject. What is paused does not count."""

    ready: bool
    problems: dict[str, str]
    paused: list[Paused]


def health(engine: Engine) -> Health:
    problems = engine.health.problems()
    return Health(status="failing" if problems else "ok", version=VERSION, problems=problems)


def readiness(engine: Engine) -> Readiness:
    problems = {}
    for name, watcher in engine.watchers.items():
        for subject, trouble in watcher.condition.troubles.items():
            if subject in condition.UNREADY:
                problems[f"watch {name}: {subject}"] = trouble
    try:
        report.check(engine.index.read())
    except sqlite3.Error as error:
        problems["index"] = str(error)
    return Readiness(ready=not problems, problems=problems, paused=holds.held(engine).paused)
