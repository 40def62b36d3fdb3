"""Jobs go from the queue to workers that are free."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from hotfolder.loop import Loop
from hotfolder.model import Job
from hotfolder.pool.threads import ElasticPool
from hotfolder.queue.queue import JobQueue
from hotfolder.telemetry import bugs

POLL_SECONDS = 0.5


class Dispatcher:
    """Gives jobs to workers as they become free: what waits stays in the queue, where it can be overtaken.

    `failed` hears of a job that `work` did not bring to its end.
    """

    def __init__(
        self,
        queue: JobQueue,
        pool: ElasticPool,
        work: Callable[[Job], None],
        failed: Callable[[Job, BaseException], None],
    ) -> None:
        self._queue = queue
        self._pool = pool
        self._work = work
        self._failed = failed
        self.loop = Loop("dispatcher", self._round)

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        """The queue must have been closed."""
        self.loop.stop()

    def _round(self) -> bool:
        if not self._pool.wait_free(POLL_SECONDS):
            return True
        job = self._queue.take()
        if job is None:
            return False
        try:
            future = self._pool.submit(self._work, job)
        except BaseException:
            self._queue.offer(job)
            self._queue.finish(job)
            raise
        future.add_done_callback(bugs.callback("worker", lambda done: self._look(job, done)))
        return True

    def _look(self, job: Job, done: Future[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            self._failed(job, error)
