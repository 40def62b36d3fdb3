"""Reconcile: walk a root folder by folder and compare each with its rows. It decides nothing but what waits.

New and changed sources become rows that wait; what is not found is marked, and only sweep.py acts on the marks. Nothing
is ever read as deleted because it could not be listed, or because another file system is mounted there now: only what
is missing on the volume that its row names (see pipeline/judge.py) is marked; the rest is away.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from hotfolder import faults, paths
from hotfolder.errors import Owner
from hotfolder.faults import Operation as Touching
from hotfolder.index import backlog, deletions, folders, renditions, sources, watches
from hotfolder.index.database import Database
from hotfolder.index.deletions import Mark
from hotfolder.index.sources import Row
from hotfolder.model import State, Version
from hotfolder.pipeline import files, judge, output
from hotfolder.pipeline.judge import Verdict
from hotfolder.store import atomic
from hotfolder.telemetry import logs
from hotfolder.watcher import folder_moves
from hotfolder.watcher.rules import FolderRules, Rules
from hotfolder.watches.grounds import Grounds, RootAway
from hotfolder.watches.site import Site

PAGE = 1000
"""Rows of one folder that are read at a time: an open cursor over a walk would keep the WAL from being emptied."""
BATCH = 500
STEP = 1000
"""Files after which a walk says that it goes on, and looks whether it shall end."""
EVENT_SECONDS = 2.0
"""What changed less than this ago may still be announced."""
YOUNG_SECONDS = 60.0
"""What changed less than this ago, by the clock, may still be written: it has to settle."""

log = logs.get("watching")
Operation = Callable[[sqlite3.Connection], object]


@dataclass(slots=True)
class Findings:
    """What one reconcile has seen. `complete`: every folder was listed to its end."""

    sources: int = 0
    new: int = 0
    changed: int = 0
    vanished: int = 0
    missed: Counter[bytes] = field(default_factory=Counter)
    """What no event had announced, by the mount that it lies on."""
    to_read: int = 0
    """Bytes of the new and changed sources."""
    complete: bool = True
    unread: set[bytes] = field(default_factory=set)
    """Folders to try again."""
    away: Counter[bytes] = field(default_factory=Counter)
    """Sources that lie on a volume that is not there now, by the folder in which they were missed."""
    stopped: bool = False
    seconds: float = 0.0


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


class Reconcile:
    """One walk. `ensure` is told each folder before it is listed, so that its events are seen from then on."""

    def __init__(
        self, index: Database, site: Site, rules: Rules, *, ensure: Callable[[bytes], None] = lambda folder: None,
        known: Callable[[bytes], bool] = lambda path: False, ground: Callable[[bytes], bytes] = lambda folder: b"",
        step: Callable[[], None] = lambda: None, stop: Callable[[], bool] = lambda: False, verify: bool = False,
        dry: bool = False, confirm: bool = False, mark: Mark = Mark.ONCE_MORE,
        by_polls: Callable[[bytes], bool] = lambda folder: False,
    ) -> None:  # fmt: skip
        self._index = index
        self._site = site
        self._rules = rules
        self._ensure = ensure
        self._known = known
        self._ground = ground
        self._by_polls = by_polls
        self._step = step
        self._stop = stop
        self._verify = verify
        self._dry = dry
        self._confirm = confirm
        self._mark_as = mark
        self._start = b""
        self._moved_on = MovedOn()
        self._operations: list[Operation] = []
        self._pending: Future[None] | None = None
        self._grounds = Grounds(index, site)
        self.findings = Findings()

    def run(self, folder: bytes = b"") -> Findings:
        """Compare `folder` and all below it. Raises RootAway; sqlite3.Error where the index cannot be written."""
        began = time.monotonic()
        try:
            root_fd = atomic.open_root(self._site.root)
        except OSError as error:
            if faults.owner(error.errno, Touching.REACH) is Owner.MACHINE:
                raise  # that says nothing of the root
            raise RootAway(f"{self._site.root}: {os.strerror(error.errno or 0)}") from error
        try:
            accept = self._confirm and not folder
            trusted = self._grounds.same_root(root_fd, remember=not self._dry, accept=accept) or accept
            self._start = folder
            self._walk(root_fd, folder, trusted)
        finally:
            os.close(root_fd)
        if self.findings.complete and not self.findings.stopped:
            for volume, ids in self._moved_on.found():
                self._add(partial(sources.rehome, source_ids=ids, volume=volume))
        self._flush(wait=True)
        if not folder and self.findings.complete and not self.findings.stopped and not self._dry:
            self._index.write(lambda c: watches.reconciled(c, self._site.id, time.time())).result()
        self.findings.seconds = time.monotonic() - began
        return self.findings

    # -- walking ------------------------------------------------------------------------------------------------------

    def _walk(self, root_fd: int, start: bytes, trusted: bool) -> None:
        stack = [(start, trusted)]
        while stack:
            if self._stop():
                self.findings.stopped = True
                return
            folder, trusted = stack.pop()
            self._step()
            try:
                rules = self._rules.folder(folder)
            except OSError as error:
                self._unreadable(folder, error)
                continue
            if rules.refused is not None:
                continue
            self._ensure(folder)
            try:
                fd = atomic.open_folder(root_fd, folder)
            except (FileNotFoundError, NotADirectoryError):
                if folder == start:
                    self._mark_start(folder, trusted)
                continue  # it went meanwhile: its parent's rows, or its own event, say so
            except OSError as error:
                self._unreadable(folder, error)
                continue
            try:
                below = self._compare(root_fd, fd, folder, rules, trusted)
            except OSError as error:
                self._unreadable(folder, error)
                continue
            finally:
                os.close(fd)
            prefix = folder + b"/" if folder else b""
            stack.extend((prefix + name, trusted) for name in reversed(below))

    def _mark_start(self, folder: bytes, trusted: bool) -> None:
        """The folder that was to be walked is not there: what is known of it, or of its parent that went, is marked."""
        look = judge.look_at(self._site.root, folder, folder=True)
        if look.verdict is not Verdict.GONE or not trusted:
            return
        while above := paths.parent(folder):
            if judge.look_at(self._site.root, above, folder=True).verdict is not Verdict.GONE:
                break
            folder = above
        folder_id = folders.find(self._index.read(), self._site.id, folder)
        if folder_id is None:
            return
        below = sources.below(self._index.read(), folder_id)
        gone = [source_id for source_id, lies_on in below if judge.belongs(lies_on, look.volume)]
        self.findings.vanished += len(gone)
        # Many folders may have gone with one parent: that is no second opinion.
        mark = Mark.HINTED if self._mark_as is Mark.ONCE_MORE else self._mark_as
        self._add(lambda c: deletions.mark_gone(c, gone, mark))

    def _unreadable(self, folder: bytes, error: OSError) -> None:
        self.findings.complete = False
        self.findings.unread.add(folder)
        log.warning(
            "folder_unreadable", watch=self._site.name, path=folder or b".", reason=os.strerror(error.errno or 0),
            next="nothing below it counts as deleted; tried again",
        )  # fmt: skip

    def _compare(
        self, root_fd: int, fd: int, folder: bytes, rules: FolderRules, trusted: bool
    ) -> list[bytes]:  # fmt: skip
        """One folder with its rows; gives its sub-folders."""
        volume = judge.volume(root_fd, fd)
        files, below = _listed(fd, rules)
        stat = os.fstat(fd)
        connection = self._index.read()
        folder_id = folders.find(connection, self._site.id, folder)
        if folder_id is None and folder and self._moved_here(folder, volume, stat.st_ino):
            folder_id = folders.find(connection, self._site.id, folder)
        missing = self._compare_files(fd, folder, files, folder_id, volume)
        if (folder_id is None and files) or (folder_id and folders.inode(connection, folder_id) != stat.st_ino):
            self._add(lambda c: self._describe(c, folder, stat.st_ino))
        entered = [name for name in below if self._rules.enters(folder + b"/" + name if folder else name)]
        if trusted and folder_id is not None:
            self._mark(folder, folder_id, volume, missing, set(entered), set(below))
        return entered

    def _moved_here(self, folder: bytes, volume: str, inode: int) -> bool:
        """A folder that is new here may be one that was renamed while nobody looked: the inode says where to look."""
        if self._dry:
            return False
        for former in folders.with_inode(self._index.read(), self._site.id, inode):
            old = folders.path_of(self._index.read(), former)
            self._flush(wait=True)
            if old and folder_moves.move_folder(self._index, self._site, old, folder, volume):
                return True
        return False

    def _describe(self, connection: sqlite3.Connection, folder: bytes, inode: int) -> None:
        folder_id = folders.find(connection, self._site.id, folder)
        if folder_id is not None:
            folders.describe(connection, folder_id, inode)

    def _compare_files(
        self, fd: int, folder: bytes, files: list[bytes], folder_id: int | None, volume: str
    ) -> list[sources.Columns]:  # fmt: skip
        """Names and rows of one folder side by side, both in the order of their bytes; gives the rows without a file.

        The inner loop of every walk: whatever is unchanged costs a stat and one comparison.
        """
        rows = self._rows(folder_id)
        row = next(rows, None)
        missing: list[sources.Columns] = []
        polled = self._by_polls(folder)
        want, unchanged, stat, findings = self._site.want, sources.unchanged, os.stat, self.findings
        for number, name in enumerate(files):
            if number % STEP == STEP - 1:
                self._step()
                if self._stop():
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

    def _rows(self, folder_id: int | None) -> Iterator[sources.Columns]:
        after = b""
        while folder_id is not None:
            page = sources.page(self._index.read(), folder_id, after, PAGE)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1][sources.NAME]

    # -- judging ------------------------------------------------------------------------------------------------------

    def _judge(self, folder: bytes, name: bytes, found: Version, row: Row | None, *, racy: bool) -> None:
        """`racy`: it is read once more, whatever its times say."""
        findings = self.findings
        findings.sources += 1
        if row is not None and row.version.volume != found.volume:
            self._met_elsewhere(row, found)
        if row is None:
            findings.new += 1
        elif row.state is State.PENDING:
            findings.changed += 1
            if row.gone:
                self._add(lambda c: deletions.unmark_gone(c, row.id))
            return
        elif not racy and row.version.same_moment(found) and self._is_current(folder, row):
            if row.gone:
                self._add(lambda c: deletions.unmark_gone(c, row.id))
            return
        else:
            findings.changed += 1
        findings.to_read += found.size
        path = folder + b"/" + name if folder else name
        now = time.time()
        if abs(now - found.ctime_ns / 1e9) > EVENT_SECONDS and not racy and not self._known(path):
            findings.missed[self._ground(folder)] += 1
        young = any(abs(now - ns / 1e9) < YOUNG_SECONDS for ns in (found.mtime_ns, found.ctime_ns))
        self._add(lambda c: self._wait(c, folder, name, young))

    def _is_current(self, folder: bytes, row: Row) -> bool:
        if row.state is not State.DONE:
            return True  # in quarantine or skipped at this very version
        if row.made != self._site.want:
            return False
        return not self._verify or self._renditions_are_there(folder, row)

    def _renditions_are_there(self, folder: bytes, row: Row) -> bool:
        made = renditions.of(self._index.read(), row.id)
        with output.opened(self._site) as output_fd:
            missing = [each.preset for each in made if not files.is_as_made(output_fd, folder, each)]
        if missing and not self._dry:
            self._add(lambda c: renditions.miss(c, row.id, missing))
        return not missing

    def _wait(self, connection: sqlite3.Connection, folder: bytes, name: bytes, young: bool) -> None:
        folder_id = folders.ensure(connection, self._site.id, folder, folds=self._site.folds)
        backlog.wait(connection, self._site.id, folder_id, name, time.time(), young=young)

    def _met_elsewhere(self, row: Row, found: Version) -> None:
        """It was on another volume, by its row: a disk that was copied or mounted in another way, or a new root."""
        if (row.version.size, row.version.mtime_ns) == (found.size, found.mtime_ns):
            self._moved_on.met(row.version.volume)
        if row.version.same_moment(found):
            self._add(partial(sources.rehome, source_ids=[row.id], volume=found.volume))

    def _mark(
        self, folder: bytes, folder_id: int, volume: str, missing: list[sources.Columns], entered: set[bytes],
        listed: set[bytes],
    ) -> None:  # fmt: skip
        """What is in the index and was not found here or below; what the rules leave out goes wherever it lies."""
        connection = self._index.read()
        absent = [(row[sources.ID], sources.lies_on(row)) for row in missing]
        gone: list[int] = []
        for child in folders.children(connection, self._site.id, folder_id):
            if child.name in entered:
                continue
            below = sources.below(connection, child.id)
            if child.name in listed:
                gone += [source_id for source_id, _ in below]
            else:
                absent += below
        for source_id, lies_on in absent:
            if judge.belongs(lies_on, volume):
                gone.append(source_id)
            elif self._is_given_up(lies_on, volume):
                gone.append(source_id)
                self._add(partial(sources.rehome, source_ids=[source_id], volume=volume))
            else:
                self.findings.away[folder] += 1
                self._moved_on.missed(lies_on, volume, source_id)
        if gone:
            self.findings.vanished += len(gone)
            self._add(lambda c: deletions.mark_gone(c, gone, self._mark_as))

    def _is_given_up(self, lies_on: str, volume: str) -> bool:
        """Whether the user said that what is away is gone: of a folder by its name, of the root once it is another."""
        return self._confirm and (bool(self._start) or not judge.same_root(lies_on, volume))

    # -- writing ------------------------------------------------------------------------------------------------------

    def _add(self, operation: Operation) -> None:
        if self._dry:
            return
        self._operations.append(operation)
        if len(self._operations) >= BATCH:
            self._flush(wait=False)

    def _flush(self, *, wait: bool) -> None:
        """Hand the batch to the writer; at most one batch is on its way, so the walk cannot run ahead of the disk."""
        operations, self._operations = self._operations, []
        if self._pending is not None:
            self._pending.result()
            self._pending = None
        if operations:
            self._pending = self._index.write(lambda c: _run_all(c, operations))
        if wait and self._pending is not None:
            self._pending.result()
            self._pending = None


def _run_all(connection: sqlite3.Connection, operations: list[Operation]) -> None:
    for operation in operations:
        operation(connection)


def _listed(fd: int, rules: FolderRules) -> tuple[list[bytes], list[bytes]]:
    """Sources and sub-folders of one folder, both in the order of their names' bytes. Links are neither."""
    files: list[bytes] = []
    below: list[bytes] = []
    with os.scandir(fd) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if entry.is_dir(follow_symlinks=False):
                below.append(name)
            elif rules.accepts(name) and entry.is_file(follow_symlinks=False):
                files.append(name)
    files.sort()
    below.sort()
    return files, below
