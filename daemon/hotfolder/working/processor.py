"""What a worker does with one job: look at what really lies at the path, do what that asks for, note it in the index.

A job only says "look here": whether the source is new, changed, renamed, touched or gone is decided from the file and
its row. Nothing is decided here about when a job comes; that is for watching/ and the queue.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace

import xxhash

from hotfolder import imaging, logs
from hotfolder.errors import MissingExtra, Reason, SourceError
from hotfolder.keeping import atomic, sources
from hotfolder.keeping.database import Change, Database
from hotfolder.keeping.inflight import InFlight
from hotfolder.keeping.sources import Made, Row
from hotfolder.metrics import Metrics
from hotfolder.model import Job, Outcome, Rendition, Result, State, Version
from hotfolder.working import changes, following, looking, making
from hotfolder.working.making import Claim, Claims
from hotfolder.working.memory import Closed, Reservation
from hotfolder.working.queue import JobQueue
from hotfolder.working.renames import Renames
from hotfolder.working.site import Site

YOUNG_SECONDS = 60.0
"""What was seen to change less than this ago and is damaged may simply not be whole yet."""

IN_FLIGHT_MOST = 512
"""Jobs that are in work or wait for their commit: each has a note that survives a kill until its rows stand."""

log = logs.get("working")


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a job: the outcome to tell, and the change of the index that has to be committed first."""

    outcome: Outcome
    change: Change | None = None
    claim: Claim | None = None
    """Rendition names that are held until the rows say whose they are."""


REUSED = Finding(Outcome(Result.REUSED))


