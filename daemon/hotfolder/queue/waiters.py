"""Who waits for the end of a job: one future a waiter, by path. Nothing is kept for those who come after it."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from hotfolder.model import Job
from hotfolder.outcome import Outcome

Key = tuple[str, bytes]


class Waiters:
    """By watch and path of the job."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Key, list[Future[Outcome]]] = {}

    def next(self, watch: str, path: bytes) -> Future[Outcome]:
        """The outcome of the next job of this path to end. Ask before the job is offered; cancel what is given up."""
        future: Future[Outcome] = Future()
        key = (watch, path)
        with self._lock:
            self._waiting.setdefault(key, []).append(future)
        future.add_done_callback(lambda done: self._forget(key, done))
        return future

    def told(self, job: Job, outcome: Outcome) -> None:
        with self._lock:
            waiting = self._waiting.pop(job.key, [])
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_result(outcome)

    def _forget(self, key: Key, future: Future[Outcome]) -> None:
        with self._lock:
            waiting = self._waiting.get(key, [])
            if future in waiting:
                waiting.remove(future)
                if not waiting:
                    del self._waiting[key]
