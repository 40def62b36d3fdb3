"""A reconcile that is asked for, with what came of it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from hotfolder.index.deletions import Mark
from hotfolder.watcher.findings import Findings
from hotfolder.watcher.options import Options


@dataclass(slots=True)
class Request:
    """A reconcile that somebody waits for. `expected`: what it finds need not have been announced by events.

    `mark`: what it makes of the sources that it does not find.
    """

    folders: tuple[bytes, ...]
    verify: bool = False
    confirm: bool = False
    adopt: bool = False
    expected: bool = True
    mark: Mark = Mark.ONCE_MORE
    findings: list[Findings] = field(default_factory=list)
    problem: str | None = None
    done: threading.Event = field(default_factory=threading.Event)
    ended: float | None = None
    """Seconds since 1970."""

    def options(self, *, doubted: bool) -> Options:
        """How its walks judge. `doubted`: the output may have lost renditions, so that they are looked for anyway."""
        return Options(verify=self.verify or doubted, confirm=self.confirm, mark=self.mark)

    @property
    def seconds(self) -> float:
        """How long its walks took."""
        return sum(findings.seconds for findings in self.findings)

    def fail(self, problem: str) -> None:
        self.problem = problem
        self.end()

    def end(self) -> None:
        self.ended = time.time()
        self.done.set()
