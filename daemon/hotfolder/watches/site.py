"""One watch as the workers see it: where its sources and renditions lie and what is wanted of each source.

Made anew when the configuration is read again; knows nothing of events, queues or rules.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

from hotfolder.imaging.plan import Plan
from hotfolder.index.outbox import Subscriber
from hotfolder.model import Version
from hotfolder.presets import ANALYSIS, OPTIMIZED, AnalyzeSpec, OptimizeSpec, Preset
from hotfolder.store import layouts
from hotfolder.store.layouts import Layout, Target
from hotfolder.store.names import fold
from hotfolder.store.outputs import Habits


class Gate:
    """Workers pass it one by one; who moves a whole folder closes it and waits until nobody is inside."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    def enter(self) -> None:
        with self._changed:
            while self._closed:
                self._changed.wait()
            self._inside += 1

    @property
    def is_closed(self) -> bool:
        return self._closed

    def leave(self) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    @contextmanager
    def closed(self, timeout: float) -> Iterator[bool]:
        """Hold everybody out. Gives False where those inside did not leave within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._closed:
                self._changed.wait()
            self._closed = True
            while self._inside and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            empty = self._inside == 0
        try:
            yield empty
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()


@dataclass(frozen=True)
class Site:
    """What a worker must know of a watch."""

    name: str
    id: int
    root: str
    output: str
    presets: tuple[Preset, ...]
    optimize: OptimizeSpec | None
    analyze: AnalyzeSpec | None
    layout: Layout
    mode: int
    dir_mode: int
    source_times: bool
    """Optimized copies carry the mtime of their source."""
    keep_deleted: bool
    habits: Habits
    """Of the output's file system; shared by all who work for this watch."""
    network: bool = False
    hooks: tuple[Subscriber, ...] = ()
    """Who is told of its results."""
    gate: Gate = field(default_factory=Gate)
    adopts: threading.Event = field(default_factory=threading.Event)
    """Set while renditions that lie there already, and are in no index, count as made."""
    retired: threading.Event = field(default_factory=threading.Event)
    """Set when another configuration is in force: what still ends by this one is looked at again."""
    index_lost: threading.Event = field(default_factory=threading.Event)
    """Set while no row can follow what is moved on the output: the index cannot be written, or is not ours any more."""
    ordered: bool = False
    """This is what an order wants beyond the watch: see wants.py."""
    below: bytes = b""
    """The folder of the output in which its areas lie; the output itself for all but some orders."""
    copy_key: str = OPTIMIZED
    """The name of the optimized copy in the index."""

    @property
    def folds(self) -> bool:
        """The output ignores case or normalises Unicode."""
        return self.habits.folds

    @cached_property
    def plan(self) -> Plan:
        return Plan(tuple(sorted(self.presets, key=lambda preset: preset.name)), self.optimize, self.analyze)

    @cached_property
    def plan_spec(self) -> str:
        return self.plan.to_json()

    def targets(self, name: bytes) -> dict[str, Target]:
        """Where each rendition of a source of this name goes, by preset."""
        found = layouts.targets(self.layout, name, self.presets, self.optimize, self.habits.name_max)
        if self.below:
            found = tuple(replace(target, area=self.below + b"/" + target.area) for target in found)
        return {target.preset: target for target in found}

    def key(self, preset: str) -> str:
        """The name under which this rendition stands in the index."""
        return self.copy_key if preset == OPTIMIZED else preset

    @cached_property
    def signatures(self) -> dict[str, str]:
        """The renditions that are wanted: the signature of each preset, and of the optimized copy."""
        wanted = {preset.name: preset.signature for preset in self.presets}
        if self.optimize is not None:
            wanted[OPTIMIZED] = self.optimize.signature
        return wanted

    def times(self, version: Version) -> dict[str, int]:
        """The mtime in ns that some renditions of this version get."""
        return {OPTIMIZED: version.mtime_ns} if self.source_times else {}

    @cached_property
    def want(self) -> str:
        """One short text for all that is wanted; a source made for it is complete."""
        wanted = self.signatures | ({ANALYSIS: self.analyze.signature} if self.analyze else {})
        text = "\n".join(f"{name} {signature}" for name, signature in sorted(wanted.items()))
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def place_key(site: Site, name: bytes) -> bytes:
    """The form of a rendition's name in which it must be unique in its folder."""
    return fold(name) if site.folds else name
