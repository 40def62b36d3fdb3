"""Kernel events of one tree, through watchdog's InotifyFD by an emitter of our own.

All that happens is reported to a sink, which notes and returns. watchdog is pinned: a test fails where the classes used
here change.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from hotfolder import loop
from hotfolder.loop import Pause
from hotfolder.model import Kind
from hotfolder.watcher.events import Keeper, Sink
from hotfolder.watcher.nodes import Node

if TYPE_CHECKING:
    from watchdog.observers.inotify_c import CallbackId, InotifyEvent

    from hotfolder.watcher.reader import Reader

IN_ATTRIB, IN_CLOSE_WRITE, IN_MOVED_FROM, IN_MOVED_TO = 0x4, 0x8, 0x40, 0x80
IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF = 0x100, 0x200, 0x400, 0x800
IN_UNMOUNT, IN_ONLYDIR, IN_DONT_FOLLOW, IN_ISDIR = 0x2000, 0x1000000, 0x2000000, 0x40000000
# No IN_OPEN, IN_ACCESS or IN_CLOSE_NOWRITE: reading a source ourselves must raise no event.
CHANGED = IN_CREATE | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE
MASK = CHANGED | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW

PAIR_SECONDS = 1.0
"""The two halves of a rename come together; what has waited this long has left the tree."""


class _Leaving(NamedTuple):
    """The first half of a rename, until the second one comes."""

    since: float
    path: bytes
    node: Node | None
    is_folder: bool


class TreeWatcher:
    """Watches the folders of one root that its keeper lets in. `ensure` adds a folder, before it is listed."""

    def __init__(
        self, root: str, sink: Sink, keeper: Keeper, *, recursive: bool, name: str = "", pause: Pause | None = None
    ) -> None:
        """`pause`: how long the reader rests after a bug; one that outlives this tree grows from one to the next."""
        self._name = f"hotfolder-inotify-{name}" if name else "hotfolder-inotify"
        self._pause = pause or Pause()
        self._root = os.fsencode(root)
        self._sink = sink
        self._keeper = keeper
        self._recursive = recursive
        self._lock = threading.RLock()
        self._nodes: dict[int, Node] = {}
        self._top = Node(b"", None)
        self._leaving: dict[int, _Leaving] = {}
        self._next_id = 0
        self._fd: Reader | None = None
        self._watched = (0, 0)

    def start(self) -> None:
        """Begin with the root alone. Raises OSError where it is missing or cannot be watched."""
        from hotfolder.watcher.reader import Reader

        self._fd = Reader(self._name, self._pause, self._keeper.deaf)
        self._fd.start()
        loop.register(self._fd)
        try:
            self._add(self._top, b"")
            self._watched = self._identity()
        except OSError:
            self.stop()
            raise

    def is_elsewhere(self) -> bool:
        """Whether the root's path leads to another folder than the one that is watched. May hang with its mount.

        Raises OSError where it leads nowhere.
        """
        return self._identity() != self._watched

    def _identity(self) -> tuple[int, int]:
        found = os.stat(self._root)
        return found.st_dev, found.st_ino

    def stop(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            loop.unregister(fd)
            fd.stop()
            fd.join(5.0)
        # Without the lock: who has it may wait for a mount that does not answer.
        self._nodes, self._leaving, self._top = {}, {}, Node(b"", None)

    @property
    def ended(self) -> bool:
        """The thread that reads its events has ended."""
        fd = self._fd
        return fd is not None and fd.ended

    @property
    def watches(self) -> int:
        """How many kernel watches this tree holds."""
        return len(self._nodes)

    def ensure(self, folder: bytes) -> bool:
        """Watch this folder (again is no harm). False, and the keeper notified, where that cannot be."""
        with self._lock:
            if self._fd is None:
                return False
            node = self._top.at(folder)
            try:
                self._add(node, folder)
            except OSError as error:
                if node.key is None and not node.children:
                    node.detach()
                failure = error
            else:
                return True
        if failure.errno not in (errno.ENOENT, errno.ENOTDIR):
            self._keeper.unwatched(folder, failure)
        return False

    def _add(self, node: Node, folder: bytes) -> None:
        assert self._fd is not None
        self._next_id += 1
        ident: CallbackId = self._next_id  # type: ignore[assignment]
        path = self._root + b"/" + folder if folder else self._root
        # The root may be a link that its owner configured; below it none is followed.
        mask = MASK if folder else MASK & ~IN_DONT_FOLLOW
        wd = self._fd.add_callback(path, mask, self, ident)  # type: ignore[arg-type]
        if wd == -1:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        former = self._nodes.get(wd)
        if former is not None and former.key is not None:
            self._fd.remove_callbacks([former.key])  # the same folder, perhaps by a former name
            former.key = None
        if node.key is not None and node.key[0] != wd:
            self._forget(node)  # another folder stands at this path now
        node.key = (wd, ident)
        self._nodes[wd] = node

    def _forget(self, node: Node) -> None:
        if node.key is None:
            return
        wd, _ = node.key
        if self._nodes.get(wd) is node:
            del self._nodes[wd]
            if self._fd is not None:
                self._fd.remove_callbacks([node.key])
        node.key = None

    def _drop(self, node: Node) -> None:
        """This folder and all below it are no longer watched."""
        for each in node.below():
            self._forget(each)
        node.detach()

    # -- WatchCallback: called on the reader's thread -----------------------------------------------------------------

    def on_event(self, event: InotifyEvent) -> None:
        with self._lock:
            node = self._nodes.get(event.wd)
            if node is None:
                return
            if event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT):
                if node is self._top:
                    self._keeper.root_gone()
                return
            folder = node.path()
        self.expire(time.monotonic())
        if not event.name:
            return  # of the folder itself: its parent's event reports the same with a name
        path = folder + b"/" + event.name if folder else event.name
        if event.mask & IN_ISDIR:
            self._folder_event(event, node, path)
        else:
            self._file_event(event, path)

    def on_watch_deleted(self, wd: int) -> None:
        with self._lock:
            node = self._nodes.pop(wd, None)
            if node is not None:
                node.key = None

    def on_queue_overflow(self) -> None:
        with self._lock:
            leaving = [origin.path for origin in self._leaving.values()]
        self._sink.overflow(leaving)

    def _file_event(self, event: InotifyEvent, path: bytes) -> None:
        mask = event.mask
        if mask & IN_MOVED_TO:
            with self._lock:
                origin = self._leaving.pop(event.cookie, None)
            if origin is not None and not origin.is_folder:
                self._sink.moved(origin.path, path, is_folder=False)
            else:
                self._sink.changed(path, Kind.MOVED)
        elif mask & IN_MOVED_FROM:
            with self._lock:
                self._leaving[event.cookie] = _Leaving(time.monotonic(), path, None, is_folder=False)
            self._sink.changed(path, Kind.DELETED)
        elif mask & IN_CLOSE_WRITE:
            self._sink.changed(path, Kind.CLOSED)
        elif mask & IN_CREATE:
            self._sink.changed(path, Kind.CREATED)
        elif mask & IN_ATTRIB:
            self._sink.changed(path, Kind.ATTRIB)
        elif mask & IN_DELETE:
            self._sink.changed(path, Kind.DELETED)

    def _folder_event(self, event: InotifyEvent, parent: Node, path: bytes) -> None:
        if not self._recursive:
            return
        mask = event.mask
        if mask & IN_MOVED_FROM:
            with self._lock:
                node = parent.children.get(event.name)
                if node is not None:
                    node.detach()  # another folder may have its name before it is known where it went
                self._leaving[event.cookie] = _Leaving(time.monotonic(), path, node, is_folder=True)
            self._sink.folder_changed(path, Kind.DELETED)
        elif mask & IN_MOVED_TO:
            self._folder_arrived(event, parent, path)
        elif mask & IN_CREATE:
            if self._keeper.enters(path):
                self.ensure(path)
                self._sink.folder_changed(path, Kind.CREATED)
        elif mask & IN_DELETE:
            with self._lock:
                node = parent.children.get(event.name)
                if node is not None:
                    self._drop(node)
            self._sink.folder_changed(path, Kind.DELETED)
        elif mask & IN_ATTRIB and self._keeper.enters(path):
            self.ensure(path)  # it may have become readable
            self._sink.folder_changed(path, Kind.ATTRIB)

    def _folder_arrived(self, event: InotifyEvent, parent: Node, path: bytes) -> None:
        wanted = self._keeper.enters(path)
        with self._lock:
            origin = self._leaving.pop(event.cookie, None)
            node = origin.node if origin is not None else None
            if node is not None:
                if wanted:
                    node.attach(parent, event.name)
                else:
                    self._drop(node)
        if not wanted:
            return
        self.ensure(path)
        if origin is not None and origin.is_folder:
            self._sink.moved(origin.path, path, is_folder=True)
        else:
            self._sink.folder_changed(path, Kind.MOVED)

    def expire(self, now: float) -> None:
        """Forget renames whose other half never came: that folder has left the tree, and its watches go."""
        if not self._leaving:
            return
        with self._lock:
            for cookie, origin in list(self._leaving.items()):
                if now - origin.since >= PAIR_SECONDS:
                    del self._leaving[cookie]
                    if origin.node is not None:
                        self._drop(origin.node)
