"""A taker for tests of the queue that really waits, so that a wake-up which is missed shows."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from hotfolder.model import Job
from hotfolder.queue.queue import JobQueue

SECONDS = 20.0
"""For what has to happen at once; a loaded machine may take its time."""


class Hand:
    """A thread that takes one job when asked to, and waits for it as long as it must."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._hands = ThreadPoolExecutor(1)

    def reach(self) -> Future[Job | None]:
        """Ask for one, and come back when it is there or waited for."""
        before = waiters(self._queue)
        taken = self._hands.submit(self._queue.take)
        pause = threading.Event()
        while not taken.done() and waiters(self._queue) <= before:
            pause.wait(0.0005)
        return taken

    def end(self) -> None:
        self._queue.close()
        self._hands.shutdown()


def waiters(queue: JobQueue) -> int:
    """How many threads wait on the queue for whatever."""
    with queue._changed:
        return len(queue._changed._waiters)  # type: ignore[attr-defined]
