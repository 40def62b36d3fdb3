"""What was ordered of a source: the same steps with another want, once it is as its watch wants it.

Nothing is decided about the source itself: what fails here fails the item of the order, and nothing else.
"""

from __future__ import annotations

from typing import Protocol

from hotfolder.errors import MissingExtra, Reason, SourceError
from hotfolder.index import analyses, renditions
from hotfolder.index.database import Database
from hotfolder.index.renditions import Made
from hotfolder.index.sources import Row
from hotfolder.model import Result, State
from hotfolder.outcome import Outcome
from hotfolder.pipeline import files, output, steps
from hotfolder.pipeline.steps import Steps
from hotfolder.pipeline.work import Finding, Work
from hotfolder.presets import ANALYSIS
from hotfolder.watches import wants
from hotfolder.watches.site import Site
from hotfolder.watches.wants import Spec


class Book(Protocol):
    """Who knows what is ordered."""

    def specs(self, watch: str, path: bytes) -> list[Spec]:
        """What is ordered of a source at the moment."""

    def fail(self, watch: str, path: bytes, spec: Spec, error: SourceError) -> None:
        """This cannot be made of it."""


class Making:
    """One instance serves all workers."""

    def __init__(self, index: Database, steps: Steps, book: Book) -> None:
        self._index = index
        self._steps = steps
        self._book = book

    def make(self, work: Work) -> Finding | None:
        """Make what is missing of the first order that misses anything. None where nothing is ordered, or it is there.

        The row is complete, and of the version that is open. What the watch itself makes and is gone makes the row
        incomplete: then the source waits again.
        """
        if work.row is None or work.row.state is not State.DONE:
            return None
        watch, path = work.job.watch, work.job.path
        for spec in self._book.specs(watch, path):
            try:
                if found := self._make(work, spec):
                    return found
            except MissingExtra as error:
                self._book.fail(watch, path, spec, SourceError(Reason.UNSUPPORTED, str(error)))
            except SourceError as error:
                if error.reason.may_pass:
                    return Finding(Outcome(Result.RETRIED, reason=error.reason, message=error.message))
                self._book.fail(watch, path, spec, error)
        return None

    def _make(self, work: Work, spec: Spec) -> Finding | None:
        assert work.row is not None
        row, site = work.row, wants.site_of(work.site, spec)
        made = {each.preset: each for each in renditions.of(self._index.read(), row.id)}
        if lost := self._lost(work, spec, made):
            presets = [each.preset for each in lost]
            return Finding(Outcome(Result.CHANGED), lambda c: renditions.miss(c, row.id, presets))
        wanted = self._wanted(site, row, made)
        if not wanted:
            return None
        watched, work.site, work.wanted = work.site, site, wanted
        try:
            return steps.run(work, self._steps.ordered)
        finally:
            work.site = watched

    def _wanted(self, site: Site, row: Row, made: dict[str, Made]) -> dict[str, str]:
        """What is missing: preset, or ANALYSIS → the plan to make it by."""
        wanted = {}
        for preset, signature in site.signatures.items():
            former = made.get(site.key(preset))
            if former is None or not former.present or former.signature != signature:
                wanted[preset] = site.plan_spec
        if site.analyze is not None and not analyses.exists(self._index.read(), row.id, site.analyze.signature):
            wanted[ANALYSIS] = site.plan_spec
        return wanted

    def _lost(self, work: Work, spec: Spec, made: dict[str, Made]) -> list[Made]:
        """Renditions of this order that the index has and the output has not: an order means files, not rows."""
        keys = {each.key for each in wants.wanted(work.site, spec)}
        known = [each for each in made.values() if each.preset in keys and each.present]
        if not known:
            return []
        with output.opened(work.site) as output_fd:
            return [each for each in known if not files.is_as_made(output_fd, work.folder, each)]
