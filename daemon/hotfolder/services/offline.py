"""What commands need where no daemon runs: the configuration, the index and the watches, and nothing that works.

It has the parts of an engine that queries are about, so that the same functions query both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Protocol

from hotfolder import imaging, wiring
from hotfolder.config import Config
from hotfolder.index import readonly
from hotfolder.index.database import Database
from hotfolder.queue.holds import Holds
from hotfolder.queue.queue import JobQueue
from hotfolder.store.lock import StateLock
from hotfolder.telemetry.metrics import Metrics
from hotfolder.version import VERSION
from hotfolder.watcher.condition import Condition
from hotfolder.watcher.watched import Watched
from hotfolder.watcher.watcher import Watcher


class Knowing(Protocol):
    """What can be queried: an engine, or what stands for one that does not run."""

    @property
    def config(self) -> Config: ...
    @property
    def index(self) -> Database: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def watchers(self) -> Mapping[str, Watcher]: ...


class Offline:
    """Made by `reading` and `changing`. Its watchers see nothing and do nothing: they know their sites and rules."""

    def __init__(self, config: Config, index: Database) -> None:
        self.config = config
        self.index = index
        self.metrics = Metrics(VERSION, imaging.native.library() or "pillow", imaging.extra_names())
        self._queue = JobQueue(1)
        self.watchers: dict[str, Watcher] = {}
        for watch in config.watches:
            site = wiring.known_site(config, watch, index)
            state = Condition(watch.name, self.metrics)
            watched = Watched(watch, site, wiring.rules_of(config, watch), state)
            self.watchers[watch.name] = Watcher(watched, index, self._queue, self.metrics, lambda: None)

    @cached_property
    def holds(self) -> Holds:
        """What is paused; a change is noted for the next daemon."""
        found = Holds(self.index, self._queue, self.metrics, lambda: None, obeys=False)
        found.begin(self.config.backlog.window)
        return found


@contextmanager
def reading(config: Config) -> Iterator[Offline]:
    """To query: beside a running scan, too, and without any trace. Raises StartError, StoppedEarly."""
    index = Database(index_file(config))
    try:
        with readonly.answering(index.path):
            yield Offline(config, index)
    finally:
        index.close()


@contextmanager
def changing(config: Config) -> Iterator[Offline]:
    """To change rows or remove renditions; no image is looked at. Raises StartError where another holds the lock."""
    lock = StateLock(config.state)
    lock.acquire()
    try:
        index = Database(index_file(config))
        index.open()
        try:
            yield Offline(config, index)
        finally:
            index.close()
    finally:
        lock.release()


def index_file(config: Config) -> str:
    return os.path.join(config.state, "index.db")
