"""Worker threads that grow and shrink while they run, behind the interface of concurrent.futures.Executor.

It knows nothing of images: who submits bounds what waits by asking `wait_free` first.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from hotfolder.telemetry import bugs

P = ParamSpec("P")
T = TypeVar("T")

LOW, HIGH = 2, 32
"""A pool has never fewer or more workers than these (the contract's bounds)."""


@dataclass(frozen=True, slots=True)
class PoolStats:
    """What the pool knows of itself, in the words of `/stats`; times in seconds."""

    active_threads: int
    idle_threads: int
    max_workers: int
    submitted: int
    completed: int
    failed: int
    pending: int
    average_job_time: float

    @property
    def success_rate(self) -> float:
        ended = self.completed + self.failed
        return self.completed / ended if ended else 1.0


class ElasticPool(Executor):
    """An Executor whose number of workers can be changed at any time."""

    def __init__(self, workers: int, name: str = "hotfolder-worker") -> None:
        self.name = name
        self._changed = threading.Condition()
        self._tasks: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._goal = _within(workers)
        self._threads: set[threading.Thread] = set()
        self._number = 0
        self._idle = 0
        self._closed = False
        self._submitted = self._completed = self._failed = 0
        self._seconds = 0.0

    # -- Executor --------------------------------------------------------------------------------------------------

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Raises RuntimeError after shutdown, like every Executor."""
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if len(self._tasks) >= self._idle and len(self._threads) < self._goal:
                self._start()
            self._tasks.append((future, lambda: fn(*args, **kwargs)))
            self._submitted += 1
            self._changed.notify_all()  # others than workers wait here, too
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._changed:
            self._closed = True
            if cancel_futures:
                for future, _ in self._tasks:
                    future.cancel()
                self._tasks.clear()
            self._changed.notify_all()
        if wait:
            self.join(None)

    def join(self, timeout: float | None) -> bool:
        """Wait until all workers have ended after `shutdown`; False where some have not within `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._threads, timeout)

    # -- growing and shrinking ---------------------------------------------------------------------------------------

    def resize(self, workers: int) -> None:
        """Have this many workers, within 2 and 32: new ones start as work comes, idle ones end at once."""
        with self._changed:
            self._goal = _within(workers)
            while len(self._threads) < self._goal and len(self._threads) < len(self._tasks) + self._busy:
                self._start()
            self._changed.notify_all()

    def replace(self, thread: threading.Thread) -> None:
        """Count no longer on this worker, which hangs: another may start. Should it come back, it ends."""
        with self._changed:
            self._threads.discard(thread)
            if len(self._tasks) > self._idle and len(self._threads) < self._goal:
                self._start()  # a task that was submitted meanwhile would wait for the one that hangs
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """A worker has ended that nobody let go."""
        with self._changed:
            return bool(self._dead())

    def revive(self) -> None:
        """Start others in place of those that have ended."""
        with self._changed:
            self._threads -= self._dead()
            self.resize(self._goal)

    def _dead(self) -> set[threading.Thread]:
        return {thread for thread in self._threads if thread.ident is not None and not thread.is_alive()}

    @property
    def size(self) -> int:
        """How many workers it may have now."""
        return self._goal

    @property
    def busy(self) -> int:
        with self._changed:
            return self._busy

    @property
    def _busy(self) -> int:
        return len(self._threads) - self._idle

    def wait_free(self, timeout: float) -> bool:
        """Wait until a task that is submitted now would begin at once."""
        with self._changed:
            return self._changed.wait_for(lambda: self._busy + len(self._tasks) < self._goal, timeout)

    def _start(self) -> None:
        self._number += 1
        thread = threading.Thread(target=self._run, name=f"{self.name}-{self._number}", daemon=True)
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the system has no room for one more
            self._threads.discard(thread)
            raise

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - not of a task: those go to their futures
            bugs.report("worker", error, thread=threading.current_thread().name)
            self.replace(threading.current_thread())
            self.resize(self._goal)

    def _work(self) -> None:
        while (task := self._next()) is not None:
            future, call = task
            if future.set_running_or_notify_cancel():
                began = time.monotonic()
                try:
                    result = call()
                except BaseException as error:  # noqa: BLE001 - an Executor hands every error to the future
                    self._count(time.monotonic() - began, failed=True)
                    future.set_exception(error)
                else:
                    self._count(time.monotonic() - began, failed=False)
                    future.set_result(result)
            del future, call, task  # a worker that waits holds no image

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        """The next task; None where this worker shall end."""
        with self._changed:
            if threading.current_thread() not in self._threads:
                return None  # replaced meanwhile
            self._idle += 1
            self._changed.notify_all()
            try:
                while not self._tasks and not self._closed and len(self._threads) <= self._goal:
                    self._changed.wait()
            finally:
                self._idle -= 1
            if self._tasks and len(self._threads) <= self._goal:
                return self._tasks.popleft()
            self._threads.discard(threading.current_thread())
            self._changed.notify_all()
            return None

    def _count(self, seconds: float, *, failed: bool) -> None:
        with self._changed:
            self._seconds += seconds
            self._failed += failed
            self._completed += not failed

    # -- statistics --------------------------------------------------------------------------------------------------

    def stats(self) -> PoolStats:
        with self._changed:
            ended = self._completed + self._failed
            average = self._seconds / ended if ended else 0.0
            return PoolStats(
                self._busy,
                self._goal - self._busy,
                self._goal,
                self._submitted,
                self._completed,
                self._failed,
                len(self._tasks),
                average,
            )

    @contextmanager
    def batch(self, progress: Callable[[int, int], None] | None = None) -> Iterator[Batch]:
        """Submit within the block; its end waits for all. An exception in the block cancels what has not begun.

        `progress(done, total)` is called after each task, on a worker's thread.
        """
        batch = Batch(self, progress)
        try:
            yield batch
        except BaseException:
            batch.cancel()
            raise
        finally:
            batch.wait()


class Batch:
    """Tasks that belong together; `results` and `errors` are complete when the block has ended."""

    def __init__(self, pool: ElasticPool, progress: Callable[[int, int], None] | None) -> None:
        self._pool = pool
        self._progress = progress
        self._changed = threading.Condition()
        self._done = 0
        self.futures: list[Future[Any]] = []

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future = self._pool.submit(fn, *args, **kwargs)
        self.futures.append(future)
        future.add_done_callback(self._ended)
        return future

    def _ended(self, future: Future[Any]) -> None:
        with self._changed:
            self._done += 1
            done = self._done
            self._changed.notify_all()
        if self._progress is not None:
            self._progress(done, len(self.futures))

    def cancel(self) -> None:
        for future in self.futures:
            future.cancel()

    def wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._done == len(self.futures))

    @property
    def results(self) -> list[Any]:
        """What the tasks that did not fail have given, in the order of submission."""
        return [f.result() for f in self.futures if f.done() and not f.cancelled() and f.exception() is None]

    @property
    def errors(self) -> list[BaseException]:
        return [e for f in self.futures if f.done() and not f.cancelled() and (e := f.exception()) is not None]


def _within(workers: int) -> int:
    return max(LOW, min(HIGH, workers))
