"""The parts put together: index, queue, pool, workers and one watcher for each watch; started and stopped here alone.

`run` and `scan` use the same engine: a scan is one without events. HTTP, signals and terminals are for others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace

from hotfolder import imaging, loop, mounts, probe, wiring
from hotfolder.config import Config
from hotfolder.health import Health
from hotfolder.hooks.courier import Couriers
from hotfolder.index import history
from hotfolder.index.database import Database
from hotfolder.index.epochs import Epochs
from hotfolder.loop import Chores, Revival
from hotfolder.model import Job, Lane, Outcome, Result
from hotfolder.orders.making import Making
from hotfolder.orders.orders import Orders
from hotfolder.pipeline.admission import IN_FLIGHT_MOST, Admission
from hotfolder.pipeline.claims import Claims
from hotfolder.pipeline.ends import Ends
from hotfolder.pipeline.moves import Moves
from hotfolder.pipeline.publish import Publisher
from hotfolder.pipeline.recovery import Leftovers
from hotfolder.pipeline.reporter import Teller
from hotfolder.pipeline.retries import Retries
from hotfolder.pipeline.steps import Steps
from hotfolder.pipeline.worker import Worker
from hotfolder.pool import allocator, priority, sizing
from hotfolder.pool.dispatcher import Dispatcher
from hotfolder.pool.memory import Reservation
from hotfolder.pool.oversight import Oversight
from hotfolder.pool.scaling import Balance
from hotfolder.pool.threads import HIGH, ElasticPool
from hotfolder.presets import OPTIMIZED
from hotfolder.queue.feeder import Feeder
from hotfolder.queue.holds import Holds
from hotfolder.queue.lane import Rank
from hotfolder.queue.queue import JobQueue
from hotfolder.queue.waiters import Waiters
from hotfolder.renderers.renderer import Renderer
from hotfolder.renderers.suspects import Line, Suspects
from hotfolder.store.inflight import InFlight, boot_id
from hotfolder.store.lock import StateLock, starting
from hotfolder.telemetry import bugs, logs
from hotfolder.telemetry.bus import Bus
from hotfolder.telemetry.metrics import Metrics
from hotfolder.version import VERSION
from hotfolder.watcher.condition import Condition
from hotfolder.watcher.watched import Watched
from hotfolder.watcher.watcher import Watcher
from hotfolder.watches import recognition
from hotfolder.watches.settings import Settings
from hotfolder.watches.site import Gate, Site

NOTED_IMAGES = 100
"""After so many images their cost is noted; an orderly end notes the rest."""

log = logs.get("daemon")


class Engine:
    """Everything but the faces. `live`: with events; otherwise it reconciles when asked, and retries little."""

    def __init__(self, config: Config, *, live: bool) -> None:
        self.settings = Settings(config)
        self.live = live
        self.started_at = time.monotonic()
        self.metrics = Metrics(VERSION, imaging.native.library() or "pillow", imaging.extra_names())
        self.events = Bus()
        self.ends = Waiters()
        self.teller = Teller(self.metrics, self.events)
        self.lock = StateLock(config.state)
        self.index = Database(os.path.join(config.state, "index.db"))
        self.watchers: dict[str, Watcher] = {}
        self._wanted: dict[str, wiring.Wanted] = {}
        self.memory = Reservation(self._memory_limit(), sizing.OWN_MEMORY)
        low, high, workers = self._bounds()
        self.queue = JobQueue(HIGH * config.pool.queue_per_worker)
        self.pool = ElasticPool(workers)
        self.balance = Balance(
            self.pool, self.queue, self.memory, self.metrics, low=low, high=high,
            auto_memory=config.pool.memory_limit == "auto",
        )  # fmt: skip
        self.mount_changes = mounts.Changes()
        self.health = Health(self.index)
        self.free_space = mounts.FreeSpace()
        self._noted = self.teller.counts
        self._gates: dict[int, Gate] = {}

    @property
    def config(self) -> Config:
        """The one in force."""
        return self.settings.config

    def _memory_limit(self) -> int:
        limit = self.config.pool.memory_limit
        return sizing.auto_memory() if limit == "auto" else limit

    def _bounds(self) -> tuple[int, int, int]:
        wanted = self.config.pool.workers
        if wanted != "auto":
            return wanted, wanted, wanted
        cpus = sizing.usable_cpus()
        most = sizing.auto_workers(cpus, self.memory.limit)
        return 2, most, max(2, min(most, round(cpus)))

    # -- starting -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Raises StartError where it cannot: lock held, root missing, output not writable."""
        sizing.raise_file_limit()
        allocator.tune()
        self.lock.acquire()
        try:
            wiring.check_folders(self.config.watches)
            with starting(notes := os.path.join(self.config.state, "inflight")):
                self.inflight = InFlight(notes, slots=IN_FLIGHT_MOST + 64)
            renewed = self.index.open(clean=self.inflight.clean)
        except BaseException:
            self.lock.release()
            raise
        self._renamed = recognition.settle(self.index, self.config)
        self._assemble()
        self.couriers = Couriers(self.index, self.metrics, self._idle)
        self._set_up_watches({watch.name for watch in self.config.watches})
        self._note_leftovers()
        self.couriers.set(self.config.hooks, self.worker.sites)
        self.holds.begin(self.config.backlog.window)
        self.index.write(lambda c: wiring.retry(c, None, self.config)).result()
        if renewed:
            log.warning("index_renewed", next="every image is compared, and made again where nothing is known of it")
        self._offer_suspects()
        self.epochs.start()
        self.oversight.start()
        self.feeder.start()
        self.orders.start()
        self.dispatcher.start()
        loop.register(self.pool)
        self._start_watches(self.watchers.keys())
        if self.live:
            self.couriers.start()

    def _assemble(self) -> None:
        """The parts that work, from the bottom up."""
        settings = self.settings
        self.suspects = Suspects(self.index)
        self.renderer = Renderer(settings, self.memory, self.suspects)
        self.oversight = Oversight(settings, self.pool.replace)
        self.epochs = Epochs(self.index, boot_id(), lambda: [watch.output for watch in self.config.watches])
        self.leftovers = Leftovers(self.index, self.inflight)
        claims = Claims()
        epoch = self.epochs.use
        self.admission = Admission(self.index, self.queue, self.inflight, self.oversight, self.renderer, self)
        publisher = Publisher(self.index, claims, self.inflight, self.metrics.stage, epoch, settings)
        retries = Retries(patient=self.live)
        moves = Moves(self.index, self.queue, claims, epoch)
        steps = Steps(self.index, settings, retries, self.renderer, publisher, moves)
        self.orders = Orders(self.index, self.queue, self._sites, self.teller.order, lambda: self.pool.size)
        making = Making(self.index, steps, self.orders)
        self.worker = Worker(self.admission, steps, Ends(self.index, retries), making.make)
        self.line = Line(self.worker.run)
        self.feeder = Feeder(self.index, self.queue, self._present)
        self.dispatcher = Dispatcher(self.queue, self.pool, self._work, self._work_failed)
        self.holds = Holds(self.index, self.queue, self.metrics, self.feeder.kick, obeys=self.live)
        self.revival = Revival()
        self._chores = Chores(
            "main", self.revival.look, self.balance.beat, self._check_mounts, self.holds.check, self._check_pace,
            self._check_watchers, self._check_children,
        )  # fmt: skip

    def _set_up_watches(self, names: Collection[str]) -> None:
        """Have a watcher for each watch: new ones, not yet started, for these; the others stay at work."""
        config = self.config
        self.metrics.know_presets([*config.all_presets(), OPTIMIZED])
        watchers = {}
        for watch in config.watches:
            if watch.name not in names:
                watchers[watch.name] = self.watchers[watch.name]
                continue
            site = wiring.site_of(config, watch, self.index)
            site = replace(site, gate=self._gates.setdefault(site.id, site.gate))  # who is in it still leaves it
            state = Condition(watch.name, self.metrics)
            watched = Watched(watch, site, wiring.rules_of(config, watch), state, live=self.live)
            watchers[watch.name] = Watcher(
                watched, self.index, self.queue, self.metrics, self.feeder.kick, self.leftovers.clean
            )
        self.watchers = watchers
        self._wanted = {watch.name: wiring.wanted(config, watch) for watch in config.watches}
        self.queue.rank({watch.name: Rank[watch.priority.upper()] for watch in config.watches})
        workers = config.backlog.workers
        self.queue.limit_lane(Lane.BACKLOG, None if workers == "auto" else workers)
        self._share_sites()

    def _share_sites(self) -> None:
        """Give each site the hooks of the configuration, and let the workers have it."""
        for watcher in self.watchers.values():
            hooks = wiring.subscribers(self.config, watcher.config)
            if watcher.site.hooks != hooks:
                watcher.watched.site = replace(watcher.site, hooks=hooks)
        self.worker.sites = {name: watcher.site for name, watcher in self.watchers.items()}

    def _note_leftovers(self) -> None:
        """What a killed process left behind, by its notes; after a crash of the machine by open epochs, too."""
        names = {note: self._renamed.get(note.watch, note.watch) for note in self.inflight.leftovers}
        notes = [(note, self.watchers[name].site.id) for note, name in names.items() if name in self.watchers]
        self.suspects.add((watch_id, note.path) for note, watch_id in notes if note.suspect)
        for note, watch_id in notes:
            self.leftovers.of(watch_id).notes.append(note)
        if self.epochs.rebooted:
            rows = list(self.epochs.open_rows())
            for source_id, watch_id in rows:
                self.leftovers.of(watch_id).open_rows.append(source_id)
            if not rows:
                log.info("after_reboot", sources_compared=0, renditions_lost=0)

    def _offer_suspects(self) -> None:
        now = time.monotonic()
        for watch_id, path in self.suspects.all():
            if (watcher := self.watcher_of(watch_id)) is not None:
                name = watcher.config.name
                log.warning("suspect", watch=name, path=path, next="decoded in a process of its own")
                self.queue.offer(Job(name, path, Lane.BACKLOG, now, now))

    def _start_watches(self, names: Collection[str]) -> None:
        """What answers has been looked at when this returns; what does not is left to its own thread."""
        for name in names:
            self.watchers[name].start()
        deadline = time.monotonic() + probe.ANSWER_SECONDS
        for name in names:
            self.watchers[name].rounds.wait_for_look(max(0.0, deadline - time.monotonic()))

    def _sites(self) -> dict[int, tuple[Site, bool]]:
        """All watches by id, and whether their root is there."""
        return {each.site.id: (each.site, each.condition.state != "offline") for each in list(self.watchers.values())}

    def _present(self) -> dict[int, str]:
        """Watches whose roots are there, and whose outputs have been prepared, by id."""
        here = self.watchers.values()
        return {each.site.id: each.config.name for each in here if each.watched.stands}

    def watcher_of(self, watch_id: int) -> Watcher | None:
        """By the watch's id in the index; None for one that is no longer configured."""
        return next((watcher for watcher in self.watchers.values() if watcher.site.id == watch_id), None)

    def _idle(self, watch: str) -> bool:
        """Whether nothing of this watch is noted, waits or is in work."""
        return watch in self.watchers and self.watchers[watch].outstanding.is_idle()

    # -- running ------------------------------------------------------------------------------------------------------

    def _work(self, job: Job) -> None:
        """On a worker: do the job, or hand a suspect on to its line."""
        watcher = self.watchers.get(job.watch)
        if watcher is not None and (watcher.site.id, job.path) in self.suspects:
            self.line.add(job)
        elif job.lane is Lane.BACKLOG and self.live:  # whoever scans without a daemon waits for it
            with priority.modest():
                self.worker.run(job)
        else:
            self.worker.run(job)

    def _work_failed(self, job: Job, error: BaseException) -> None:
        self.admission.abandon(job, None, error)

    def look_again(self, job: Job) -> None:
        self.watchers[job.watch].intake.again(job, None)

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Each hears of it, whatever becomes of the others. What one raises who goes by it comes up at the end."""
        watcher = self.watchers.get(job.watch)
        where = {"watch": job.watch, "path": job.path}
        bugs.did("worker", lambda: self.teller.tell(job, outcome), **where)
        with ExitStack() as others:  # the last in comes first
            if outcome.result in (Result.RETRIED, Result.GONE, Result.REUSED):
                others.callback(self.feeder.kick)
            if watcher is not None:
                others.callback(watcher.told, job, outcome)
            others.callback(self.orders.told, job, outcome)
            others.callback(self.ends.told, job, outcome)
        bugs.did("worker", lambda: self.couriers.kick(job.watch), **where)

    def check(self) -> None:
        """Part of the beat: states that follow from time or from several parts, and threads that have ended."""
        self._chores.do()

    def _check_mounts(self) -> None:
        if self.mount_changes.seen():
            for watcher in self.watchers.values():
                watcher.observer.mounts_changed()

    def _check_watchers(self) -> None:
        for watcher in self.watchers.values():
            watcher.check(self.index.problem, self.pool.size)

    def check_answers(self) -> None:
        """For whoever waits for a scan, and has no beat: a folder that does not answer ends its part."""
        for watcher in self.watchers.values():
            watcher.check_answers()

    def _check_pace(self) -> None:
        if self.teller.counts.since(self._noted).made >= NOTED_IMAGES:
            self._note_pace()

    def _check_children(self) -> None:
        self.renderer.children.trim()
        self.metrics.workers.labels("stuck").set(self.renderer.stuck)

    def _note_pace(self) -> None:
        """What was made since the last time, and the seconds that it took, for dry runs."""
        counts = self.teller.counts
        since = counts.since(self._noted)
        if since.made:
            self._noted = counts
            self.index.write(lambda c: history.note(c, since.seconds, since.bytes_in))

    def apply(self, config: Config) -> None:
        """Go on with another configuration: what it changes is built anew, all else stays at work.

        Raises StartError, with the old one in force, where it cannot.
        """
        former, wanted = self.config, {watch.name: wiring.wanted(config, watch) for watch in config.watches}
        anew = {name for name, each in wanted.items() if self._wanted.get(name) != each or name not in self.watchers}
        wiring.check_folders([watch for watch in config.watches if watch.name in anew])
        self.settings.config = config
        self._resize()
        if ended := anew | (self.watchers.keys() - wanted.keys()):
            self._end_watches(ended & self.watchers.keys())
            recognition.settle(self.index, config)
        for gone in {watch.name for watch in former.watches} - wanted.keys():
            self.metrics.forget("watch", gone)
        self._set_up_watches(anew)
        self.couriers.apply(config.hooks, self.worker.sites, config.shutdown_timeout)
        self.holds.set_window(config.backlog.window)
        self._start_watches(anew)
        self.index.write(lambda c: wiring.retry(c, former, config)).result()
        self.feeder.kick()
        if ended:
            self.orders.reset()

    def _resize(self) -> None:
        self.memory.resize(self._memory_limit())
        low, high, _ = self._bounds()
        self.balance.bound(low, high, auto_memory=self.config.pool.memory_limit == "auto")
        self.queue.resize(HIGH * self.config.pool.queue_per_worker)

    def _end_watches(self, names: Collection[str]) -> None:
        """Nothing of theirs begins any more; what is in work may end, and else counts as not done."""
        ending = [self.watchers[name] for name in names]
        self.watchers = {name: each for name, each in self.watchers.items() if name not in names}
        self._share_sites()
        for watcher in ending:
            watcher.stop()
            self.queue.drop(watcher.config.name)
        self.queue.wait_idle(self.config.shutdown_timeout, names)
        for watcher in ending:
            watcher.site.retired.set()
            self.queue.limit(watcher.config.name, None)  # its root may have been away

    # -- stopping -----------------------------------------------------------------------------------------------------

    def stop(self, timeout: float) -> bool:
        """Let what is in flight end, keep the rest for the next start. False where not all ended within `timeout` s."""
        for watcher in self.watchers.values():
            watcher.end()
        for watcher in self.watchers.values():
            watcher.stop()
        self.queue.close()
        self.feeder.stop()
        self.orders.stop()
        self.dispatcher.stop()
        loop.unregister(self.pool)
        self.pool.shutdown(wait=False)
        self.line.stop()
        began = time.monotonic()
        ended = self.pool.join(timeout)
        self.couriers.stop(max(0.0, timeout - (time.monotonic() - began)))
        self.renderer.children.close()
        self.oversight.stop()
        self.memory.close()
        self.epochs.stop()
        self._note_pace()
        self.index.close()
        if ended:
            self.inflight.close()
        self.lock.release()
        self.mount_changes.close()
        return ended
