"""What images have cost lately, noted in the index now and then, so that a dry run can say what more would cost."""

from __future__ import annotations

from hotfolder.index import history
from hotfolder.index.database import Database
from hotfolder.pipeline.reporter import Reporter

NOTED_IMAGES = 100
"""After so many images their cost is noted; an orderly end notes the rest."""


class Pace:
    """Part of the beat."""

    def __init__(self, reporter: Reporter, index: Database) -> None:
        self._reporter = reporter
        self._index = index
        self._noted = reporter.counts

    def check(self) -> None:
        """Note the cost, where enough was made since the last time."""
        if self._reporter.counts.since(self._noted).made >= NOTED_IMAGES:
            self.note()

    def note(self) -> None:
        """What was made since the last time, and the seconds that it took."""
        counts = self._reporter.counts
        since = counts.since(self._noted)
        if since.made:
            self._noted = counts
            self._index.write(lambda c: history.note(c, since.seconds, since.bytes_in))
