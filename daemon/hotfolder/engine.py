"""The parts put together: index, queue, pool, workers and one watcher for each watch; started and stopped here alone.

`run` and `scan` use the same engine: a scan is one without events. HTTP, signals and terminals are for others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack

from hotfolder import imaging, loop, mounts, wiring
from hotfolder.config import Config
from hotfolder.health import Health, Possession
from hotfolder.hooks.courier import Couriers
from hotfolder.index.database import Database
from hotfolder.index.epochs import Epochs
from hotfolder.loop import Chores, Revival
from hotfolder.model import Job, Lane, Result
from hotfolder.orders.making import Making
from hotfolder.orders.orders import Orders
from hotfolder.outcome import Outcome
from hotfolder.pipeline.admission import IN_FLIGHT_MOST, Admission
from hotfolder.pipeline.claims import Claims
from hotfolder.pipeline.ends import Ends
from hotfolder.pipeline.moves import Moves
from hotfolder.pipeline.pace import Pace
from hotfolder.pipeline.publish import Publisher
from hotfolder.pipeline.recovery import Leftovers
from hotfolder.pipeline.reporter import Reporter
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
from hotfolder.watchers import Watchers
from hotfolder.watches import recognition
from hotfolder.watches.settings import Settings

log = logs.get("daemon")


class Engine:
    """Everything but the faces. `live`: with events; otherwise it reconciles when asked, and retries little.

    Made whole from a configuration, without a look at any file; `start` opens what the parts need.
    """

    def __init__(self, config: Config, *, live: bool) -> None:
        self.settings = settings = Settings(config)
        self.live = live
        self.started_at = time.monotonic()
        # What others get to know.
        self.metrics = Metrics(VERSION, imaging.native.library() or "pillow", imaging.extra_names())
        self.events = Bus()
        self.ends = Waiters()
        self.reporter = Reporter(self.metrics, self.events)
        # What outlives the process.
        self.lock = StateLock(config.state)
        self.inflight = InFlight(os.path.join(config.state, "inflight"), slots=IN_FLIGHT_MOST + 64)
        self.index = Database(os.path.join(config.state, "index.db"))
        self.epochs = Epochs(self.index, boot_id(), lambda: [watch.output for watch in self.config.watches])
        self.suspects = Suspects(self.index)
        self.leftovers = Leftovers(self.index, self.inflight)
        # What work needs, and who does it.
        self.memory = Reservation(sizing.memory_limit(config.pool.memory_limit))
        self.queue = JobQueue(HIGH, lambda name: self.watchers.worked_off(name))  # noqa: PLW0108 - made below
        self.pool = ElasticPool(sizing.bounds(config.pool.workers, self.memory.limit).first)
        self.balance = Balance(self.pool, self.queue, self.memory, self.metrics)
        self._bound()
        self.oversight = Oversight(settings, self.pool.replace)
        self.renderer = Renderer(settings, self.memory, self.suspects)
        self.admission = Admission(self.index, self.queue, self.inflight, self.oversight, self.renderer, self)
        # Who finds work.
        self.feeder = Feeder(self.index, self.queue, lambda: self.watchers.present())  # noqa: PLW0108 - made below
        self.holds = Holds(self.index, self.queue, self.metrics, self.feeder.kick, obeys=live)
        self.watchers = Watchers(self.index, self.queue, self.metrics, self.leftovers, self.feeder.kick, live=live)
        self.orders = Orders(
            self.index, self.queue, self.watchers.reachable, self.reporter.order, lambda: self.pool.size
        )
        self.couriers = Couriers(self.index, self.metrics, self.watchers.idle)
        # The way of an image.
        claims, epoch, retries = Claims(), self.epochs.use, Retries(patient=live)
        publisher = Publisher(self.index, claims, self.inflight, self.metrics.stage, epoch, settings)
        moves = Moves(self.index, self.queue, claims, epoch)
        steps = Steps(self.index, settings, retries, self.renderer, publisher, moves)
        making = Making(self.index, steps, self.orders)
        self.worker = Worker(self.admission, steps, Ends(self.index, retries), making.make)
        self.line = Line(self.worker.run)
        self.dispatcher = Dispatcher(self.queue, self.pool, self._work, self._work_failed)
        # What is looked at while it runs.
        self.possession = Possession(self.lock, self.holds.halt)
        self.health = Health(self.index, self.possession)
        self.mount_changes = mounts.Changes()
        self.free_space = mounts.FreeSpace()
        self.pace = Pace(self.reporter, self.index)
        self.revival = Revival()
        self._chores = Chores("main", *self._parts_of_the_beat())

    @property
    def config(self) -> Config:
        """The one in force."""
        return self.settings.config

    def _bound(self) -> None:
        pool = self.config.pool
        limit = sizing.memory_limit(pool.memory_limit)
        bounds = sizing.bounds(pool.workers, limit)
        self.queue.resize(HIGH * pool.queue_per_worker)
        self.memory.resize(limit, sizing.own_memory(bounds.high))
        self.balance.bound(bounds.low, bounds.high, auto_memory=pool.memory_limit == "auto")

    # -- starting -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Raises StartError where it cannot: lock held, root missing, output not writable."""
        sizing.raise_file_limit()
        allocator.tune()
        renewed = self._open()
        former_names = recognition.settle(self.index, self.config)
        self._set_up_watches({watch.name for watch in self.config.watches})
        self._note_leftovers(former_names)
        self.couriers.set(self.config.hooks, self.worker.sites)
        self.holds.begin(self.config.backlog.window)
        self.index.write(lambda c: wiring.retry(c, None, self.config)).result()
        if renewed:
            log.warning("index_renewed", next="every image is compared, and made again where nothing is known of it")
        self.watchers.offer(self.suspects.all())
        for part in (self.epochs, self.oversight, self.feeder, self.orders, self.dispatcher):
            part.start()
        loop.register(self.pool)
        self.watchers.start(self.watchers)
        if self.live:
            self.couriers.start()

    def _open(self) -> bool:
        """Take the state folder, and read what it holds. True where the index had to be made anew."""
        self.lock.acquire()
        try:
            wiring.check_folders(self.config.watches)
            with starting(self.inflight.path):
                self.inflight.open()
            renewed = self.index.open(clean=self.inflight.clean)
            self.epochs.load()
            self.suspects.load()
        except BaseException:
            self.lock.release()
            raise
        return renewed

    def _set_up_watches(self, names: Collection[str]) -> None:
        self.metrics.know_presets([*self.config.all_presets(), OPTIMIZED])
        self.watchers.set_up(self.config, names)
        workers = self.config.backlog.workers
        self.queue.limit_lane(Lane.BACKLOG, None if workers == "auto" else workers)
        self.worker.sites = self.watchers.sites()

    def _note_leftovers(self, former_names: Mapping[str, str]) -> None:
        """`former_names`: of watches that were called otherwise when the process was killed, and their names now."""
        ids = {name: watcher.site.id for name, watcher in self.watchers.items()}
        ids |= {former: ids[name] for former, name in former_names.items() if name in ids}
        self.suspects.add(self.leftovers.note(ids))
        if self.epochs.rebooted:
            self.leftovers.compare(self.epochs.open_rows())

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
        bugs.did("worker", lambda: self.reporter.tell(job, outcome), **where)
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

    def _parts_of_the_beat(self) -> list[Callable[[], object]]:
        return [
            self.possession.check,
            self.revival.look,
            self.balance.beat,
            self._check_mounts,
            self.holds.check,
            self.pace.check,
            self._check_watchers,
            self._check_children,
        ]

    def _check_mounts(self) -> None:
        if self.mount_changes.seen():
            self.watchers.mounts_changed()

    def _check_watchers(self) -> None:
        self.watchers.check(self.possession.problem or self.index.problem, self.pool.size)

    def check_scan(self) -> None:
        """The beat of whoever waits for a scan without a daemon."""
        self.balance.beat()
        self.revival.look()
        self.watchers.check_answers()

    def _check_children(self) -> None:
        self.renderer.children.trim()
        self.metrics.workers.labels("stuck").set(self.renderer.stuck)

    # -- another configuration -----------------------------------------------------------------------------------------

    def apply(self, config: Config) -> None:
        """Go on with another configuration: what it changes is built anew, all else stays at work.

        Raises StartError, with the old one in force, where it cannot.
        """
        former, anew = self.config, self.watchers.changed_by(config)
        names = {watch.name for watch in config.watches}
        wiring.check_folders([watch for watch in config.watches if watch.name in anew])
        self.settings.config = config
        self._bound()
        if ended := self.watchers.end(anew | (self.watchers.keys() - names), config.shutdown_timeout):
            recognition.settle(self.index, config)
        for gone in {watch.name for watch in former.watches} - names:
            self.metrics.forget("watch", gone)
        self._set_up_watches(anew)
        self.couriers.apply(config.hooks, self.worker.sites, config.shutdown_timeout)
        self.holds.set_window(config.backlog.window)
        self.watchers.start(anew)
        self.index.write(lambda c: wiring.retry(c, former, config)).result()
        self.feeder.kick()
        if ended:
            self.orders.reset()

    # -- stopping -----------------------------------------------------------------------------------------------------

    def stop(self, timeout: float) -> bool:
        """Let what is in flight end, keep the rest for the next start. False where not all ended within `timeout` s."""
        self.watchers.stop()
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
        self.pace.note()
        self.index.close()
        if ended:
            self.inflight.close()
        self.lock.release()
        self.mount_changes.close()
        return ended
