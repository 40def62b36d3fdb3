"""Makes what is missing of one source: names claimed, rendered into temporary files, published. Knows no queue.

The order is what makes a crash harmless: temporary files first, then the renames, then (by the caller) the index.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from hotfolder import faults, imaging
from hotfolder.faults import Operation
from hotfolder.imaging.plan import Plan
from hotfolder.imaging.rendition import Rendition
from hotfolder.index import renditions, sources
from hotfolder.index.database import Database
from hotfolder.index.renditions import Made
from hotfolder.model import Result, Version
from hotfolder.outcome import Outcome
from hotfolder.pipeline import changes, files, output, source
from hotfolder.pipeline.claims import Claims, check_names
from hotfolder.pipeline.work import Finding, Work
from hotfolder.pool.oversight import GivenUp, Phase
from hotfolder.renderers import picture as pictures
from hotfolder.renderers.picture import Picture, Stage
from hotfolder.store.inflight import InFlight
from hotfolder.store.staging import Staging
from hotfolder.telemetry import logs
from hotfolder.watches.settings import Settings
from hotfolder.watches.site import Site

log = logs.get("working")


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was written into temporary files, and what that said of the source."""

    outputs: tuple[Rendition, ...]
    facts: sources.Facts
    notes: tuple[str, ...] = ()
    record: imaging.Record | None = None


Draw = Callable[[Staging], Drawn]


class Publisher:
    """One instance serves all workers."""

    def __init__(
        self,
        index: Database,
        claims: Claims,
        inflight: InFlight,
        stage: Stage,
        epoch: Callable[[], int],
        settings: Settings,
    ) -> None:
        self._index = index
        self._claims = claims
        self._inflight = inflight
        self.stage = stage
        self._epoch = epoch
        self._settings = settings

    def harmless(self, work: Work) -> None:
        """Should this process die, it was not by this picture: a helper decodes it, or it has been decoded."""
        self._inflight.decoded(work.slot)

    def drawing(self, work: Work, picture: Picture, presets: Collection[str], *, isolated: bool) -> Draw:
        """Draw these by decoding."""

        def draw(staging: Staging) -> Drawn:
            work.task.enter(Phase.WAIT if isolated else Phase.DECODE)
            rendered = picture.render(staging, work.site.targets(work.name), self.stage, presets)
            if not work.task.keep():
                raise GivenUp
            self.harmless(work)
            facts = sources.Facts(
                decoder=rendered.decoder,
                format=rendered.format,
                width=rendered.width,
                height=rendered.height,
                notes=",".join(rendered.notes),
            )
            return Drawn(rendered.outputs, facts, rendered.notes, rendered.record)

        return draw

    def make(self, work: Work, wanted: Mapping[str, str], draw: Draw, *, result: Result = Result.DONE) -> Finding:
        """Make `wanted` (preset, or ANALYSIS → plan as JSON). Raises SourceError, GivenUp."""
        site, row = work.site, work.row
        targets = site.targets(work.name)
        former = renditions.of(self._index.read(), row.id) if row else []
        claim = self._claims.take(site, work.folder, targets.values())
        if claim is None:  # by a source that is in work: when that has ended, the index reports whose the name is
            return Finding(Outcome(Result.CHANGED, look=work.at))
        work.claim = claim
        try:
            check_names(self._index, site, work.folder, targets.values(), row.id if row else 0)
            finding = self._publish(work, former, wanted, draw, result)
        except BaseException:
            claim.release()
            raise
        if finding.change is None:
            claim.release()
        return finding

    def _publish(
        self, work: Work, former: list[Made], wanted: Mapping[str, str], draw: Draw, result: Result
    ) -> Finding:
        site = work.site
        with output.opened(site) as output_fd:
            with staging_for(site, output_fd, work.folder, fsync=self._settings.fsync) as staging:
                drawn = draw(staging)
                if (version := _still(work)) is None:
                    return Finding(Outcome(Result.CHANGED, look=source.version_of(work.fd), stirs=True))
                work.version = version
                storing = time.monotonic()
                made = published(work, version, wanted, drawn, staging)
                epoch = self._epoch()  # not before: one that closes meanwhile was synced without these names
            new = {(m.area, m.name) for m in made if m.note != "kept"}
            stale = [m for m in former if _is_stale(m, work, version, wanted)]
            files.remove(site, output_fd, work.folder, [m for m in stale if (m.area, m.name) not in new])
            self.stage("store", time.monotonic() - storing)
        gone = frozenset(m.preset for m in stale)
        kind = changes.Ordered if site.ordered else changes.Done
        change = kind(site, work.job.path, version, made, gone, drawn.facts, epoch, drawn.record)
        outcome = Outcome(result, made, version.size, notes=drawn.notes, record=drawn.record)
        return Finding(outcome, change)


def _still(work: Work) -> Version | None:
    """Its version after drawing; None where it has other bytes now. A copy that sets the time of its original after it
    has closed the file changes nothing that was drawn. Raises GivenUp where its root hangs meanwhile."""
    work.task.enter(Phase.LOOK)
    with faults.during(Operation.READ, "it cannot be read"):
        version = source.still(work.fd, work.at, work.task.step)
    if not work.task.keep():
        raise GivenUp
    return version


def _is_stale(made: Made, work: Work, version: Version, wanted: Mapping[str, str]) -> bool:
    """What is made anew, or no longer wanted. What was ordered stays as long as the source has the same bytes."""
    site, row = work.site, work.row
    if made.preset in {site.key(preset) for preset in wanted}:
        return True
    if site.ordered or made.preset in site.signatures:
        return False
    return not (made.ordered and row is not None and row.version.hash == version.hash)


def parts(site: Site, wanted: Mapping[str, str]) -> tuple[imaging.Part, ...]:
    """What to render by which plan; a plan of the index that cannot be read any more is replaced by today's."""
    return pictures.parts({preset: _plan_of(spec, site) for preset, spec in wanted.items()}) or ((site.plan, ()),)


def _plan_of(spec: str, site: Site) -> Plan:
    if spec == site.plan_spec:
        return site.plan
    try:
        return Plan.from_json(spec)
    except (ValueError, TypeError, KeyError):
        return site.plan


def published(
    work: Work, version: Version, wanted: Mapping[str, str], drawn: Drawn, staging: Staging
) -> tuple[Made, ...]:
    """Give the temporary files their names."""
    site = work.site
    targets = site.targets(work.name)
    written = staging.publish(site.times(version))
    for what in staging.refused - site.habits.refused:
        site.habits.refused.add(what)
        log.warning("output_refuses", watch=site.name, what=what, next="renditions are made without")
    made = []
    for drew in drawn.outputs:
        target = targets[drew.preset]
        size, mtime = written.get(drew.preset, (0, 0))
        made.append(
            Made(
                preset=site.key(drew.preset),
                signature=site.signatures[drew.preset],
                plan=wanted[drew.preset],
                area=target.area,
                name=target.name,
                width=drew.width,
                height=drew.height,
                bytes=size,
                mtime_ns=mtime,
                present=True,
                note=drew.note,
                ordered=site.ordered,
            )
        )
    return tuple(made)


def staging_for(site: Site, output_fd: int, folder: bytes, *, fsync: bool) -> Staging:
    return Staging(output_fd, folder, mode=site.mode, dir_mode=site.dir_mode, fsync=fsync)
