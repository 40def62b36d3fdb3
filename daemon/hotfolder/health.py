"""Whether the process lives: its lasting threads are there, the main one beats, the index commits, and the state
folder is still the one that was locked.

Asked by /healthz and before each word to systemd's watchdog; touches no file.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hotfolder import loop
from hotfolder.index.database import Database

BEAT_SECONDS = 60.0
"""The main thread beats every two seconds; a reload of the configuration may hold it for some."""
COMMIT_SECONDS = 120.0
"""No group of changes takes this long, unless the state's disk hangs."""


class Health:
    """Of this process."""

    def __init__(self, index: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._index = index
        self._clock = clock
        self._beat = clock()
        self.state_problem: str | None = None
        """Why the state folder is lost; None while it is there."""

    def beat(self) -> None:
        """Called by the main thread, again and again."""
        self._beat = self._clock()

    def problems(self) -> dict[str, str]:
        """What does not live, by subject; empty when well."""
        found = {} if self.state_problem is None else {"state": self.state_problem}
        silent = self._clock() - self._beat
        if silent > BEAT_SECONDS:
            found["main"] = f"has not beaten for {silent:.0f} s"
        waiting = self._index.waiting_seconds()
        if waiting > COMMIT_SECONDS:
            found["index"] = f"a group of changes has not been committed for {waiting:.0f} s"
        return found | {each.name: "has ended" for each in loop.living() if each.ended}
