"""Whether the root and the output of one watch are there.

Looked for on the thread of its rounds alone, since a mount may hang.
"""

from __future__ import annotations

import os
import time

from hotfolder import faults
from hotfolder.errors import Owner, SourceError, StartError
from hotfolder.faults import Operation
from hotfolder.index.database import Database
from hotfolder.pipeline import output
from hotfolder.pool.oversight import HUNG_SECONDS
from hotfolder.store import atomic, outputs
from hotfolder.watcher import condition, folder_moves
from hotfolder.watcher.watched import Watched
from hotfolder.watches.grounds import Grounds, RootAway

ROOT_SECONDS = 2.0
"""How often a watched root's path is asked whether it still leads to the folder that is watched."""


class Touch:
    """Around whatever may hang; other threads ask whether it does."""

    def __init__(self) -> None:
        self._since: float | None = None

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._since = None

    @property
    def hangs(self) -> bool:
        """Nothing has been heard of it for long."""
        since = self._since
        return since is not None and time.monotonic() - since > HUNG_SECONDS

    def goes_on(self) -> bool:
        """Said by who is within. True where it had seemed to hang."""
        hung = self.hangs
        if self._since is not None:
            self._since = time.monotonic()
        return hung


class Presence:
    """Of one watch. `touch` is told of whatever may hang with the root, `output_touch` of what may with the output."""

    def __init__(self, watcher: Watched, index: Database, touch: Touch, output_touch: Touch) -> None:
        self._watcher = watcher
        self._index = index
        self._touch = touch
        self._output_touch = output_touch
        self._due = 0.0

    def is_found(self, *, accept: bool) -> bool:
        """Whether the root answers, and is the one that was there before, or may be another (`accept`). Raises OSError
        where that cannot be said for the machine's sake."""
        watcher = self._watcher
        try:
            with self._touch:
                self._look(accept)
        except RootAway as error:
            watcher.condition.set(condition.ROOT, str(error))
            return False
        except OSError as error:
            if faults.owner(error.errno, Operation.REACH) is Owner.MACHINE:
                raise
            watcher.condition.set(condition.ROOT, f"{watcher.config.path} is away: {os.strerror(error.errno or 0)}")
            return False
        watcher.condition.set(condition.ROOT, None)
        return True

    def _look(self, accept: bool) -> None:
        root_fd = atomic.open_root(self._watcher.config.path)
        try:
            with os.scandir(root_fd) as entries:
                next(entries, None)
            Grounds(self._index, self._watcher.site).same_root(root_fd, remember=False, accept=accept)
        finally:
            os.close(root_fd)

    def is_replaced(self) -> bool:
        """Whether its path leads to another folder by now: a parent was renamed, or it is a link that was set anew. No
        event tells of that; it is looked at every ROOT_SECONDS, whoever asks more often."""
        if time.monotonic() < self._due:
            return False
        self._due = time.monotonic() + ROOT_SECONDS
        with self._touch:
            return self._watcher.root_replaced()

    def prepare_output(self) -> bool:
        """Make the output ours, and remove what a killed process left there. False, and noted, where that cannot be."""
        watcher, site = self._watcher, self._watcher.site
        try:
            with self._output_touch:
                with output.writing(site):
                    outputs.prepare(site.output, site.layout, site.dir_mode, site.habits)
                folder_moves.undo(self._index, site)
                watcher.clean(site)
        except (SourceError, StartError) as error:
            watcher.condition.set(condition.OUTPUT, str(error))
            return False
        watcher.condition.set(condition.OUTPUT, None)
        site.habits.ready = True
        return True
