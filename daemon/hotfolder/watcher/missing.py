"""What is in the index and was not found: gone, or on a volume that is not there now.

Nothing is gone because it could not be listed, or because another file system is mounted there now: only what is
missing on the volume that its row names (see pipeline/judge.py) is marked. All else is away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

from hotfolder import paths
from hotfolder.index import deletions, folders, sources
from hotfolder.index.deletions import Mark
from hotfolder.index.sources import Row
from hotfolder.model import Version
from hotfolder.pipeline import judge
from hotfolder.pipeline.judge import Verdict
from hotfolder.watcher.findings import Findings
from hotfolder.watcher.ledger import Ledger
from hotfolder.watcher.options import Options
from hotfolder.watcher.walk import Folder
from hotfolder.watches.site import Site


class MovedOn:
    """Where sources of one volume are found on another, it has moved: at least half of them as they were."""

    def __init__(self) -> None:
        self._met: Counter[str] = Counter()
        self._missed: dict[tuple[str, str], list[int]] = {}

    def met(self, volume: str) -> None:
        self._met[volume] += 1

    def missed(self, volume: str, where: str, source_id: int) -> None:
        self._missed.setdefault((volume, where), []).append(source_id)

    def found(self) -> Iterator[tuple[str, list[int]]]:
        """To which volume what was missed belongs from now on: the next walk decides what is gone there."""
        for (volume, where), ids in self._missed.items():
            if self._met[volume] >= len(ids):
                yield where, ids


class Missing:
    """Of one reconcile, which begins at the folder `start`.

    `trusted`: the root is what it was before. Otherwise nothing follows from what is missing.
    """

    def __init__(
        self, site: Site, ledger: Ledger, options: Options, findings: Findings, start: bytes, *, trusted: bool
    ) -> None:
        self._site = site
        self._ledger = ledger
        self._options = options
        self._findings = findings
        self._start = start
        self._trusted = trusted
        self._moved_on = MovedOn()

    def mark_start(self) -> None:
        """The folder that was to be walked is not there: mark what is known of it, or of its parent that went."""
        gone_from = self._start
        look = judge.look_at(self._site.root, gone_from, folder=True)
        if look.verdict is not Verdict.GONE or not self._trusted:
            return
        while above := paths.parent(gone_from):
            if judge.look_at(self._site.root, above, folder=True).verdict is not Verdict.GONE:
                break
            gone_from = above
        folder_id = folders.find(self._ledger.read(), self._site.id, gone_from)
        if folder_id is None:
            return
        below = sources.below(self._ledger.read(), folder_id)
        gone = [source_id for source_id, lies_on in below if judge.belongs(lies_on, look.volume)]
        # Many folders may have gone with one parent: that is no second opinion.
        mark = Mark.HINTED if self._options.mark is Mark.ONCE_MORE else self._options.mark
        self._mark(gone, mark)

    def mark(self, folder: Folder, folder_id: int, files: list[sources.Columns]) -> None:
        """Mark these rows, and those below sub-folders that are not entered.

        What the rules leave out goes wherever it lies.
        """
        if not self._trusted:
            return
        gone, absent = self._below(folder, folder_id)
        for source_id, lies_on in [(row[sources.ID], sources.lies_on(row)) for row in files] + absent:
            if judge.belongs(lies_on, folder.volume):
                gone.append(source_id)
            elif self._is_given_up(lies_on, folder.volume):
                gone.append(source_id)
                self._ledger.add(partial(sources.rehome, source_ids=[source_id], volume=folder.volume))
            else:
                self._findings.away[folder.path] += 1
                self._moved_on.missed(lies_on, folder.volume, source_id)
        if gone:
            self._mark(gone, self._options.mark)

    def _below(self, folder: Folder, folder_id: int) -> tuple[list[int], list[tuple[int, str]]]:
        """Of the sub-folders that are not entered: the sources of those that the rules leave out, and of all others."""
        connection = self._ledger.read()
        entered, listed = set(folder.entered), set(folder.listed)
        left_out: list[int] = []
        absent: list[tuple[int, str]] = []
        for child in folders.children(connection, self._site.id, folder_id):
            if child.name in entered:
                continue
            below = sources.below(connection, child.id)
            if child.name in listed:
                left_out += [source_id for source_id, _ in below]
            else:
                absent += below
        return left_out, absent

    def _mark(self, gone: list[int], mark: Mark) -> None:
        self._findings.vanished += len(gone)
        self._ledger.add(lambda c: deletions.mark_gone(c, gone, mark))

    def _is_given_up(self, lies_on: str, volume: str) -> bool:
        """Whether the user confirmed that what is away is gone.

        For a folder they name it. For the whole root it holds once the root is another.
        """
        return self._options.confirm and (bool(self._start) or not judge.same_root(lies_on, volume))

    def met_elsewhere(self, row: Row, found: Version) -> None:
        """It was on another volume, by its row: a disk that was copied or mounted in another way, or a new root."""
        if (row.version.size, row.version.mtime_ns) == (found.size, found.mtime_ns):
            self._moved_on.met(row.version.volume)
        if row.version.same_moment(found):
            self._ledger.add(partial(sources.rehome, source_ids=[row.id], volume=found.volume))

    def rehome(self) -> None:
        """After a whole walk: what was missed on a volume that has moved belongs to the one to which it moved."""
        for volume, ids in self._moved_on.found():
            self._ledger.add(partial(sources.rehome, source_ids=ids, volume=volume))
