"""The second step of a job: what was ordered of a source that is as its watch wants it.

It never decides about the source itself: what fails here fails the item of the order, and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import xxhash

from hotfolder import imaging
from hotfolder.errors import MissingExtra, Reason, SourceError
from hotfolder.keeping import renditions, sources
from hotfolder.keeping.database import Database
from hotfolder.keeping.renditions import Made
from hotfolder.keeping.sources import Row
from hotfolder.model import Outcome, Result, Version
from hotfolder.presets import ANALYSIS
from hotfolder.working import following, looking, making, ordered
from hotfolder.working.desk import Desk, Entry
from hotfolder.working.isolation import Asked, Isolation
from hotfolder.working.making import Finding, Maker, Subject
from hotfolder.working.memory import Held, Reservation
from hotfolder.working.ordered import Spec
from hotfolder.working.oversight import Phase
from hotfolder.working.settings import Settings
from hotfolder.working.site import Site
from hotfolder.working.suspects import Suspects


class Book(Protocol):
    """Who knows what is ordered."""

    def specs(self, watch: str, path: bytes) -> list[Spec]:
        """What is ordered of a source at the moment."""

    def fail(self, watch: str, path: bytes, spec: Spec, error: SourceError) -> None:
        """This cannot be made of it."""


class Ordering:
    """One instance serves all workers."""

    def __init__(
        self, index: Database, desk: Desk, maker: Maker, isolation: Isolation, suspects: Suspects, memory: Reservation,
        stage: Callable[[str, float], None], book: Book, settings: Settings,
    ) -> None:  # fmt: skip
        self._index = index
        self._desk = desk
        self._maker = maker
        self._isolation = isolation
        self._suspects = suspects
        self._memory = memory
        self._stage = stage
        self._book = book
        self._settings = settings

    def make(self, entry: Entry, row: Row, version: Version, fd: int) -> Finding | None:
        """Make what is missing of the first order that misses anything. None where nothing is ordered, or it is there.

        `row` is complete, and of this version. What the watch itself makes and is gone makes the row incomplete: then
        the source waits again.
        """
        for spec in self._book.specs(entry.site.name, entry.job.path):
            try:
                if found := self._make(entry, row, version, fd, spec):
                    return found
            except MissingExtra as error:
                self._book.fail(entry.site.name, entry.job.path, spec, SourceError(Reason.UNSUPPORTED, str(error)))
            except SourceError as error:
                if error.reason.may_pass:
                    return Finding(Outcome(Result.RETRIED, reason=error.reason, message=error.message))
                self._book.fail(entry.site.name, entry.job.path, spec, error)
        return None

    def _make(self, entry: Entry, row: Row, version: Version, fd: int, spec: Spec) -> Finding | None:
        site = ordered.site_of(entry.site, spec)
        made = {each.preset: each for each in renditions.of(self._index.read(), row.id)}
        if lost := self._lost(entry, spec, made):
            return Finding(
                Outcome(Result.CHANGED), lambda c: renditions.miss(c, row.id, [each.preset for each in lost])
            )
        wanted = {}
        for preset, signature in site.signatures.items():
            former = made.get(site.key(preset))
            if former is None or not former.present or former.signature != signature:
                wanted[preset] = site.plan_spec
        if site.analyze is not None and not sources.is_analyzed(self._index.read(), row.id, site.analyze.signature):
            wanted[ANALYSIS] = site.plan_spec
        if not wanted:
            return None
        entry.task.enter(Phase.WAIT)
        making.check_output(site, self._settings.min_free)
        return self._render(entry, site, row, version, fd, wanted)

    def _lost(self, entry: Entry, spec: Spec, made: dict[str, Made]) -> list[Made]:
        """Renditions of this order that the index has and the output has not: an order means files, not rows."""
        keys = {each.key for each in ordered.wanted(entry.site, spec)}
        known = [each for each in made.values() if each.preset in keys and each.present]
        if not known:
            return []
        folder = entry.job.path.rpartition(b"/")[0]
        with making.output_root(entry.site) as output_fd:
            return [each for each in known if not following.is_as_made(output_fd, folder, each)]

    def _render(
        self, entry: Entry, site: Site, row: Row, version: Version, fd: int, wanted: dict[str, str]
    ) -> Finding:  # fmt: skip
        """As the processor does for the watch's own: read, reserve, render, publish."""
        need = version.size
        while True:
            with self._memory.hold(need) as held:
                found = self._read(entry, site, row, version, fd, wanted, held)
            if isinstance(found, Finding):
                return found
            need = found

    def _read(
        self, entry: Entry, site: Site, row: Row, version: Version, fd: int, wanted: dict[str, str], held: Held
    ) -> Finding | int:
        """The finding, or how many bytes of memory it takes where they are not free; nothing is kept meanwhile."""
        task = entry.task
        task.enter(Phase.LOOK)
        reading = time.monotonic()
        data = imaging.read_all(fd, version.size, task.step)
        hashed = version.hashed(xxhash.xxh3_128_digest(data))
        if hashed.hash != row.version.hash or not looking.version_of(fd).same_moment(version):
            return Finding(Outcome(Result.CHANGED, look=looking.version_of(fd), stirs=True))
        self._stage("read", time.monotonic() - reading)
        task.enter(Phase.WAIT)
        subject = Subject(site, entry.job, task, entry.slot, row, hashed, fd)
        suspect = (site.id, entry.job.path) in self._suspects
        isolated = self._isolation.applies(data, subject.name, suspect=suspect)
        if isolated:
            self._desk.harmless(subject.slot)
        else:
            task.enter(Phase.DECODE)
        asked = Asked(fd, data, subject.name, making.parts(site, wanted), self._settings.limits, task.stop)
        with self._isolation.opened(asked, isolated=isolated) as work:
            total = version.size + work.need
            if total > held.amount and not held.try_grow(total):
                return total
            draw = self._maker.rendering(subject, work, wanted, isolated=isolated)
            return self._maker.make(subject, wanted, draw)
