"""All watches of a daemon at work: built from the configuration in force, and anew where another one changes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from hotfolder import probe, wiring
from hotfolder.config import Config, Watch
from hotfolder.index.database import Database
from hotfolder.index.suspects import Key
from hotfolder.model import Job, Lane, Rank, WatchState
from hotfolder.pipeline.recovery import Leftovers
from hotfolder.queue.queue import JobQueue
from hotfolder.telemetry import logs
from hotfolder.telemetry.metrics import Metrics
from hotfolder.watcher.condition import Condition
from hotfolder.watcher.watched import Watched
from hotfolder.watcher.watcher import Watcher
from hotfolder.watches.site import Gate, Site

log = logs.get("daemon")


class Watchers(Mapping[str, Watcher]):
    """By name. Any thread reads it while one thread sets up, starts and ends watches."""

    def __init__(
        self,
        index: Database,
        queue: JobQueue,
        metrics: Metrics,
        leftovers: Leftovers,
        kick: Callable[[], None],
        *,
        live: bool,
    ) -> None:
        """`kick`: there may be more to feed."""
        self._index = index
        self._queue = queue
        self._metrics = metrics
        self._leftovers = leftovers
        self._kick = kick
        self._live = live
        self._watchers: dict[str, Watcher] = {}  # replaced as a whole, so that readers need no lock
        self._wanted: dict[str, wiring.Wanted] = {}
        self._gates: dict[int, Gate] = {}
        self._ending: dict[int, tuple[Site, bool]] = {}
        """While a configuration is applied: watches that have ended, and may be set up again."""

    def __getitem__(self, name: str) -> Watcher:
        return self._watchers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._watchers)

    def __len__(self) -> int:
        return len(self._watchers)

    def by_id(self, watch_id: int) -> Watcher | None:
        """By the watch's id in the index; None for one that is no longer configured."""
        return next((watcher for watcher in self.values() if watcher.site.id == watch_id), None)

    def sites(self) -> dict[str, Site]:
        """What workers need to know of each."""
        return {name: watcher.site for name, watcher in self.items()}

    def reachable(self) -> dict[int, tuple[Site, bool]]:
        """All sites by the id of their watch, and whether their root is there."""
        here = {each.site.id: (each.site, each.condition.state != WatchState.OFFLINE) for each in self.values()}
        return self._ending | here

    def present(self) -> dict[int, str]:
        """Names by id: watches whose roots are there, and whose outputs have been prepared."""
        return {each.site.id: name for name, each in self.items() if each.watched.stands}

    def idle(self, name: str) -> bool:
        """Whether nothing of this watch is noted, waits or is in work."""
        watcher = self.get(name)
        return watcher is not None and watcher.outstanding.is_idle()

    def worked_off(self, name: str) -> None:
        """Its last job has ended."""
        if (watcher := self.get(name)) is not None:
            watcher.agenda.worked_off()

    def changed_by(self, config: Config) -> set[str]:
        """The names of watches that this configuration adds, or of which it wants something else."""
        wanted = {watch.name: wiring.wanted(config, watch) for watch in config.watches}
        return {name for name, each in wanted.items() if self._wanted.get(name) != each or name not in self}

    def set_up(self, config: Config, names: Collection[str]) -> None:
        """Have a watcher for each watch of the configuration: new ones for these; the others stay at work."""
        watches = config.watches
        self._watchers = {
            watch.name: self._new(config, watch) if watch.name in names else self[watch.name] for watch in watches
        }
        self._ending = {}
        self._wanted = {watch.name: wiring.wanted(config, watch) for watch in watches}
        self._queue.rank({watch.name: Rank[watch.priority.upper()] for watch in watches})
        for watcher in self.values():
            hooks = wiring.subscribers(config, watcher.config)
            if watcher.site.hooks != hooks:
                watcher.watched.site = replace(watcher.site, hooks=hooks)

    def _new(self, config: Config, watch: Watch) -> Watcher:
        site = wiring.site_of(config, watch, self._index)
        site = replace(site, gate=self._gates.setdefault(site.id, site.gate))  # who is in it still leaves it
        self._queue.limit(watch.name, 0)  # nothing of it is made before its root and output have been looked at
        condition = Condition(watch.name, self._metrics)
        watched = Watched(watch, site, wiring.rules_of(config, watch), condition, live=self._live)
        return Watcher(watched, self._index, self._queue, self._metrics, self._kick, self._leftovers.clean)

    def start(self, names: Iterable[str]) -> None:
        """What answers has been looked at when this returns; what does not is left to its own thread."""
        names = list(names)
        for name in names:
            self[name].start()
        deadline = time.monotonic() + probe.ANSWER_SECONDS
        for name in names:
            self[name].rounds.wait_for_look(max(0.0, deadline - time.monotonic()))

    def offer(self, suspects: Iterable[Key]) -> None:
        """Those of former lives: a helper decides about each."""
        now = time.monotonic()
        for watch_id, path in suspects:
            if (watcher := self.by_id(watch_id)) is not None:
                name = watcher.config.name
                log.warning("suspect", watch=name, path=path, next="decoded in a process of its own")
                self._queue.offer(Job(name, path, Lane.BACKLOG, now, now))

    def end(self, names: Collection[str], shutdown_timeout: float) -> bool:
        """Nothing of theirs begins any more; what is in work may end within so many seconds, or counts as not done.
        Returns whether any of them was here."""
        ending = [self[name] for name in names if name in self]
        self._ending = {watcher.site.id: (watcher.site, False) for watcher in ending}
        self._watchers = {name: each for name, each in self.items() if name not in names}
        for watcher in ending:
            watcher.stop()
            self._queue.drop(watcher.config.name)
        if ending:
            self._queue.wait_idle(shutdown_timeout, names)
        for watcher in ending:
            watcher.site.retired.set()
            self._queue.limit(watcher.config.name, None)  # its root may have been away
        return bool(ending)

    def mounts_changed(self) -> None:
        """Something was mounted or unmounted somewhere."""
        for watcher in self.values():
            watcher.observer.mounts_changed()

    def check(self, index_problem: str | None, workers: int) -> None:
        """Part of the beat."""
        for watcher in self.values():
            watcher.check(index_problem, workers)

    def check_answers(self) -> None:
        """A folder that does not answer ends what waits for it."""
        for watcher in self.values():
            watcher.check_answers()

    def stop(self) -> None:
        """All of them, for good."""
        for watcher in self.values():
            watcher.end()
        for watcher in self.values():
            watcher.stop()
