"""How long a thread or process has really worked on something: what it computed, and what it slept without end.

Waiting for a CPU or for a disk is not counted, so that a crowded machine or a slow mount convicts no image.
"""

from __future__ import annotations

import os
import time

_TICK = os.sysconf("SC_CLK_TCK")
_AWAKE = 0.1
"""A share of CPU above which it works by itself; below, and asleep, it waits for something that may never come."""


class OwnTime:
    """Seconds since its making, of a thread of ours or of another process; ask again and again."""

    def __init__(self, *, process: int | None = None, thread: int | None = None) -> None:
        self._stat = f"/proc/{process}/stat" if process is not None else f"/proc/self/task/{thread}/stat"
        self.seconds = 0.0
        self._at = time.monotonic()
        self._cpu = self._read()[0]

    def look(self) -> float:
        """Seconds until now. Looked at too seldom it returns too little, never too much."""
        now = time.monotonic()
        cpu, asleep = self._read()
        passed, computed = now - self._at, cpu - self._cpu
        self.seconds += passed if asleep and computed < _AWAKE * passed else max(0.0, computed)
        self._at, self._cpu = now, cpu
        return self.seconds

    def _read(self) -> tuple[float, bool]:
        """CPU seconds so far, and whether it sleeps (proc(5): state S; D waits for a disk)."""
        try:
            with open(self._stat, "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            # No /proc (macOS), or it has just ended: all time counts.
            return 0.0, True
        return (int(fields[11]) + int(fields[12])) / _TICK, fields[0] == b"S"
