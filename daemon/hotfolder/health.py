"""Whether the process lives: its lasting threads are there, the main one beats, the index commits, and the state
folder is still the one that was locked.

Asked by /healthz and before each word to systemd's watchdog; touches no file.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hotfolder import loop
from hotfolder.index.database import Database
from hotfolder.store.lock import StateLock
from hotfolder.telemetry import logs

BEAT_SECONDS = 60.0
"""The main thread beats every two seconds; a reload of the configuration may hold it for some."""
COMMIT_SECONDS = 120.0
"""No group of changes takes this long, unless the state's disk hangs."""

log = logs.get("daemon")


class Possession:
    """Of the state folder: without its lock in its place another may take it, and would work beside this process."""

    def __init__(self, lock: StateLock, halt: Callable[[bool], object]) -> None:
        """`halt`: whether nothing may begin."""
        self._lock = lock
        self._halt = halt
        self.problem: str | None = None
        """Why it is lost; None while it is there."""

    def check(self) -> None:
        """Part of the beat."""
        problem, former = self._lock.problem(), self.problem
        if problem is not None:
            problem += "; bring it back, or restart hotfolder: nothing is begun until then"
        self.problem = problem
        if (problem is None) == (former is None):
            return
        self._halt(problem is not None)
        if problem is None:
            log.warning("state_back", path=self._lock.state)
        else:
            log.error("state_lost", message=problem)


class Health:
    """Of this process."""

    def __init__(self, index: Database, possession: Possession, clock: Callable[[], float] = time.monotonic) -> None:
        self._index = index
        self._possession = possession
        self._clock = clock
        self._beat = clock()

    def beat(self) -> None:
        """Called by the main thread, again and again."""
        self._beat = self._clock()

    def problems(self) -> dict[str, str]:
        """What does not live, by subject; empty when well."""
        found = {} if self._possession.problem is None else {"state": self._possession.problem}
        silent = self._clock() - self._beat
        if silent > BEAT_SECONDS:
            found["main"] = f"has not beaten for {silent:.0f} s"
        waiting = self._index.waiting_seconds()
        if waiting > COMMIT_SECONDS:
            found["index"] = f"a group of changes has not been committed for {waiting:.0f} s"
        return found | {each.name: "has ended" for each in loop.living() if each.ended}
