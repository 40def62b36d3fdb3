"""When a watch is walked without being asked: polls, paced by their own duration, and the regular rescan."""

from __future__ import annotations

import datetime
import time

from hotfolder.config import DailyAt

POLL_FACTOR = 10
"""The next poll starts no sooner than this many times the last one's duration."""
NEVER = float("inf")


class Schedule:
    """Times are of time.monotonic(). Neither is due until it has been planned."""

    def __init__(self, poll_interval: float, rescan_interval: float | DailyAt | None) -> None:
        self._poll_interval = poll_interval
        self._rescan_interval = rescan_interval
        self._poll_at = NEVER
        self._rescan_at = NEVER

    def seconds(self) -> float | None:
        """Until the next walk; None where none is planned."""
        due = min(self._poll_at, self._rescan_at)
        return None if due == NEVER else max(0.0, due - time.monotonic())

    def is_due(self) -> bool:
        """Whether to walk now. A poll is planned again by `polled`, at its end."""
        now = time.monotonic()
        if now < min(self._poll_at, self._rescan_at):
            return False
        if now >= self._rescan_at:
            self.plan_rescan()
        self._poll_at = NEVER
        return True

    def poll_within(self, seconds: float) -> None:
        self._poll_at = min(self._poll_at, time.monotonic() + seconds)

    def polled(self, duration: float) -> None:
        """A walk that took `duration` seconds has ended."""
        self._poll_at = time.monotonic() + max(self._poll_interval, POLL_FACTOR * duration)

    def plan_rescan(self) -> None:
        every = self._rescan_interval
        if every is None:
            self._rescan_at = NEVER
        elif isinstance(every, DailyAt):
            now = datetime.datetime.now().astimezone()
            then = now.replace(hour=every.hour, minute=every.minute, second=0, microsecond=0)
            then += datetime.timedelta(days=then <= now)
            self._rescan_at = time.monotonic() + (then - now).total_seconds()
        else:
            self._rescan_at = time.monotonic() + every
