"""The kernel's limits hold for every process: who sets one lets no other test start a daemon meanwhile."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import pytest

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
"""A queue gets it when it is made: inotify_init(2)."""
_LOCK = Path(tempfile.gettempdir()) / f"hotfolder-test-kernel-{os.getuid()}.lock"
_mine = ContextVar("mine", default=False)


@contextmanager
def _locked(how: int) -> Iterator[None]:
    with _LOCK.open("ab") as file:
        fcntl.flock(file, how)
        yield


@contextmanager
def unchanged() -> Iterator[None]:
    """For the start of a daemon: the limits are the machine's, or those that this test has set."""
    if _mine.get():
        yield
        return
    with _locked(fcntl.LOCK_SH):
        yield


@contextmanager
def short_queue(events: int) -> Iterator[None]:
    """Daemons that start within it have queues of so many events. Skips where that may not be set."""
    with _locked(fcntl.LOCK_EX):
        former = QUEUE.read_text()
        try:
            QUEUE.write_text(str(events))
        except OSError:
            pytest.skip("only the superuser may set the kernel's queue")
        token = _mine.set(True)
        try:
            yield
        finally:
            _mine.reset(token)
            QUEUE.write_text(former)
