"""Making what is missing of one source: names claimed, decoded, rendered, published. Knows no queue.

The order is what makes a crash harmless: temporary files first, then the renames, then (by the caller) the index.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from hotfolder import faults, imaging, logs
from hotfolder.errors import Reason, SourceError
from hotfolder.faults import Operation
from hotfolder.imaging.plan import Plan
from hotfolder.keeping import atomic, outputs, renditions, sources
from hotfolder.keeping.atomic import Staging
from hotfolder.keeping.database import Change, Database
from hotfolder.keeping.inflight import InFlight
from hotfolder.keeping.renditions import Made
from hotfolder.keeping.sources import Row
from hotfolder.model import Job, Outcome, Rendition, Result, Version
from hotfolder.working import changes, following, isolation, looking
from hotfolder.working.claims import Claims, check_names
from hotfolder.working.isolation import Work
from hotfolder.working.oversight import GivenUp, Phase, Task
from hotfolder.working.settings import Settings
from hotfolder.working.site import Site

log = logs.get("working")

Stage = Callable[[str, float], None]
SMALL_SHARE = 0.05
"""On a file system that is no larger than `limits.min_free` this share has to be free instead."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a job: the outcome to tell, and the change of the index that has to be committed first."""

    outcome: Outcome
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """One source at one version, opened, with the job that asked for it."""

    site: Site
    job: Job
    task: Task
    slot: int
    row: Row | None
    version: Version
    fd: int

    @property
    def folder(self) -> bytes:
        return self.job.path.rpartition(b"/")[0]

    @property
    def name(self) -> bytes:
        return self.job.path.rpartition(b"/")[2]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was written into temporary files (preset, width, height, note), and what that told of the source."""

    outputs: tuple[tuple[str, int, int, str], ...]
    facts: sources.Facts
    notes: tuple[str, ...] = ()
    record: imaging.Record | None = None


Draw = Callable[[Staging], Drawn]


class Maker:
    """Makes renditions; one instance serves all workers."""

    def __init__(
        self, index: Database, claims: Claims, inflight: InFlight, stage: Stage, epoch: Callable[[], int],
        settings: Settings,
    ) -> None:  # fmt: skip
        self._index = index
        self._claims = claims
        self._inflight = inflight
        self._stage = stage
        self._epoch = epoch
        self._settings = settings

    def rendering(self, subject: Subject, work: Work, presets: Collection[str], *, isolated: bool) -> Draw:
        """Draw these by decoding."""

        def draw(staging: Staging) -> Drawn:
            subject.task.enter(Phase.WAIT if isolated else Phase.DECODE)
            rendered = work.render(staging, subject.site.targets(subject.name), self._stage, presets)
            if not subject.task.keep():
                raise GivenUp
            self._inflight.decoded(subject.slot)
            facts = sources.Facts(
                rendered.decoder, rendered.format, rendered.width, rendered.height, ",".join(rendered.notes)
            )
            outputs = tuple((each.preset, each.width, each.height, each.note) for each in rendered.outputs)
            return Drawn(outputs, facts, rendered.notes, rendered.record)

        return draw

    def make(self, subject: Subject, wanted: Mapping[str, str], draw: Draw, *, result: Result = Result.DONE) -> Finding:
        """Make `wanted` (preset, or ANALYSIS → plan as JSON). Raises SourceError, GivenUp."""
        site, row = subject.site, subject.row
        targets = site.targets(subject.name)
        former = renditions.of(self._index.read(), row.id) if row else []
        claim = self._claims.take(site, subject.folder, targets.values())
        if claim is None:
            raise SourceError(Reason.BUSY, "another source is being written under the same rendition name")
        subject.task.claim = claim
        try:
            check_names(self._index, site, subject.folder, targets.values(), row.id if row else 0)
            finding = self._publish(subject, former, wanted, draw, result)
        except BaseException:
            claim.release()
            raise
        if finding.change is None:
            claim.release()
        return finding

    def _publish(
        self, subject: Subject, former: list[Made], wanted: Mapping[str, str], draw: Draw, result: Result
    ) -> Finding:
        site = subject.site
        with output_root(site) as output_fd:
            with staging_for(site, output_fd, subject.folder, fsync=self._settings.fsync) as staging:
                drawn = draw(staging)
                if (version := _still(subject)) is None:
                    return Finding(Outcome(Result.CHANGED, look=looking.version_of(subject.fd), stirs=True))
                subject = replace(subject, version=version)
                storing = time.monotonic()
                made = published(site, subject, wanted, drawn, staging)
                epoch = self._epoch()  # not before: one that closes meanwhile was synced without these names
            new = {(m.area, m.name) for m in made if m.note != "kept"}
            stale = [m for m in former if _is_stale(m, subject, wanted)]
            following.remove(site, output_fd, subject.folder, [m for m in stale if (m.area, m.name) not in new])
            self._stage("store", time.monotonic() - storing)
        gone = frozenset(m.preset for m in stale)
        kind = changes.Ordered if site.ordered else changes.Done
        change = kind(site, subject.job.path, subject.version, made, gone, drawn.facts, epoch, drawn.record)
        shown = tuple(Rendition(m.preset, m.width, m.height, m.bytes, m.mtime_ns, m.note) for m in made)
        outcome = Outcome(result, shown, subject.version.size, notes=drawn.notes, record=drawn.record)
        return Finding(outcome, change)


def _still(subject: Subject) -> Version | None:
    """Its version after drawing; None where it has other bytes now. A copy that sets the time of its original after it
    has closed the file changes nothing that was drawn. Raises GivenUp where its root hangs meanwhile."""
    subject.task.enter(Phase.LOOK)
    with faults.during(Operation.READ, "it cannot be read"):
        version = looking.still(subject.fd, subject.version, subject.task.step)
    if not subject.task.keep():
        raise GivenUp
    return version


def _is_stale(made: Made, subject: Subject, wanted: Mapping[str, str]) -> bool:
    """What is made anew, or no longer wanted. What was ordered stays as long as the source has the same bytes."""
    site, row = subject.site, subject.row
    if made.preset in {site.key(preset) for preset in wanted}:
        return True
    if site.ordered or made.preset in site.signatures:
        return False
    return not (made.ordered and row is not None and row.version.hash == subject.version.hash)


def parts(site: Site, wanted: Mapping[str, str]) -> tuple[imaging.Part, ...]:
    """What to render by which plan; a plan of the index that cannot be read any more is replaced by today's."""
    return isolation.parts({preset: _plan_of(spec, site) for preset, spec in wanted.items()}) or ((site.plan, ()),)


