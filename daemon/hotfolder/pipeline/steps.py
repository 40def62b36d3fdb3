"""The way of one image, as lists of steps that are read from top to bottom.

A job only says "look here": whether the source is new, changed, renamed, touched or gone is decided from the file and
its row. Nothing is decided here about when a job comes; that is for the watcher and the queue.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import xxhash

from hotfolder import faults, imaging
from hotfolder.errors import Reason, SourceError
from hotfolder.faults import Operation
from hotfolder.index import analyses, deletions, renditions, sources
from hotfolder.index.database import Database
from hotfolder.index.renditions import Made
from hotfolder.model import Result, State, Version
from hotfolder.outcome import Outcome
from hotfolder.pipeline import changes, copies, files, judge, output, publish, source
from hotfolder.pipeline.moves import Moves
from hotfolder.pipeline.publish import Drawn, Publisher
from hotfolder.pipeline.retries import Retries
from hotfolder.pipeline.source import Writers
from hotfolder.pipeline.work import Finding, Work
from hotfolder.pool.memory import MoreMemory
from hotfolder.pool.oversight import Phase
from hotfolder.presets import ANALYSIS
from hotfolder.renderers.picture import Picture, Request
from hotfolder.renderers.renderer import Renderer
from hotfolder.store import atomic
from hotfolder.watches.settings import Settings

Step = Callable[[Work], Finding | None]
"""None where the next step has to answer. Raises MissingExtra, SourceError and OSError for what is wrong with the
source, its root or its output; FileNotFoundError where no source is there."""

UNCHANGED = Finding(Outcome(Result.REUSED))
"""The source is as its row states, and nothing had to be read."""


def run(work: Work, steps: Sequence[Step]) -> Finding:
    """The first step that has an answer ends the job; the last one always has one."""
    for step in steps:
        if (finding := step(work)) is not None:
            return finding
    raise AssertionError("the last step has no answer")


class Steps:
    """One instance serves all workers."""

    def __init__(
        self,
        index: Database,
        settings: Settings,
        retries: Retries,
        renderer: Renderer,
        publisher: Publisher,
        moves: Moves,
    ) -> None:
        self._index = index
        self._settings = settings
        self._retries = retries
        self._renderer = renderer
        self._publisher = publisher
        self._moves = moves
        self.watched: tuple[Step, ...] = (
            self.known,
            self.open_source,
            self.settle,
            self.unchanged,
            self.within_limits,
            self.in_memory(
                self.read,
                self.renamed,
                self.same_bytes,
                self.filled,
                self.writable,
                self.copied,
                self.render,
            ),
        )
        """What the watch wants of a source."""
        self.ordered: tuple[Step, ...] = (
            self.writable,
            self.in_memory(self.read, self.as_known, self.render),
        )
        """What an order wants beyond it, of a source that is open and as its watch wants it."""

    def known(self, work: Work) -> None:
        """Looks up the row. Never answers."""
        work.row = sources.find(self._index.read(), work.site.id, work.job.path)

    def open_source(self, work: Work) -> None:
        """Opens the source beneath its root. Never answers."""
        if work.job.unwanted:  # by the rules it is no source any more, whether it is there or not
            work.job = replace(work.job, deleted=True)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        with faults.during(Operation.REACH, f"the root {work.site.root} cannot be opened"):
            root_fd = work.keep(atomic.open_root(work.site.root))
        try:
            work.fd = work.keep(source.open_regular(root_fd, work.job.path))
        except PermissionError as error:
            work.version = Version.of(atomic.lstat_beneath(root_fd, work.job.path))
            text = "the daemon's user may not read it: check owner and mode"
            raise SourceError(Reason.NO_PERMISSION, text) from error
        work.version = source.version_of(work.fd, judge.volume(root_fd, work.fd))

    def settle(self, work: Work) -> Finding | None:
        """Answers while the source may not be whole: it is looked at again after the quiet time."""
        job, version = work.job, work.at
        writers = source.writers(work.fd)
        if source.is_whole(job, version, writers):
            return None
        moves = job.look is not None and not job.look.same_moment(version)
        return Finding(Outcome(Result.CHANGED, look=version, stirs=moves or writers is Writers.SOME))

    def unchanged(self, work: Work) -> Finding | None:
        """Answers where nothing happened to the file since its row was settled."""
        row = work.row
        if row is None or work.job.closed or not row.version.same_moment(work.at) or not work.is_settled:
            return None
        if row.gone:
            return Finding(Outcome(Result.REUSED), lambda c: deletions.unmark_gone(c, row.id))
        return UNCHANGED

    def within_limits(self, work: Work) -> None:
        """Refuses a source that is too large to be read. Never answers."""
        work.task.enter(Phase.WAIT)
        size, most = work.at.size, self._settings.limits.max_bytes
        if size > most:
            raise SourceError(Reason.TOO_MANY_BYTES, f"it has {size} bytes, more than limits.max_bytes = {most}")

    def in_memory(self, *steps: Step) -> Step:
        """These steps with memory for the source's bytes. Where one needs more than is free, all is let go of, waited
        for in line, and done again; nothing is kept meanwhile."""

        def reserved(work: Work) -> Finding:
            need = work.at.size
            while True:
                with self._renderer.reserve(need) as work.held:
                    try:
                        return run(work, steps)
                    except MoreMemory as more:
                        need = more.amount
                    finally:
                        work.data = b""  # the job may wait for its commit for long

        return reserved

    def read(self, work: Work) -> Finding | None:
        """Reads all bytes. Answers where they change meanwhile."""
        version = work.at
        work.task.enter(Phase.LOOK)
        reading, moment = time.monotonic(), time.time()
        work.data = imaging.read_all(work.fd, version.size, work.task.step)
        work.version = version.hashed(xxhash.xxh3_128_digest(work.data)).read_at(moment)
        if len(work.data) != version.size or not source.version_of(work.fd).same_moment(version):
            return Finding(Outcome(Result.CHANGED, look=source.version_of(work.fd), stirs=True))
        self._publisher.stage("read", time.monotonic() - reading)
        work.task.enter(Phase.WAIT)
        return None

    def renamed(self, work: Work) -> Finding | None:
        """Answers where a source that is gone had the same bytes: its renditions have been renamed."""
        if not work.is_new:
            return None
        moved = self._moves.follow(work.site, work.job, work.at)
        return None if moved is None else Finding(moved)

    def same_bytes(self, work: Work) -> Finding | None:
        """Answers where the file was touched or copied over itself: what was made of these bytes serves on."""
        row, site, version = work.row, work.site, work.at
        if row is None or work.is_new or row.version.hash != version.hash:
            return None
        if row.state in (State.DONE, State.FAILED, State.SKIPPED) and row.made == site.want:
            return Finding(Outcome(Result.REUSED), lambda c: sources.rekey(c, row.id, version))
        made = renditions.of(self._index.read(), row.id)
        if self._wanted(work):
            return None
        stale = [each for each in made if each.preset not in site.signatures and not each.ordered]
        if (error := files.clear(site, work.folder, stale)) and error.reason.innocent:
            raise error  # one that is denied alone stays: nobody wants it, and the image is well
        return Finding(Outcome(Result.REUSED), changes.Kept(site, row.id, version, tuple(m.preset for m in stale)))

    def as_known(self, work: Work) -> Finding | None:
        """Answers where these are not the bytes that the row speaks of."""
        if work.row is not None and work.row.version.hash == work.at.hash:
            return None
        return Finding(Outcome(Result.CHANGED, look=source.version_of(work.fd), stirs=True))

    def filled(self, work: Work) -> None:
        """Refuses a young file whose end is still empty. Never answers."""
        if self._may_grow(work) and imaging.is_hollow(work.data):
            raise SourceError(Reason.TRUNCATED, "its end is still empty: it is being filled")

    def writable(self, work: Work) -> None:
        """Refuses where the output cannot be written, before anything is decoded for it. Never answers."""
        work.task.enter(Phase.WAIT)
        output.check(work.site, self._settings.min_free)

    def copied(self, work: Work) -> Finding | None:
        """Answers where another source, which stays, has the same bytes: copies of its renditions serve."""
        if not work.is_new or (copy := copies.find(self._index, work)) is None:
            return None
        wanted, draw = copy
        try:
            return self._publisher.make(work, wanted, draw, result=Result.REUSED)
        except copies.Changed:
            return None

    def render(self, work: Work) -> Finding:
        """Decodes the source and makes what is missing."""
        wanted = self._wanted(work)
        isolated = self._renderer.isolates((work.site.id, work.job.path), work.data, work.name)
        if isolated:
            self._publisher.harmless(work)
        else:
            work.task.enter(Phase.DECODE)
        limits = self._settings.limits
        # A young file that ends too early may still be growing: it is not shown as it is before its tries are used.
        limits = replace(limits, lenient=limits.lenient and not (self._may_grow(work) and not work.site.ordered))
        request = Request(work.fd, work.data, work.name, publish.parts(work.site, wanted), limits, work.task.stop)
        with self._renderer.opened(request, isolated=isolated) as picture:
            work.memory.grow(work.at.size + picture.need)
            return self._make(work, picture, wanted, isolated=isolated)

    # -- what steps share ------------------------------------------------------------------------------------------

    def _make(self, work: Work, picture: Picture, wanted: dict[str, str], *, isolated: bool) -> Finding:
        """Make what is wanted; where the site adopts, what lies there already is left as it is."""
        adopts = work.site.adopts.is_set() and work.is_new
        found = copies.adopted(work, picture.sizes) if adopts else {}
        missing = {preset: plan for preset, plan in wanted.items() if preset not in found}
        if missing:
            draw = self._publisher.drawing(work, picture, missing, isolated=isolated)
        else:
            draw = lambda staging: Drawn((), picture.facts)  # noqa: E731 - one of two ways to draw
        finding = self._publisher.make(work, missing, draw, result=Result.DONE if missing else Result.REUSED)
        if found and isinstance(finding.change, changes.Done):
            finding = replace(finding, change=replace(finding.change, made=finding.change.made + tuple(found.values())))
        return finding

    def _may_grow(self, work: Work) -> bool:
        return work.is_young and self._retries.waits_for_more(work.row)

    def _wanted(self, work: Work) -> dict[str, str]:
        """What has to be made: preset, or ANALYSIS → the plan to make it by."""
        if work.wanted is None:
            work.wanted = self._missing(work)
        return work.wanted

    def _missing(self, work: Work) -> dict[str, str]:
        site, row = work.site, work.row
        same = row is not None and row.version.hash == work.at.hash
        made = self._made(work) if same else {}
        wanted = {}
        for preset, signature in site.signatures.items():
            former = made.get(preset)
            if former is None or not (former.signature == signature or former.ordered):
                wanted[preset] = site.plan_spec
            elif not former.present:
                wanted[preset] = former.plan
        if site.analyze is not None:
            signature = site.analyze.signature
            known = row is not None and same and analyses.exists(self._index.read(), row.id, signature)
            wanted |= {} if known else {ANALYSIS: site.plan_spec}
        return wanted

    def _made(self, work: Work) -> dict[str, Made]:
        """The renditions of these bytes. Those that were missed are looked for: their output may have moved."""
        row = work.row
        assert row is not None
        made = renditions.of(self._index.read(), row.id)
        if any(not each.present for each in made):
            with output.opened(work.site) as output_fd:
                there = [m.preset for m in made if not m.present and files.is_as_made(output_fd, work.folder, m)]
            self._index.write(lambda c: renditions.found(c, row.id, there))
            made = [replace(each, present=each.present or each.preset in there) for each in made]
        return {each.preset: each for each in made}
