"""What a worker does with one job: look at what really lies at the path, do what that asks for, note it in the index.

A job only says "look here": whether the source is new, changed, renamed, touched or gone is decided from the file and
its row. Nothing is decided here about when a job comes; that is for watching/ and the queue.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import replace

import xxhash

from hotfolder import bugs, faults, imaging, logs
from hotfolder.errors import MissingExtra, Reason, SourceError
from hotfolder.faults import Operation
from hotfolder.keeping import atomic, renditions, sources
from hotfolder.keeping.database import Database
from hotfolder.keeping.renditions import Made
from hotfolder.keeping.sources import Row
from hotfolder.metrics import Metrics
from hotfolder.model import Job, Outcome, Result, State, Version
from hotfolder.presets import ANALYSIS
from hotfolder.working import changes, following, judge, looking, making, twins
from hotfolder.working.children import Died
from hotfolder.working.desk import Desk, Entry
from hotfolder.working.isolation import Asked, Isolation, Work
from hotfolder.working.judge import Verdict
from hotfolder.working.looking import Writers
from hotfolder.working.making import Drawn, Finding, Maker, Subject
from hotfolder.working.memory import Closed, Held, Reservation
from hotfolder.working.ordering import Ordering
from hotfolder.working.oversight import GivenUp, Phase
from hotfolder.working.renames import Renames
from hotfolder.working.settings import Settings
from hotfolder.working.site import Site
from hotfolder.working.suspects import Suspects

YOUNG_SECONDS = 60.0
"""What was seen to change less than this ago and is damaged may simply not be whole yet."""

log = logs.get("working")

REUSED = Finding(Outcome(Result.REUSED))


class Processor:
    """Does jobs; one instance serves all workers."""

    def __init__(
        self, index: Database, desk: Desk, maker: Maker, renames: Renames, isolation: Isolation, suspects: Suspects,
        ordering: Ordering, memory: Reservation, metrics: Metrics, settings: Settings, *, patient: bool,
    ) -> None:  # fmt: skip
        self.sites: Mapping[str, Site] = {}
        self._index = index
        self._desk = desk
        self._maker = maker
        self._renames = renames
        self._isolation = isolation
        self._suspects = suspects
        self._ordering = ordering
        self._memory = memory
        self._metrics = metrics
        self._settings = settings
        self._retries = changes.Retries(patient)

    def run(self, job: Job) -> None:
        """Do one job to its end, or put its path back. Raises nothing."""
        entry = None
        try:
            site = self.sites.get(job.watch)
            if site is None:
                self._desk.refuse(job)
                return
            entry = self._desk.enter(site, job)
            self._desk.leave(entry, self._found(entry))
        except BaseException as error:  # noqa: BLE001 - the thread is the pool's
            self._desk.abandon(job, entry, error)

    def _found(self, entry: Entry) -> Finding:
        site, job = entry.site, entry.job
        try:
            return self._find(entry)
        except (GivenUp, Closed):
            # Given up: another has the job. Closed: the program ends, and the next start finds it as it was.
            return Finding(Outcome(Result.CHANGED))
        except (sqlite3.Error, MemoryError) as error:
            log.error("put_back", watch=job.watch, path=job.path, reason=str(error) or type(error).__name__)
            return Finding(Outcome(Result.CHANGED))
        except Exception as error:  # noqa: BLE001 - a bug must cost one image, not the daemon
            bugs.report("worker", error, watch=job.watch, path=job.path)
            return self._failed(site, job, SourceError(Reason.INTERNAL, f"{type(error).__name__}: {error}"), None)

    # -- deciding --------------------------------------------------------------------------------------------------

    def _find(self, entry: Entry) -> Finding:
        site, job = entry.site, entry.job
        row = sources.find(self._index.read(), site.id, job.path)
        if job.unwanted:
            return self._vanished(site, replace(job, deleted=True), row)
        try:
            root_fd = atomic.open_root(site.root)
        except OSError as error:
            entry.task.enter(Phase.WAIT)
            away = faults.failure(error, Operation.REACH, f"the root {site.root} cannot be opened")
            return self._failed(site, job, away, row)
        try:
            with looking.opened(root_fd, job.path) as fd:
                return self._look(entry, row, root_fd, fd)
        except (MissingExtra, SourceError, OSError) as error:
            entry.task.enter(Phase.WAIT)  # raises GivenUp: what follows touches the output
            return self._ended(site, job, row, error)
        finally:
            os.close(root_fd)

    def _ended(self, site: Site, job: Job, row: Row | None, error: MissingExtra | SourceError | OSError) -> Finding:
        if isinstance(error, FileNotFoundError):
            return self._vanished(site, job, row)
        if isinstance(error, MissingExtra):
            return self._skipped(site, job, error, row)
        if isinstance(error, OSError):
            error = faults.failure(error, Operation.READ, "it cannot be read")
        return self._failed(site, job, error, row)

    def _look(self, entry: Entry, row: Row | None, root_fd: int, fd: int) -> Finding:
        site, job, task = entry.site, entry.job, entry.task
        version = looking.version_of(fd, judge.volume(root_fd, fd))
        writers = looking.writers(fd)
        if not looking.is_whole(job, version, writers):
            moves = job.look is not None and not job.look.same_moment(version)
            return Finding(Outcome(Result.CHANGED, look=version, stirs=moves or writers is Writers.SOME))
        if row is not None and not job.closed and row.version.same_moment(version) and _settled(row, site):
            return self._unchanged(entry, row, version, fd)
        task.enter(Phase.WAIT)
        if version.size > (most := self._settings.limits.max_bytes):
            raise SourceError(
                Reason.TOO_MANY_BYTES,
                f"it has {version.size} bytes, more than limits.max_bytes = {most}", version=version,
            )  # fmt: skip
        need = version.size
        while True:
            with self._memory.hold(need) as held:
                found = self._read(entry, row, fd, version, held)
            if isinstance(found, Finding):
                return found
            need = found

    def _read(self, entry: Entry, row: Row | None, fd: int, version: Version, held: Held) -> Finding | int:
        """Read the source and do what its bytes ask for; or, where that takes more memory than is free, say how much:
        the caller lets go, waits in line for all of it, and has it read again. Nothing is kept meanwhile."""
        site, job, task = entry.site, entry.job, entry.task
        task.enter(Phase.LOOK)
        reading = time.monotonic()
        data = imaging.read_all(fd, version.size, task.step)
        hashed = version.hashed(xxhash.xxh3_128_digest(data))
        if len(data) != version.size or not looking.version_of(fd).same_moment(version):
            return Finding(Outcome(Result.CHANGED, look=looking.version_of(fd), stirs=True))
        self._metrics.stage("read", time.monotonic() - reading)
        task.enter(Phase.WAIT)
        if found := self._same_bytes(site, job, row, hashed):
            return found
        if self._is_young(job, row) and self._retries.waits_for_more(row) and imaging.is_hollow(data):
            text = "its end is still empty: it is being filled"
            raise SourceError(Reason.TRUNCATED, text, version=hashed)
        making.check_output(site, self._settings.min_free)
        subject = Subject(site, job, task, entry.slot, row, hashed, fd)
        if _is_new(row) and (copied := self._copied(subject)):
            return copied
        try:
            wanted = self._wanted(site, job, row, hashed)
            isolated = self._is_isolated(site, job, subject, data)
            parts = making.parts(site, wanted)
            asked = Asked(fd, data, subject.name, parts, self._limits_for(job, row), task.stop)
            if not isolated:
                task.enter(Phase.DECODE)
            with self._isolation.opened(asked, isolated=isolated) as work:
                total = version.size + work.need
                if total > held.amount and not held.try_grow(total):
                    return total
                return self._render(subject, work, wanted, isolated=isolated)
        except (SourceError, MissingExtra) as error:
            error.version = hashed
            raise

    def _limits_for(self, job: Job, row: Row | None) -> imaging.Limits:
        """A young file that ends too early may still be growing: it is not shown as it is before its tries are used."""
        growing = self._is_young(job, row) and self._retries.waits_for_more(row)
        limits = self._settings.limits
        return replace(limits, lenient=limits.lenient and not growing)

    def _unchanged(self, entry: Entry, row: Row, version: Version, fd: int) -> Finding:
        if row.gone:
            return self._back(row)
        made = self._ordering.make(entry, row, version, fd) if row.state is State.DONE else None
        return REUSED if made is None else made

    def _copied(self, subject: Subject) -> Finding | None:
        """It has the bytes of another source, which stays: copies of that one's renditions serve."""
        if (twin := twins.find(self._index, subject)) is None:
            return None
        wanted, draw = twin
        try:
            return self._maker.make(subject, wanted, draw, result=Result.REUSED)
        except twins.NoTwin:
            return None

    def _render(self, subject: Subject, work: Work, wanted: dict[str, str], *, isolated: bool) -> Finding:
        """Make what is wanted; where the site adopts, what lies there already is left as it is."""
        adopts = subject.site.adopts.is_set() and _is_new(subject.row)
        found = twins.adopted(subject, work.sizes) if adopts else {}
        missing = {preset: plan for preset, plan in wanted.items() if preset not in found}
        if missing:
            draw = self._maker.rendering(subject, work, missing, isolated=isolated)
        else:
            draw = lambda staging: Drawn((), work.facts)  # noqa: E731 - one of two ways to draw
        finding = self._maker.make(subject, missing, draw, result=Result.DONE if missing else Result.REUSED)
        if found and isinstance(finding.change, changes.Done):
            finding = replace(finding, change=replace(finding.change, made=finding.change.made + tuple(found.values())))
        return finding

    def _is_isolated(self, site: Site, job: Job, subject: Subject, data: bytes) -> bool:
        isolated = self._isolation.applies(data, subject.name, suspect=(site.id, job.path) in self._suspects)
        if isolated:
            self._desk.harmless(subject.slot)
        return isolated

    def _same_bytes(self, site: Site, job: Job, row: Row | None, version: Version) -> Finding | None:
        """The file was touched, copied over itself or renamed: what was made of these bytes serves on."""
        if row is None or _is_new(row):
            try:
                moved = self._renames.follow(site, job, version)
            except SourceError as refusal:
                refusal.version = version
                raise
            return None if moved is None else Finding(moved)
        if row.version.hash != version.hash:
            return None
        if row.state in (State.DONE, State.FAILED, State.SKIPPED) and row.made == site.want:
            return Finding(Outcome(Result.REUSED), lambda c: sources.rekey(c, row.id, version))
        made = renditions.of(self._index.read(), row.id)
        if self._wanted(site, job, row, version):
            return None
        stale = [each for each in made if each.preset not in site.signatures and not each.ordered]
        if error := self._remove(site, job, stale):
            raise error
        return Finding(Outcome(Result.REUSED), changes.Kept(site, row.id, version, tuple(m.preset for m in stale)))

    def _made(self, site: Site, row: Row, job: Job) -> dict[str, Made]:
        """The renditions of these bytes. Those that were missed are looked for: their output may have moved."""
        made = renditions.of(self._index.read(), row.id)
        if any(not each.present for each in made):
            folder = job.path.rpartition(b"/")[0]
            with making.output_root(site) as output_fd:
                there = [m.preset for m in made if not m.present and following.is_as_made(output_fd, folder, m)]
            self._index.write(lambda c: renditions.found(c, row.id, there))
            made = [replace(each, present=each.present or each.preset in there) for each in made]
        return {each.preset: each for each in made}

    def _wanted(self, site: Site, job: Job, row: Row | None, version: Version) -> dict[str, str]:
        """What has to be made: preset, or ANALYSIS → the plan to make it by."""
        same = row is not None and row.version.hash == version.hash
        made = self._made(site, row, job) if row is not None and same else {}
        wanted = {}
        for preset, signature in site.signatures.items():
            former = made.get(preset)
            unchanged = former is not None and (former.signature == signature or former.ordered)
            if former is None or not unchanged:
                wanted[preset] = site.plan_spec
            elif not former.present:
                wanted[preset] = former.plan
        if site.analyze is not None:
            known = row is not None and same and sources.is_analyzed(self._index.read(), row.id, site.analyze.signature)
            wanted |= {} if known else {ANALYSIS: site.plan_spec}
        return wanted

    def _back(self, row: Row) -> Finding:
        return Finding(Outcome(Result.REUSED), lambda c: sources.unmark_gone(c, row.id))

    # -- ends ------------------------------------------------------------------------------------------------------

    def _vanished(self, site: Site, job: Job, row: Row | None) -> Finding:
        if row is None:
            return Finding(Outcome(Result.GONE))
        gone = Outcome(Result.GONE, source_id=row.id)
        verdict = judge.source(site.root, job.path, row)
        if verdict is Verdict.UNKNOWN:
            unseen = replace(gone, reason=Reason.UNREACHABLE)
            return Finding(unseen, lambda c: changes.unseen(c, row.id))
        if verdict is Verdict.THERE and not job.unwanted:
            return Finding(Outcome(Result.CHANGED))
        if not job.deleted and row.gone < sources.CONFIRMED:
            # Nobody said that it was deleted, nor have two walks missed it: the guard counts it with others.
            return Finding(gone, lambda c: changes.missed(c, row.id))
        if not site.keep_deleted and (error := self._clear(site, job, row)):
            return self._not_removed(error, row)
        return Finding(replace(gone, removed=True), changes.Removed(site, row.id, job.path))

    def _not_removed(self, error: SourceError, row: Row) -> Finding:
        """The output stands in the way: that it is to go stays noted, and is tried for ever."""
        tries = 1 + row.tries
        delay = changes.INNOCENT_DELAYS[min(tries, len(changes.INNOCENT_DELAYS)) - 1]
        retry_at = time.time() + delay + sources.REMOVAL_SECONDS
        outcome = Outcome(Result.RETRIED, reason=error.reason, message=error.message)
        return Finding(outcome, lambda c: sources.remove_later(c, row.id, retry_at, tries))

    def _clear(self, site: Site, job: Job, row: Row) -> SourceError | None:
        """Remove all renditions of a row; gives what stood in the way."""
        return self._remove(site, job, renditions.of(self._index.read(), row.id))

    def _remove(self, site: Site, job: Job, made: list[Made]) -> SourceError | None:
        if not made:
            return None
        try:
            with making.output_root(site) as output_fd:
                following.remove(site, output_fd, job.path.rpartition(b"/")[0], made)
        except SourceError as error:
            return error
        return None

    def _skipped(self, site: Site, job: Job, error: MissingExtra, row: Row | None) -> Finding:
        if row is not None:
            self._clear(site, job, row)
        change = changes.Skipped(site, job.path, error.version, error.extra)
        return Finding(Outcome(Result.SKIPPED, message=str(error), extra=error.extra), change)

    def _is_young(self, job: Job, row: Row | None) -> bool:
        """Whether it was seen to change lately, so that it may not be whole yet."""
        seen = job.seen_changing is not None and time.monotonic() - job.seen_changing < YOUNG_SECONDS
        return seen or (row is not None and row.young)

    def _failed(self, site: Site, job: Job, error: SourceError, row: Row | None) -> Finding:
        young = self._is_young(job, row) and not _was_finished(error)
        fresh = job.seen_changing is not None  # it changed since the last try: that is the first one of this version
        tries = 1 + (row.tries if row is not None and not fresh else 0)
        outcome = Outcome(Result.RETRIED, reason=error.reason, message=error.message)
        delay = self._retries.delay(error.reason, tries, young=young)
        if isinstance(error, Died) and error.killed and tries < changes.SUSPECT_TRIES:
            delay = 1.0
        if delay is not None:
            at = time.time() + delay
            change = changes.Retry(site, job.path, at, tries, young, job.deleted)
            return Finding(replace(outcome, retry_at=at), change)
        made: list[Made] = renditions.of(self._index.read(), row.id) if row else []
        if row is not None and made and error.version is not None:
            self._clear(site, job, row)
        failed = changes.Failed(site, job.path, error, tries)
        return Finding(replace(outcome, result=Result.FAILED), failed)


def _was_finished(error: SourceError) -> bool:
    """Nothing of an image in it, and last written long ago, as its mtime says: nobody is about to complete it."""
    mtime_ns = error.version.mtime_ns if error.version is not None else time.time_ns()
    nothing = error.reason in (Reason.EMPTY, Reason.NOT_AN_IMAGE)
    return nothing and time.time() - mtime_ns / 1e9 > YOUNG_SECONDS


def _is_new(row: Row | None) -> bool:
    """Nothing has been made of it yet: it may be one that was called otherwise before."""
    return row is None or (row.state is State.PENDING and row.version.hash is None)


def _settled(row: Row, site: Site) -> bool:
    return row.state is not State.PENDING and row.made == site.want
