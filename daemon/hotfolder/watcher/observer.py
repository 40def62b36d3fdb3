"""How changes below one root come to be known: by kernel events where there are any, by polls elsewhere."""

from __future__ import annotations

import errno
import time
from collections import Counter

from hotfolder import faults
from hotfolder.errors import Owner
from hotfolder.faults import Operation
from hotfolder.loop import Pause
from hotfolder.telemetry import logs
from hotfolder.watcher import condition
from hotfolder.watcher.agenda import Agenda
from hotfolder.watcher.coverage import Coverage
from hotfolder.watcher.events import Sink
from hotfolder.watcher.presence import Root
from hotfolder.watcher.request import Request
from hotfolder.watcher.tree import TreeWatcher
from hotfolder.watcher.walk import Ground
from hotfolder.watcher.watched import Watched

ROOT_SECONDS = 2.0
"""How often a watched root's path is asked whether it still leads to the folder that is watched."""

log = logs.get("watching")


class Observer:
    """Owns the tree of kernel watches, and is its keeper. `sink` is notified of its events."""

    def __init__(self, watched: Watched, coverage: Coverage, sink: Sink, agenda: Agenda, root: Root) -> None:
        self._watched = watched
        self.coverage = coverage
        self._sink = sink
        self._agenda = agenda
        self._root = root
        self._tree: TreeWatcher | None = None
        self._reader_pause = Pause()
        self._look_at = 0.0
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        if self._tree is not None:
            self._tree.stop()

    @property
    def watches(self) -> int:
        """Kernel watches in use."""
        return self._tree.watches if self._tree is not None else 0

    # -- watching: on the thread of the rounds ------------------------------------------------------------------------

    def watch_anew(self) -> None:
        """Events had ended: begin with them again, and have everything walked."""
        try:
            with self._root.touch:
                self._watch()
        except BaseException:
            self._agenda.watch_anew()
            raise
        self._agenda.request(Request((b"",)))

    def begin_anew(self) -> None:
        """Another folder may be the root than before: nothing that was known of it counts."""
        self._watched.rules.forget()
        with self._root.touch:
            self.coverage.begin_anew()
            self._watch()
        self._agenda.request(Request((b"",)))

    def check_root(self) -> None:
        """Begin anew where the root's path leads to another folder by now."""
        if self._is_replaced():
            log.warning("root_replaced", watch=self._watched.name, next="watched anew, and reconciled")
            self.begin_anew()

    def _is_replaced(self) -> bool:
        """A parent was renamed, or the path is a link that was set anew. No event reports that.

        It is looked at every ROOT_SECONDS, however often this is called. Where the path leads to nothing: offline.
        """
        if time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + ROOT_SECONDS
        try:
            with self._root.touch:
                return self._tree is not None and self._tree.is_elsewhere()
        except OSError as error:
            if faults.owner(error.errno, Operation.REACH) is Owner.ROOT:
                self._root.is_gone()
            return False

    def _watch(self) -> None:
        """Begin with events, anew where there were some; and with polls where events do not reach."""
        config, state = self._watched.config, self._watched.condition
        if self._tree is not None:
            self._tree.stop()
            self._tree = None
        self.coverage.rewatch()
        state.set(condition.EVENTS, None)
        state.polled = self.coverage.mostly_polled
        if self.coverage.by_events(b""):
            tree = TreeWatcher(
                config.path,
                self._sink,
                self,
                recursive=config.recursive,
                name=config.name,
                pause=self._reader_pause,
            )
            try:
                tree.start()
            except OSError as error:
                self.unwatched(b"", error)
            else:
                self._tree = tree
            if self._stopped:
                tree.stop()  # while the root did not answer
        if self.coverage.polled():
            self._agenda.poll_within(0.0 if state.polled else config.poll_interval)
        state.show()

    # -- asked by a walk ----------------------------------------------------------------------------------------------

    def ensure(self, folder: bytes) -> None:
        """Have the events of this folder from now on, where it has any. Called before it is listed."""
        if self._tree is not None and self.coverage.by_events(folder):
            self._tree.ensure(folder)

    def ground(self, folder: bytes) -> Ground:
        return Ground(self.coverage.mount(folder), self.coverage.by_polls(folder))

    # -- where events do not reach ------------------------------------------------------------------------------------

    def missed(self, found: Counter[bytes]) -> None:
        """Changes that no event announced; who misses again and again is deaf, and polled from then on."""
        self._watched.condition.count_missed(found.total())
        for mount in self.coverage.missed(found):
            log.warning(
                "deaf",
                watch=self._watched.name,
                path=mount or b".",
                next="polled from now on",
                why="three reconciles in a row found changes that no event had announced",
            )
            self._show_polled()
            self._agenda.poll_within(self._watched.config.poll_interval)

    def mounts_changed(self) -> None:
        """Something was mounted or unmounted somewhere on this machine."""
        places = self.coverage.refresh()
        if places:
            log.info("mounts_changed", watch=self._watched.name, path=places[0] or b".", places=len(places))
            self._watched.rules.forget()
            self._agenda.request(Request(tuple(places)))
        elif not self.coverage.root_remounted:
            return  # nothing of ours
        if self.coverage.polled():
            self._agenda.poll_within(self._watched.config.poll_interval)
        self._show_polled()
        if self.coverage.root_remounted:
            self._root.look_for()

    def check(self) -> None:
        """Part of the beat."""
        if self._tree is not None and self._tree.ended:
            trouble = "the thread that reads events has ended; it is started anew"
            self._watched.condition.set(condition.EVENTS, trouble)

    def _show_polled(self) -> None:
        self._watched.condition.polled = self.coverage.mostly_polled
        self._watched.condition.show()

    # -- Keeper: asked by the tree ------------------------------------------------------------------------------------

    def enters(self, folder: bytes) -> bool:
        return self.coverage.by_events(folder) and self._watched.rules.enters(folder)

    def root_gone(self) -> None:
        self._root.is_gone()

    def deaf(self) -> None:
        self._agenda.watch_anew()

    def unwatched(self, folder: bytes, error: OSError) -> None:
        """It is polled, with all below it."""
        if error.errno in (errno.ENOSPC, errno.EMFILE, errno.ENFILE):
            limit = "max_user_watches" if error.errno == errno.ENOSPC else "max_user_instances"
            text = f"the kernel's limit is reached: raise fs.inotify.{limit}; until then folders are polled"
            self._watched.condition.set(condition.EVENTS, text)
        elif folder == b"" and error.errno == errno.ENOENT:
            self._root.is_gone()
            return
        self.coverage.unwatched(folder)
        self._agenda.poll_within(self._watched.config.poll_interval)
