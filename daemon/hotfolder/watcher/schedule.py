"""When a watch is walked without being asked: polls, the regular rescan, lost events, and folders to try again."""

from __future__ import annotations

import datetime
import time

from hotfolder.config import DailyAt

POLL_FACTOR = 10
"""The next poll starts no sooner than this many times the last one's duration."""
OVERFLOW_PAUSES = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds between the walks of overflows that follow one upon the other."""
CALM_SECONDS = 600.0
"""After so long without an overflow the next one is walked for at once."""
AGAIN_PAUSES = (2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
"""Seconds until a folder that could not be read is tried again."""
AGAIN_MAX = 100
SOON_SECONDS = 3.0
"""Until a folder is walked in which a source was missed: its own event may still report what became of it."""
NEVER = float("inf")


class Schedule:
    """Times are of time.monotonic(). Nothing is due until it has been planned."""

    def __init__(self, poll_interval: float, rescan_interval: float | DailyAt | None) -> None:
        self._poll_interval = poll_interval
        self._rescan_interval = rescan_interval
        self._poll_at = NEVER
        self._rescan_at = NEVER
        self._lost_at = NEVER
        self._lost_walks = 0
        self._lost_last = -NEVER
        self._again: set[bytes] = set()
        self._again_at = NEVER
        self._again_tries = 0
        self._soon: set[bytes] = set()
        self._soon_at = NEVER
        self._soon_last = -NEVER

    def seconds(self) -> float | None:
        """Until the next walk; None where none is planned."""
        due = min(self._poll_at, self._rescan_at, self._lost_at, self._again_at, self._soon_at)
        return None if due == NEVER else max(0.0, due - time.monotonic())

    # -- polls and rescans --------------------------------------------------------------------------------------------

    def poll_due(self) -> bool:
        """Planned again by `polled`, at its end."""
        due = time.monotonic() >= self._poll_at
        self._poll_at = NEVER if due else self._poll_at
        return due

    def poll_within(self, seconds: float) -> None:
        self._poll_at = min(self._poll_at, time.monotonic() + seconds)

    def polled(self, duration: float) -> None:
        """A walk that took `duration` seconds has ended."""
        self._poll_at = time.monotonic() + max(self._poll_interval, POLL_FACTOR * duration)

    def rescan_due(self) -> bool:
        due = time.monotonic() >= self._rescan_at
        if due:
            self.plan_rescan()
        return due

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

    # -- lost events --------------------------------------------------------------------------------------------------

    def events_lost(self, pause: float = 0.0) -> None:
        """One walk for however many overflows until it begins; the next of a series comes after a growing pause."""
        now = time.monotonic()
        if now - self._lost_last > CALM_SECONDS:
            self._lost_walks = 0
        pause = max(pause, OVERFLOW_PAUSES[min(self._lost_walks, len(OVERFLOW_PAUSES) - 1)])
        self._lost_at = min(self._lost_at, max(now, self._lost_last + pause))

    def lost_due(self) -> bool:
        due = time.monotonic() >= self._lost_at
        if due:
            self._lost_at = NEVER
            self._lost_walks += 1
        return due

    def walked_for_lost(self) -> None:
        """That walk has ended: the pause counts from here."""
        self._lost_last = time.monotonic()
        if self._lost_at != NEVER:
            self._lost_at = NEVER
            self.events_lost()

    # -- folders to try again -----------------------------------------------------------------------------------------

    def try_again(self, folders: set[bytes]) -> None:
        """These could not be read; an empty set: all could."""
        if not folders:
            return
        self._again |= folders if len(self._again) + len(folders) <= AGAIN_MAX else {b""}
        pause = AGAIN_PAUSES[min(self._again_tries, len(AGAIN_PAUSES) - 1)]
        self._again_tries += 1
        self._again_at = min(self._again_at, time.monotonic() + pause)

    def again_due(self) -> tuple[bytes, ...]:
        if time.monotonic() < self._again_at:
            return ()
        folders, self._again, self._again_at = tuple(sorted(self._again)), set(), NEVER
        return folders

    def all_read(self) -> None:
        self._again_tries = 0

    # -- folders in which something was missed ------------------------------------------------------------------------

    def look_soon(self, folder: bytes) -> None:
        """One walk for however many, and never one upon the other."""
        self._soon = self._soon | {folder} if len(self._soon) < AGAIN_MAX else {b""}
        now = time.monotonic()
        self._soon_at = min(self._soon_at, max(now + SOON_SECONDS, self._soon_last))

    def soon_due(self) -> tuple[bytes, ...]:
        if time.monotonic() < self._soon_at:
            return ()
        folders, self._soon, self._soon_at = tuple(sorted(self._soon)), set(), NEVER
        return folders

    def looked(self, duration: float) -> None:
        """That walk took so many seconds."""
        self._soon_last = time.monotonic() + POLL_FACTOR * duration
