"""Whether the root and the output of one watch are there, and how many of its jobs may be in work.

Looked for on the thread of its rounds alone, since a mount may hang.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hotfolder import faults
from hotfolder.errors import Owner, SourceError, StartError
from hotfolder.faults import Operation
from hotfolder.index import backlog
from hotfolder.index.database import Database
from hotfolder.pipeline import output
from hotfolder.pool.oversight import HUNG_SECONDS
from hotfolder.queue.queue import JobQueue
from hotfolder.store import atomic, outputs
from hotfolder.telemetry import bugs
from hotfolder.watcher import condition, folder_moves
from hotfolder.watcher.agenda import Agenda
from hotfolder.watcher.watched import Watched
from hotfolder.watches.grounds import Grounds, RootAway
from hotfolder.watches.site import Site

FORGOTTEN_SECONDS = 60.0
"""An output that nobody has complained of for so long, and for which nothing is put off, counts as well."""


class Touch:
    """Around whatever may hang; other threads query whether it does."""

    def __init__(self) -> None:
        self._since: float | None = None

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._since = None

    @property
    def hangs(self) -> bool:
        """It has not been heard of for long."""
        since = self._since
        return since is not None and time.monotonic() - since > HUNG_SECONDS

    def goes_on(self) -> bool:
        """Called by who is within. True where it had seemed to hang."""
        hung = self.hangs
        if self._since is not None:
            self._since = time.monotonic()
        return hung


class Root:
    """While the root is away none of the jobs of its watch is begun. `touch`: around whatever may hang with it."""

    def __init__(self, watched: Watched, index: Database, queue: JobQueue, agenda: Agenda) -> None:
        self._watched = watched
        self._index = index
        self._queue = queue
        self._agenda = agenda
        self.touch = Touch()
        self.away = True  # nothing begins before it has been seen
        self._lock = threading.Lock()
        self._retired = False
        self._most_jobs: int | None = None
        self._share: int | None = None

    # -- how many jobs ------------------------------------------------------------------------------------------------

    def limit(self) -> None:
        """Have the queue obey what is known of root and output."""
        with self._lock:
            self._limit()

    def retire(self) -> None:
        """Another watcher of this name may be at work from now on: its jobs are none of ours, and its state, too."""
        with self._lock:
            self._retired = True
        self._watched.condition.retire()

    def _limit(self) -> None:
        watched = self._watched
        if self._retired:  # our thread may come back late from a folder that did not answer
            return
        self._queue.limit(watched.name, 0 if self.away or not watched.site.habits.ready else self._most_jobs)

    def share(self, workers: int) -> None:
        """Part of the beat. A mount that may hang gets at most half of the workers."""
        site = self._watched.site
        self._share = max(1, workers // 2) if site.network else None
        # While a folder is moved, whoever came would wait at the gate.
        self._allow(0 if site.gate.is_closed else self._share)

    @contextmanager
    def without_jobs(self) -> Iterator[None]:
        """No job of this watch begins meanwhile."""
        self._allow(0)
        try:
            yield
        finally:
            self._allow(self._share)

    def _allow(self, most: int | None) -> None:
        with self._lock:
            if most != self._most_jobs:
                self._most_jobs = most
                self._limit()

    # -- whether it is there ------------------------------------------------------------------------------------------

    def look_for(self) -> None:
        """It may be away: its jobs wait until it answers. For any thread."""
        with self._lock:
            if not self.away:
                self.away = True
                self._limit()
        self._agenda.nudge()

    def is_gone(self) -> None:
        """It went, and is looked for until it is back. For any thread."""
        self._watched.condition.set(condition.ROOT, f"{self._watched.config.path} is away")
        self.look_for()

    def is_silent(self) -> None:
        """It does not answer. For any thread."""
        if self._watched.condition.set(condition.ROOT, f"{self._watched.config.path} does not answer"):
            self.look_for()

    def answers(self) -> None:
        """Called again and again by who is within `touch`."""
        if self.touch.goes_on():
            self._watched.condition.set(condition.ROOT, None)

    def find(self, *, accept: bool) -> bool:
        """Whether the root answers, and is the one that was there before, or may be another (`accept`).

        Raises OSError where that is not known for the machine's sake.
        """
        watched = self._watched
        try:
            with self.touch:
                self._look(accept)
        except RootAway as error:
            watched.condition.set(condition.ROOT, str(error))
            return False
        except OSError as error:
            if faults.owner(error.errno, Operation.REACH) is Owner.MACHINE:
                raise
            watched.condition.set(condition.ROOT, f"{watched.config.path} is away: {os.strerror(error.errno or 0)}")
            return False
        watched.condition.set(condition.ROOT, None)
        with self._lock:
            self.away = False
            self._limit()
        return True

    def _look(self, accept: bool) -> None:
        root_fd = atomic.open_root(self._watched.config.path)
        try:
            with os.scandir(root_fd) as entries:
                next(entries, None)
            Grounds(self._index, self._watched.site).same_root(root_fd, remember=False, accept=accept)
        finally:
            os.close(root_fd)


class Output:
    """`clean` is called once the output answers, before anything is written there. `kick`: rows wait to be fed."""

    def __init__(
        self, watched: Watched, index: Database, kick: Callable[[], None], clean: Callable[[Site], None]
    ) -> None:
        self._watched = watched
        self._index = index
        self._kick = kick
        self._clean = clean
        self.touch = Touch()
        self._failed: float | None = None

    def prepare(self) -> bool:
        """Make the output ours, and remove what a killed process left there. False, and noted, where that fails."""
        watched, site = self._watched, self._watched.site
        try:
            with self.touch:
                with output.writing(site):
                    outputs.prepare(site.output, site.layout, site.dir_mode, site.habits)
                folder_moves.undo(self._index, site)
                self._clean(site)
        except (SourceError, StartError) as error:
            watched.condition.set(condition.OUTPUT, str(error))
            return False
        watched.condition.set(condition.OUTPUT, None)
        site.habits.ready = True
        self._kick()
        return True

    @property
    def is_failing(self) -> bool:
        return self._failed is not None

    def fails(self, message: str) -> None:
        """It cannot be written. For any thread."""
        self._failed = time.monotonic()
        self._watched.condition.set(condition.OUTPUT, message)

    def works(self) -> None:
        """Something has been written there: what was put off because it failed is tried again. For any thread."""
        self._failed = None
        self._watched.condition.set(condition.OUTPUT, None)
        released = self._index.write(lambda c: backlog.release(c, self._watched.site.id))
        released.add_done_callback(bugs.callback("callback", lambda done: self._kick()))

    def check(self) -> None:
        """Part of the beat: where nothing is put off, what met the trouble is gone itself."""
        if self._failed is None or time.monotonic() - self._failed <= FORGOTTEN_SECONDS:
            return
        if backlog.next_retry(self._index.read(), self._watched.site.id, 0.0) is None:
            self.works()


@dataclass(frozen=True, slots=True)
class Presence:
    """Root and output of one watch."""

    root: Root
    output: Output

    def silent(self) -> str | None:
        """What has not answered for long: condition.ROOT, or condition.OUTPUT while it is prepared."""
        if self.root.touch.hangs:
            return condition.ROOT
        return condition.OUTPUT if self.output.touch.hangs else None
