"""Which parts of a root are seen by events and which are polled: by mount, and by what is missed.

Read from mountinfo alone, so that asking never touches a mount.
"""

from __future__ import annotations

import os
import threading
from collections import Counter

from hotfolder import mounts, paths, probe
from hotfolder.model import Backend

DEAF_AFTER = 3
"""So many reconciles in a row that found what no event had announced: then that mount is polled."""
PLACES_MAX = 1000


class Coverage:
    """Folders are relative to the root; ``b""`` is the root."""

    def __init__(self, root: str, wanted: str) -> None:
        self._path = root
        self._root = os.fsencode(probe.real_path(root))
        self._wanted = wanted
        self._lock = threading.Lock()
        self._backends: dict[bytes, Backend] = {}
        self._below: dict[bytes, mounts.Mount] = {}
        self._top: mounts.Mount | None = None
        self.root_remounted = False
        """Whether the last look found another file system under the root than the one before."""
        self._unwatched: set[bytes] = set()
        self._deaf: set[bytes] = set()
        self._strikes: Counter[bytes] = Counter()
        self.refresh()

    def begin_anew(self) -> None:
        """The root's path may lead elsewhere than before. May hang with its mount; nothing else here touches one."""
        self._root = os.fsencode(os.path.realpath(self._path))
        self.refresh()

    def refresh(self) -> list[bytes]:
        """Look at the mounts again; returns the folders below the root on which something was mounted or unmounted."""
        known = mounts.read()
        prefix = self._root.rstrip(b"/") + b"/"
        backends: dict[bytes, Backend] = {}
        below: dict[bytes, mounts.Mount] = {}
        for mount in known:
            if mount.point.startswith(prefix):
                place = mount.point[len(prefix) :]
                backends[place], below[place] = self._backend(mount.fstype), mount
        top = mounts.of(self._root, known)
        self.root_remounted = self._top is not None and top != self._top
        self._top = top
        backends[b""] = self._backend(top.fstype if top is not None else "")
        with self._lock:
            places = set(below) | set(self._below)
            changed = (
                {place for place in places if below.get(place) != self._below.get(place)} if self._backends else set()
            )
            self._backends, self._below = backends, below
            self._deaf &= set(backends)
            self._strikes = Counter({mount: n for mount, n in self._strikes.items() if mount in backends})
        return sorted(changed)

    def _backend(self, fstype: str) -> Backend:
        if self._wanted == "auto":
            return mounts.backend_for(fstype)
        backend: Backend = self._wanted  # type: ignore[assignment]
        return backend

    def mount(self, folder: bytes) -> bytes:
        """The mount point, at or below the root, that a folder lies on."""
        backends = self._backends
        while folder and folder not in backends:
            folder = paths.parent(folder)
        return folder

    def by_events(self, folder: bytes) -> bool:
        return self._backends[self.mount(folder)] != "polling"

    def polled(self) -> tuple[bytes, ...]:
        """The folders to walk at each poll, none below another."""
        with self._lock:
            places = {place for place, backend in self._backends.items() if backend != "inotify"}
            places |= self._unwatched | self._deaf
        return tuple(sorted(place for place in places if not _covered(place, places)))

    def by_polls(self, folder: bytes) -> bool:
        """Whether it is walked at each poll, and changes there may raise no event."""
        places = set(self.polled())
        return folder in places or _covered(folder, places)

    @property
    def mostly_polled(self) -> bool:
        """Whether the root itself is seen by polls alone, or its events cannot be trusted."""
        return not self.by_events(b"") or b"" in self._deaf

    def unwatched(self, folder: bytes) -> None:
        """No kernel watch can be had for it."""
        with self._lock:
            if not _covered(folder, self._unwatched):
                self._unwatched.add(folder)
            if len(self._unwatched) > PLACES_MAX:
                self._unwatched = {b""}

    def rewatch(self) -> None:
        """All folders are being tried again."""
        with self._lock:
            self._unwatched.clear()

    def missed(self, found: Counter[bytes]) -> list[bytes]:
        """A whole reconcile found so much on each mount that no event had announced. Returns the newly deaf."""
        with self._lock:
            turned = []
            for mount in self._backends:
                self._strikes[mount] = self._strikes[mount] + 1 if found[mount] else 0
                if self._strikes[mount] >= DEAF_AFTER and mount not in self._deaf:
                    self._deaf.add(mount)
                    turned.append(mount)
            return turned


def _covered(place: bytes, places: set[bytes]) -> bool:
    """Whether another of the places is above this one."""
    while place:
        place = paths.parent(place)
        if place in places:
            return True
    return False