def _plan_of(spec: str, site: Site) -> Plan:
    if spec == site.plan_spec:
        return site.plan
    try:
        return Plan.from_json(spec)
    except (ValueError, TypeError, KeyError):
        return site.plan


def published(
    site: Site, subject: Subject, wanted: Mapping[str, str], drawn: Drawn, staging: Staging
) -> tuple[Made, ...]:  # fmt: skip
    """Give the temporary files their names."""
    targets = site.targets(subject.name)
    written = staging.publish(site.times(subject.version))
    for what in staging.refused - site.habits.refused:
        site.habits.refused.add(what)
        log.warning("output_refuses", watch=site.name, what=what, next="renditions are made without")
    made = []
    for preset, width, height, note in drawn.outputs:
        target = targets[preset]
        size, mtime = written.get(preset, (0, 0))
        file = (target.name, width, height, size, mtime, True, note)
        made.append(
            Made(site.key(preset), site.signatures[preset], wanted[preset], target.area, *file, ordered=site.ordered)
        )
    return tuple(made)


def staging_for(site: Site, output_fd: int, folder: bytes, *, fsync: bool) -> Staging:
    return Staging(output_fd, folder, mode=site.mode, dir_mode=site.dir_mode, fsync=fsync)


@contextmanager
def output_root(site: Site) -> Iterator[int]:
    """The output root's descriptor. Raises SourceError for what goes wrong with the output, here and within."""
    with writing(site):
        fd = atomic.open_root(site.output)
        try:
            yield fd
        finally:
            os.close(fd)


def writing(site: Site) -> AbstractContextManager[None]:
    """What goes wrong within it is the output's fault, or that of a name on it, or the machine's."""
    return faults.during(Operation.WRITE, f"the output {site.output} cannot be written")


def check_output(site: Site, min_free: int) -> None:
    """Raises SourceError(OUTPUT_ERROR) where nothing can be written, before anything is read or decoded for it."""
    with output_root(site) as fd:
        found = os.fstatvfs(fd)
        if found.f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    site.habits.name_max = outputs.name_max(found)
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    if total and free < (min_free if total > min_free else SMALL_SHARE * total):
        text = f"only {free // 1_000_000} MB are free, less than limits.min_free; free some space"
        raise SourceError(Reason.OUTPUT_ERROR, f"the output {site.output} is nearly full: {text}")
