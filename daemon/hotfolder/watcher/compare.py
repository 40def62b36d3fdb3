"""One pass over one folder: its names and its rows side by side. New and changed sources become rows that wait."""

from __future__ import annotations

import os
import sqlite3
import time

from hotfolder.index import backlog, deletions, folders, renditions, sources
from hotfolder.index.sources import Row
from hotfolder.model import State, Version
from hotfolder.pipeline import files, output
from hotfolder.watcher.findings import Findings
from hotfolder.watcher.ledger import Ledger
from hotfolder.watcher.missing import Missing
from hotfolder.watcher.walk import Folder, Surroundings
from hotfolder.watches.site import Site

STEP = 1000
"""Files after which a walk reports that it goes on, and looks whether it shall end."""
EVENT_SECONDS = 2.0
"""What changed less than this ago may still be announced."""
YOUNG_SECONDS = 60.0
"""What changed less than this ago, by the clock, may still be written: it has to settle."""


class Comparison:
    """Of one reconcile. `verify`: the renditions are looked for, too."""

    def __init__(
        self,
        site: Site,
        ledger: Ledger,
        around: Surroundings,
        missing: Missing,
        findings: Findings,
        *,
        verify: bool,
    ) -> None:
        self._site = site
        self._ledger = ledger
        self._around = around
        self._missing = missing
        self._findings = findings
        self._verify = verify

    def compare(self, folder: Folder, folder_id: int | None) -> list[sources.Columns]:
        """Returns the rows without a file.

        The inner loop of every walk: whatever is unchanged costs a stat and one comparison.
        """
        rows = self._ledger.rows(folder_id)
        row = next(rows, None)
        missing: list[sources.Columns] = []
        fd, volume, polled = folder.fd, folder.volume, folder.ground.polled
        want, unchanged, stat, findings = self._site.want, sources.unchanged, os.stat, self._findings
        for number, name in enumerate(folder.files):
            if number % STEP == STEP - 1 and not self._around.goes_on():
                findings.stopped = True
                return []
            while row is not None and row[sources.NAME] < name:
                missing.append(row)
                row = next(rows, None)
            mine = None
            if row is not None and row[sources.NAME] == name:
                mine, row = row, next(rows, None)
            racy = polled and mine is not None and bool(mine[sources.RACY])
            try:
                found = stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if mine is not None and not racy and not self._verify and unchanged(mine, found, want, volume):
                findings.sources += 1
            else:
                known = None if mine is None else sources.row_of(mine)
                self._judge(folder, name, Version.of(found, volume), known, racy=racy)
        while row is not None:
            missing.append(row)
            row = next(rows, None)
        return missing

    def _judge(self, folder: Folder, name: bytes, found: Version, row: Row | None, *, racy: bool) -> None:
        """`racy`: it is read once more, whatever its times are."""
        findings = self._findings
        findings.sources += 1
        if row is not None and row.version.volume != found.volume:
            self._missing.met_elsewhere(row, found)
        if row is None:
            findings.new += 1
        elif row.state is State.PENDING:
            findings.changed += 1
            self._is_back(row)
            return
        elif not racy and row.version.same_moment(found) and self._is_current(folder.path, row):
            self._is_back(row)
            return
        else:
            findings.changed += 1
        findings.to_read += found.size
        at = folder.path
        path = at + b"/" + name if at else name
        now = time.time()
        if abs(now - found.ctime_ns / 1e9) > EVENT_SECONDS and not racy and not self._around.knows(path):
            findings.missed[folder.ground.mount] += 1
        young = any(abs(now - ns / 1e9) < YOUNG_SECONDS for ns in (found.mtime_ns, found.ctime_ns))
        self._ledger.add(lambda c: self._wait(c, at, name, young))

    def _is_back(self, row: Row) -> None:
        if row.gone:
            self._ledger.add(lambda c: deletions.unmark_gone(c, row.id))

    def _is_current(self, folder: bytes, row: Row) -> bool:
        if row.state is not State.DONE:
            return True  # in quarantine or skipped at this very version
        if row.made != self._site.want:
            return False
        return not self._verify or self._renditions_are_there(folder, row)

    def _renditions_are_there(self, folder: bytes, row: Row) -> bool:
        made = renditions.of(self._ledger.read(), row.id)
        with output.opened(self._site) as output_fd:
            lost = [each.preset for each in made if not files.is_as_made(output_fd, folder, each)]
        if lost:
            self._ledger.add(lambda c: renditions.miss(c, row.id, lost))
        return not lost

    def _wait(self, connection: sqlite3.Connection, folder: bytes, name: bytes, young: bool) -> None:
        folder_id = folders.ensure(connection, self._site.id, folder, folds=self._site.folds)
        backlog.wait(connection, self._site.id, folder_id, name, time.time(), young=young)
