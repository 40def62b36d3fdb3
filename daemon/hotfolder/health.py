"""Whether the process lives: its lasting threads are there, the main one beats, the index commits.

Asked by /healthz and before each word to systemd's watchdog; touches no file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from hotfolder.keeping.database import Database

BEAT_SECONDS = 60.0
"""The main thread beats every two seconds; a reload of the configuration may hold it for some."""
COMMIT_SECONDS = 120.0
"""No group of changes takes this long, unless the state's disk hangs."""
LASTING = ("hotfolder-index", "hotfolder-feeder", "hotfolder-orders", "hotfolder-dispatcher", "hotfolder-oversight")


class Health:
    """`watches`, `hooks`: each has threads of its own."""

    def __init__(self, index: Database) -> None:
        self._index = index
        self._beat = time.monotonic()
        self.watches: Iterable[str] = ()
        self.hooks: Iterable[str] = ()

    def beat(self) -> None:
        """Called by the main thread, again and again."""
        self._beat = time.monotonic()

    def problems(self) -> dict[str, str]:
        """What does not live, by subject; empty when well."""
        found = {}
        silent = time.monotonic() - self._beat
        if silent > BEAT_SECONDS:
            found["main"] = f"has not beaten for {silent:.0f} s"
        waiting = self._index.waiting_seconds()
        if waiting > COMMIT_SECONDS:
            found["index"] = f"a group of changes has not been committed for {waiting:.0f} s"
        here = {thread.name for thread in threading.enumerate()}
        per_watch = [f"hotfolder-{kind}-{watch}" for watch in self.watches for kind in ("intake", "reconcile")]
        per_hook = [f"hotfolder-hook-{hook}" for hook in self.hooks]
        found |= {name: "has ended" for name in (*LASTING, *per_watch, *per_hook) if name not in here}
        return found