class Processor:
    """Does jobs; one instance serves all workers. `tell` is called once for each job, after its commit."""

    def __init__(
        self, index: Database, queue: JobQueue, memory: Reservation, inflight: InFlight, metrics: Metrics,
        limits: imaging.Limits, tell: Callable[[Job, Outcome], None], *, fsync: bool, patient: bool,
    ) -> None:  # fmt: skip
        self.sites: Mapping[str, Site] = {}
        self._index = index
        self._queue = queue
        self._memory = memory
        self._inflight = inflight
        self._metrics = metrics
        self._limits = limits
        self._tell = tell
        self._fsync = fsync
        self._retries = changes.Retries(patient)
        self._claims = Claims()
        self._places = threading.BoundedSemaphore(IN_FLIGHT_MOST)
        self._renames = Renames(index, queue, self._claims)

    def run(self, job: Job) -> None:
        """Do one job to its end. Raises nothing that an image, a file or a disk can cause."""
        site = self.sites.get(job.watch)
        if site is None:
            self._end(job, None, Outcome(Result.GONE))
            return
        site.gate.enter()
        self._places.acquire()
        slot = self._inflight.enter(job.watch, job.path)
        started = time.monotonic()
        try:
            finding = self._find(site, job, slot)
        except Closed:
            finding = Finding(Outcome(Result.CHANGED))  # the program ends: the next start finds it as it was
        except Exception as error:  # noqa: BLE001 - a bug must cost one image, not the daemon
            log.error("job_failed", watch=job.watch, path=job.path, error=error)
            finding = self._failed(site, job, SourceError(Reason.INTERNAL, f"{type(error).__name__}: {error}"), None)
        outcome = replace(finding.outcome, seconds=time.monotonic() - started)
        if finding.change is None:
            self._leave(slot)
            self._end(job, site, outcome)
        else:
            future = self._index.write(finding.change)
            future.add_done_callback(lambda done: self._committed(job, site, slot, finding.claim, outcome, done))

    def _committed(
        self, job: Job, site: Site, slot: int, claim: Claim | None, outcome: Outcome, done: Future[object]
    ) -> None:  # fmt: skip
        if claim is not None:
            claim.release()
        error = done.exception()
        self._leave(slot)
        if error is not None:
            # Nothing is lost: the path is looked at again, and what was published is found by then or made anew.
            log.error("result_not_stored", watch=job.watch, path=job.path, error=error)
            outcome = Outcome(Result.CHANGED, reason=Reason.IO_ERROR, message=str(error))
        self._end(job, site, outcome)

    def _leave(self, slot: int) -> None:
        self._inflight.leave(slot)
        self._places.release()

    def _end(self, job: Job, site: Site | None, outcome: Outcome) -> None:
        if site is not None:
            site.gate.leave()
        self._tell(job, outcome)
        self._queue.finish(job)

    # -- deciding --------------------------------------------------------------------------------------------------

    def _find(self, site: Site, job: Job, slot: int) -> Finding:
        row = sources.find(self._index.read(), site.id, job.path)
        if job.unwanted:
            return self._vanished(site, replace(job, deleted=True), row)
        try:
            root_fd = atomic.open_root(site.root)
        except OSError as error:
            return self._failed(site, job, _passing(error, f"the root {site.root} cannot be opened"), row)
        try:
            with looking.opened(root_fd, job.path) as fd:
                return self._look(site, job, row, root_fd, fd, slot)
        except FileNotFoundError:
            return self._vanished(site, job, row)
        except MissingExtra as error:
            return self._skipped(site, job, error, row)
        except SourceError as error:
            return self._failed(site, job, error, row)
        except OSError as error:
            return self._failed(site, job, _passing(error, "it cannot be read"), row)
        finally:
            os.close(root_fd)

    def _look(self, site: Site, job: Job, row: Row | None, root_fd: int, fd: int, slot: int) -> Finding:
        version = looking.version_of(fd)
        if not looking.is_whole(job, version, looking.writers(fd)):
            return Finding(Outcome(Result.CHANGED, look=version))
        if row is not None and not job.closed and row.version.same_moment(version) and _settled(row, site):
            return self._back(row) if row.gone else REUSED
        if _is_new(row) and (moved := self._renames.by_hint(site, job, version, root_fd)):
            return Finding(moved)
        if version.size > self._limits.max_bytes:
            raise SourceError(
                Reason.TOO_MANY_BYTES,
                f"it has {version.size} bytes, more than limits.max_bytes = {self._limits.max_bytes}", version=version,
            )  # fmt: skip
        need = version.size
        while True:
            with self._memory.hold(need) as held:
                reading = time.monotonic()
                data = looking.read_all(fd, version.size)
                hashed = version.hashed(xxhash.xxh3_128_digest(data))
                if len(data) != version.size or not looking.version_of(fd).same_moment(version):
                    return Finding(Outcome(Result.CHANGED, look=looking.version_of(fd)))
                self._metrics.stage("read", time.monotonic() - reading)
                if found := self._same_bytes(site, job, row, hashed, root_fd):
                    return found
                try:
                    opened = imaging.open_image(data, self._limits, job.path.rpartition(b"/")[2])
                    wanted = self._wanted(site, row, hashed)
                    total = version.size + opened.memory(site.plan, wanted)
                    if total <= need or held.try_grow(total):
                        return self._make(site, job, row, hashed, data, opened, wanted, fd, slot)
                except SourceError as error:
                    error.version = hashed
                    raise
                except MissingExtra as error:
                    error.version = hashed
                    raise
            need = total  # no room to grow into: let go, wait in line for all of it, and read again

    def _same_bytes(self, site: Site, job: Job, row: Row | None, version: Version, root_fd: int) -> Finding | None:
        """The file was touched, copied over itself or renamed: what was made of these bytes serves on."""
        if row is None or _is_new(row):
            moved = self._renames.by_bytes(site, job, version, root_fd)
            return None if moved is None else Finding(moved)
        if row.version.hash != version.hash:
            return None
        if row.state in (State.DONE, State.FAILED, State.SKIPPED) and row.made == site.want:
            return Finding(Outcome(Result.REUSED), lambda c: sources.rekey(c, row.id, version))
        made = sources.renditions(self._index.read(), row.id)
        if self._wanted(site, row, version) or not made:
            return None
        stale = [each for each in made if each.preset not in site.signatures]
        if error := self._remove(site, job, stale):
            raise error
        return Finding(Outcome(Result.REUSED), changes.Kept(site, row.id, version, tuple(m.preset for m in stale)))

    def _wanted(self, site: Site, row: Row | None, version: Version) -> dict[str, str]:
        """What has to be made: preset → the plan to make it by."""
        same = row is not None and row.version.hash == version.hash
        made = {m.preset: m for m in sources.renditions(self._index.read(), row.id)} if row and same else {}
        wanted = {}
        for preset, signature in site.signatures.items():
            former = made.get(preset)
            unchanged = former is not None and former.signature == signature
            if former is None or not unchanged:
                wanted[preset] = site.plan_spec
            elif not former.present:
                wanted[preset] = former.plan
        return wanted

    # -- making ----------------------------------------------------------------------------------------------------

    def _make(
        self, site: Site, job: Job, row: Row | None, version: Version, data: bytes, opened: imaging.Opened,
        wanted: dict[str, str], fd: int, slot: int,
    ) -> Finding:  # fmt: skip
        folder, _, name = job.path.rpartition(b"/")
        targets = site.targets(name)
        former = sources.renditions(self._index.read(), row.id) if row else []
        claim = self._claims.take(site, folder, targets.values())
        if claim is None:
            raise SourceError(Reason.BUSY, "another source is being written under the same rendition name")
        try:
            making.check_names(self._index, site, folder, targets.values(), row.id if row else 0)
            finding = self._publish(site, job, former, version, data, opened, wanted, fd, slot)
        except OSError as error:
            claim.release()
            raise _passing(error, f"the output {site.output} cannot be written", Reason.OUTPUT_ERROR) from error
        except BaseException:
            claim.release()
            raise
        if finding.change is None:
            claim.release()
            return finding
        return replace(finding, claim=claim)

    def _publish(
        self, site: Site, job: Job, former: list[Made], version: Version, data: bytes, opened: imaging.Opened,
        wanted: dict[str, str], fd: int, slot: int,
    ) -> Finding:  # fmt: skip
        folder, _, name = job.path.rpartition(b"/")
        with making.output_root(site) as output_fd:
            with making.staging_for(site, output_fd, folder, fsync=self._fsync) as staging:
                self._inflight.decoding(slot)
                rendered, outputs = making.render(
                    opened, data, name, site, wanted, staging, self._limits, self._metrics.stage
                )
                if not looking.version_of(fd).same_moment(version):
                    return Finding(Outcome(Result.CHANGED, look=looking.version_of(fd)))
                storing = time.monotonic()
                made = making.published(site, name, wanted, outputs, staging, version.mtime_ns)
            new = {(m.area, m.name) for m in made if m.note != "kept"}
            stale = [m for m in former if m.preset in wanted or m.preset not in site.signatures]
            following.remove(site, output_fd, folder, [m for m in stale if (m.area, m.name) not in new])
            self._metrics.stage("store", time.monotonic() - storing)
        facts = sources.Facts(rendered.decoder, rendered.format, rendered.width, rendered.height)
        change = changes.Done(site, job.path, version, made, frozenset(m.preset for m in stale), facts)
        renditions = tuple(Rendition(m.preset, m.width, m.height, m.bytes, m.mtime_ns, m.note) for m in made)
        return Finding(Outcome(Result.DONE, renditions, version.size, notes=rendered.notes), change)

    def _back(self, row: Row) -> Finding:
        return Finding(Outcome(Result.REUSED), lambda c: sources.unmark_gone(c, row.id))

    # -- ends ------------------------------------------------------------------------------------------------------

    def _vanished(self, site: Site, job: Job, row: Row | None) -> Finding:
        gone = Outcome(Result.GONE)
        if row is None:
            return Finding(gone)
        if not job.deleted:
            # Nobody said that it was deleted: it may be a mount that went away. Reconcile counts, and decides.
            return Finding(gone, lambda c: changes.missed(c, row.id))
        if not site.keep_deleted and (error := self._clear(site, job, row)):
            return self._failed(site, job, error, row)
        return Finding(replace(gone, removed=True), lambda c: sources.remove(c, row.id))

    def _clear(self, site: Site, job: Job, row: Row) -> SourceError | None:
        """Remove all renditions of a row; gives what stood in the way."""
        return self._remove(site, job, sources.renditions(self._index.read(), row.id))

    def _remove(self, site: Site, job: Job, made: list[Made]) -> SourceError | None:
        if not made:
            return None
        try:
            with making.output_root(site) as output_fd:
                following.remove(site, output_fd, job.path.rpartition(b"/")[0], made)
        except OSError as error:
            return _passing(error, f"the output {site.output} cannot be written", Reason.OUTPUT_ERROR)
        return None

    def _skipped(self, site: Site, job: Job, error: MissingExtra, row: Row | None) -> Finding:
        if row is not None:
            self._clear(site, job, row)
        change = changes.Skipped(site, job.path, error.version, error.extra)
        return Finding(Outcome(Result.SKIPPED, message=str(error), extra=error.extra), change)

    def _failed(self, site: Site, job: Job, error: SourceError, row: Row | None) -> Finding:
        young = job.seen_changing is not None and time.monotonic() - job.seen_changing < YOUNG_SECONDS
        young = young or (row is not None and row.young)
        fresh = job.seen_changing is not None  # it changed since the last try: that is the first one of this version
        tries = 1 + (row.tries if row is not None and not fresh else 0)
        outcome = Outcome(Result.RETRIED, reason=error.reason, message=error.message)
        delay = self._retries.delay(error.reason, tries, young=young)
        if delay is not None:
            return Finding(outcome, changes.Retry(site, job.path, time.time() + delay, tries, young))
        made: list[Made] = sources.renditions(self._index.read(), row.id) if row else []
        if row is not None and made and error.version is not None:
            self._clear(site, job, row)
        failed = changes.Failed(site, job.path, error, tries)
        return Finding(replace(outcome, result=Result.FAILED), failed)


def _is_new(row: Row | None) -> bool:
    """Nothing has been made of it yet: it may be one that was called otherwise before."""
    return row is None or (row.state is State.PENDING and row.version.hash is None)


def _settled(row: Row, site: Site) -> bool:
    return row.state is not State.PENDING and row.made == site.want


def _passing(error: OSError, what: str, reason: Reason = Reason.IO_ERROR) -> SourceError:
    text = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        text += "; free some space"
    return SourceError(reason, f"{what}: {text}")
