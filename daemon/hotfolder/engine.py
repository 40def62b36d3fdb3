"""The parts put together: index, queue, pool, workers and one watcher for each watch; started and stopped here alone.

`run` and `scan` use the same engine: a scan is one without events. HTTP, signals and terminals are for others.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable

from hotfolder import __version__, imaging, logs
from hotfolder.config import Config, Watch
from hotfolder.errors import StartError
from hotfolder.keeping import outputs, sources
from hotfolder.keeping.database import Database
from hotfolder.keeping.inflight import InFlight
from hotfolder.keeping.lock import StateLock
from hotfolder.metrics import Metrics
from hotfolder.model import Job, Outcome, Result, State
from hotfolder.presets import OPTIMIZED
from hotfolder.telling import Teller
from hotfolder.watching.rules import Rules
from hotfolder.watching.watcher import Watcher
from hotfolder.working import recovery, sizing
from hotfolder.working.feeder import Dispatcher, Feeder
from hotfolder.working.memory import Reservation
from hotfolder.working.pool import HIGH, ElasticPool
from hotfolder.working.processor import IN_FLIGHT_MOST, Processor
from hotfolder.working.queue import JobQueue
from hotfolder.working.site import Site

log = logs.get("daemon")


class Engine:
    """Everything but the faces. `live`: with events; otherwise it reconciles when asked, and retries little."""

    def __init__(self, config: Config, *, live: bool) -> None:
        self.config = config
        self.live = live
        self.started_at = time.monotonic()
        self.metrics = Metrics(__version__)
        self.teller = Teller(self.metrics)
        self.lock = StateLock(config.state)
        self.index = Database(os.path.join(config.state, "index.db"))
        self.watchers: dict[str, Watcher] = {}
        limit = config.pool.memory_limit
        self.memory = Reservation(sizing.auto_memory() if limit == "auto" else limit)
        self.low, self.high, workers = self._bounds()
        self.queue = JobQueue(HIGH * config.pool.queue_per_worker)
        self.pool = ElasticPool(workers)

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
        self.lock.acquire()
        try:
            self._check_folders(self.config.watches)
            self.inflight = InFlight(os.path.join(self.config.state, "inflight"), slots=IN_FLIGHT_MOST)
            renewed = self.index.open(clean=self.inflight.clean)
        except BaseException:
            self.lock.release()
            raise
        limits = imaging.Limits(self.config.limits.max_pixels, self.config.limits.max_bytes)
        self.processor = Processor(
            self.index, self.queue, self.memory, self.inflight, self.metrics, limits, self._tell,
            fsync=self.config.fsync, patient=self.live,
        )  # fmt: skip
        self.feeder = Feeder(self.index, self.queue, self._watch_name)
        self.dispatcher = Dispatcher(self.queue, self.pool, self.processor.run)
        self._set_up_watches()
        self._remove_leftovers()
        self._retry_with_new_decoders()
        if renewed:
            log.warning("index_renewed", next="every image is compared, and made again where nothing is known of it")
        self.feeder.start()
        self.dispatcher.start()
        for watcher in self.watchers.values():
            watcher.start()

    def _check_folders(self, watches: Iterable[Watch]) -> None:
        for watch in watches:
            if not os.path.isdir(watch.path):
                if not watch.create:
                    raise StartError(f"watch {watch.name}: {watch.path} is missing; make it, or set `create: true`")
                try:
                    os.makedirs(watch.path, exist_ok=True)
                except OSError as error:
                    raise StartError(f"watch {watch.name}: {watch.path}: {os.strerror(error.errno or 0)}") from error
            outputs.claim(watch.output, watch.files.dir_mode)

    def _set_up_watches(self) -> None:
        presets = self.config.all_presets()
        self.metrics.know_presets([*presets, OPTIMIZED])
        sites = {}
        for watch in self.config.watches:
            site = Site(
                name=watch.name,
                id=self.index.write(lambda c, w=watch: _watch_id(c, w)).result(),  # type: ignore[misc]
                root=watch.path,
                output=watch.output,
                presets=tuple(presets[name] for name in watch.presets),
                optimize=watch.optimize.spec,
                mode=watch.files.mode,
                dir_mode=watch.files.dir_mode,
                source_times=watch.files.mtime == "source",
                keep_deleted=watch.on_delete == "keep",
                folds=outputs.ignores_case(watch.output),
            )
            sites[watch.name] = site
            self.watchers[watch.name] = Watcher(
                watch, site, self._rules(watch), self.index, self.queue, self.metrics, self.feeder.kick, live=self.live
            )
        self.processor.sites = sites

    def _rules(self, watch: Watch) -> Rules:
        """Folders below the root that belong to outputs, to other watches or to the state are left to those."""
        others = [each.path for each in self.config.watches if each is not watch]
        places = [watch.output, self.config.state, *others, *(each.output for each in self.config.watches)]
        root = os.path.realpath(watch.path)
        inside = [os.path.relpath(os.path.realpath(place), root) for place in places]
        return Rules(
            watch.path,
            recursive=watch.recursive,
            include=watch.include,
            exclude=watch.exclude,
            ignore_files=watch.ignore_files,
            not_below=[os.fsencode(each) for each in inside if each != "." and not each.startswith("..")],
        )

    def _remove_leftovers(self) -> None:
        """What a killed process left behind: its notes say where its jobs wrote."""
        for note in self.inflight.leftovers:
            watcher = self.watchers.get(note.watch)
            if watcher is None:
                continue
            try:
                count = recovery.recover(self.index, watcher.site, note.path)
            except OSError as error:
                log.warning("leftovers_not_removed", watch=note.watch, path=note.path, error=error)
                continue
            log.info("unclean_end", watch=note.watch, path=note.path, files_removed=count)

    def _retry_with_new_decoders(self) -> None:
        """What another version of a decoder refused, or lacked its extra, is tried again; nothing else is."""
        self.index.write(_retry_decoders).result()

    def _watch_name(self, watch_id: int) -> str | None:
        return next((w.config.name for w in self.watchers.values() if w.site.id == watch_id), None)

    # -- running ------------------------------------------------------------------------------------------------------

    def _tell(self, job: Job, outcome: Outcome) -> None:
        self.teller.tell(job, outcome)
        if outcome.result is Result.CHANGED:
            watcher = self.watchers.get(job.watch)
            if watcher is not None:
                watcher.intake.again(job, outcome.look)
        elif outcome.result in (Result.RETRIED, Result.GONE, Result.REUSED):
            self.feeder.kick()

    def adjust_pool(self, cpu_share: float, memory_share: float) -> None:
        """Grow or shrink between the bounds, by what waits and what is used."""
        waiting = self.queue.busy() - self.pool.busy
        goal = sizing.target(self.pool.size, self.low, self.high, waiting, cpu_share, memory_share)
        if goal != self.pool.size:
            log.debug("pool_resized", workers=goal, was=self.pool.size, waiting=waiting, cpu=cpu_share)
            self.pool.resize(goal)

    def apply(self, config: Config) -> None:
        """Go on with another configuration. Raises StartError, with the old one still at work, where it cannot."""
        self._check_folders(config.watches)
        for watcher in self.watchers.values():
            watcher.stop()
        self.queue.drop()
        self.queue.wait_idle(config.shutdown_timeout)
        self.watchers.clear()
        self.config = config
        self._set_up_watches()
        for watcher in self.watchers.values():
            watcher.start()
        self.feeder.kick()

    # -- stopping -----------------------------------------------------------------------------------------------------

    def stop(self, timeout: float) -> bool:
        """Let what is in flight end, keep the rest for the next start. False where not all ended within `timeout` s."""
        for watcher in self.watchers.values():
            watcher.stop()
        self.queue.close()
        self.feeder.stop()
        self.dispatcher.stop()
        self.pool.shutdown(wait=False)
        ended = self.pool.join(timeout)
        self.memory.close()
        self.index.close()
        if ended:
            self.inflight.close()
        self.lock.release()
        return ended


def _watch_id(connection: sqlite3.Connection, watch: Watch) -> int:
    """The watch's row. Another root is another tree; another output has none of the renditions yet."""
    row = connection.execute("SELECT id, root, output FROM watch WHERE name = ?", (watch.name,)).fetchone()
    if row is None:
        query = "INSERT INTO watch (name, root, output) VALUES (?, ?, ?)"
        return int(connection.execute(query, (watch.name, watch.path, watch.output)).lastrowid or 0)
    watch_id, root, output = row
    if root != watch.path:
        connection.execute("UPDATE watch SET root = ?, mount = NULL WHERE id = ?", (watch.path, watch_id))
    if output != watch.output:
        connection.execute("UPDATE watch SET output = ? WHERE id = ?", (watch.output, watch_id))
        below = "SELECT id FROM source WHERE watch_id = ?"
        connection.execute(f"UPDATE rendition SET present = 0 WHERE source_id IN ({below})", (watch_id,))
        connection.execute("UPDATE source SET made = '' WHERE watch_id = ?", (watch_id,))
    return int(watch_id)


def _retry_decoders(connection: sqlite3.Connection) -> None:
    for decoder in imaging.decoders():
        name = decoder.rpartition(" ")[0]
        query = "SELECT source_id FROM failure WHERE decoder LIKE ? AND decoder <> ?"
        for (source_id,) in connection.execute(query, (f"{name} %", decoder)).fetchall():
            sources.retry(connection, source_id, 0.0, 0)
    for extra in imaging.installed_extras():
        query = "UPDATE source SET state = ? WHERE state = ? AND extra = ?"
        connection.execute(query, (State.PENDING, State.SKIPPED, extra))
