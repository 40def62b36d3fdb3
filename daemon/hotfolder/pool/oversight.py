"""Jobs that hang: a decode that never ends, or a mount that does not answer. Their threads are given up and replaced.

Python cannot end a thread, and of what decodes only the compiled core can be told to end. A job that is given up is
handed back at once, and whatever its thread brings later is thrown away: it queries `keep` before it publishes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import StrEnum
from functools import partial

from hotfolder.imaging import Stop
from hotfolder.loop import Loop
from hotfolder.model import Job
from hotfolder.pool.owntime import OwnTime
from hotfolder.telemetry import bugs
from hotfolder.watches.settings import Settings

HUNG_SECONDS = 20.0
"""A file system that has not answered one call in this time hangs."""
LOOK_SECONDS = 1.0


class GivenUp(Exception):
    """The job was taken from this thread, since it hung; another decides."""


class Phase(StrEnum):
    """What a worker is at, and so what may hang."""

    LOOK = "look"
    """Touches the root: the time since its last step counts."""
    DECODE = "decode"
    """Its own time counts (see owntime), up to pool.job_timeout."""
    WAIT = "wait"
    """For memory, a helper, the output or the index: those have limits of their own."""


class Task:
    """One job in work."""

    def __init__(self, job: Job, given_up: Callable[[Task, Phase], None]) -> None:
        self.job = job
        self.given_up = given_up
        """Is called on the oversight's thread, once the job has been taken from its own."""
        self.thread = threading.current_thread()
        self.phase = Phase.LOOK
        self.stop = Stop()
        """Ends its decode where that can be ended."""
        self._lock = threading.Lock()
        self._at = time.monotonic()
        self._spent: OwnTime | None = None
        self._given_up = False

    def enter(self, phase: Phase) -> None:
        """From now on. Raises GivenUp."""
        spent = OwnTime(thread=threading.get_native_id()) if phase is Phase.DECODE else None
        with self._lock:
            if self._given_up:
                raise GivenUp
            self._at, self._spent, self.phase = time.monotonic(), spent, phase

    def step(self) -> None:
        """A sign of life within LOOK."""
        self._at = time.monotonic()

    def keep(self) -> bool:
        """Whether the result still counts; from a True on the job is no longer given up."""
        with self._lock:
            self.phase = Phase.WAIT
            return not self._given_up

    def hangs(self, job_timeout: float) -> bool:
        spent = self._spent
        if self.phase is Phase.DECODE and spent is not None:
            return spent.look() > job_timeout
        return self.phase is Phase.LOOK and time.monotonic() - self._at > HUNG_SECONDS

    def give_up(self) -> Phase | None:
        """The phase it was in; None where it has just gone on."""
        with self._lock:
            if self._given_up or self.phase is Phase.WAIT:
                return None
            self._given_up = True
            self.stop.cancel()
            return self.phase


class Oversight:
    """Looks at all tasks once a second while there are any. `replace` gets the threads of those that are given up."""

    def __init__(self, settings: Settings, replace: Callable[[threading.Thread], object]) -> None:
        self._settings = settings
        self._replace = replace
        self._changed = threading.Condition()
        self._tasks: set[Task] = set()
        self.loop = Loop("oversight", self._round, self._changed)

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        self.loop.stop()

    def begin(self, job: Job, given_up: Callable[[Task, Phase], None]) -> Task:
        task = Task(job, given_up)
        with self._changed:
            if not self._tasks:
                self._changed.notify_all()
            self._tasks.add(task)
        return task

    def end(self, task: Task) -> None:
        with self._changed:
            self._tasks.discard(task)

    def _round(self) -> bool:
        self.loop.rest(lambda: self._tasks)
        self.loop.rest(seconds=min(LOOK_SECONDS, self._settings.job_timeout / 4))
        if self.loop.stopped:
            return False
        with self._changed:
            tasks = list(self._tasks)
        for task in tasks:
            if task.hangs(self._settings.job_timeout) and (phase := task.give_up()) is not None:
                self.end(task)
                bugs.did("oversight", partial(self._replace, task.thread))
                task.given_up(task, phase)
        return True
