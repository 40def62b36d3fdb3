"""Reconcile: walk a root folder by folder and compare each with its rows. It decides nothing but what waits.

walk.py finds the folders, compare.py compares their files with the rows, missing.py marks what was not found. Only
sweep.py acts on the marks.
"""

from __future__ import annotations

import os
import sqlite3
import time

from hotfolder import faults
from hotfolder.errors import Owner
from hotfolder.faults import Operation
from hotfolder.index import folders, watches
from hotfolder.index.database import Database
from hotfolder.store import atomic
from hotfolder.watcher import folder_moves
from hotfolder.watcher.compare import Comparison
from hotfolder.watcher.findings import Findings
from hotfolder.watcher.ledger import Ledger
from hotfolder.watcher.missing import Missing
from hotfolder.watcher.options import Options
from hotfolder.watcher.rules import Rules
from hotfolder.watcher.walk import Alone, Folder, Surroundings, Walk
from hotfolder.watches.grounds import Grounds, RootAway
from hotfolder.watches.site import Site

DEFAULT = Options()
ALONE = Alone()


class Reconcile:
    """One reconcile of one watch: a folder, and all below it."""

    def __init__(
        self, index: Database, site: Site, rules: Rules, options: Options = DEFAULT, around: Surroundings = ALONE
    ) -> None:
        self._index = index
        self._site = site
        self._rules = rules
        self._options = options
        self._around = around
        self._ledger = Ledger(index, dry=options.dry)
        self._findings = Findings()

    def run(self, start: bytes = b"") -> Findings:
        """Compare `start` and all below it; once. Raises RootAway; sqlite3.Error where the index cannot be written."""
        began = time.monotonic()
        root_fd = self._open_root()
        try:
            accept = self._options.confirm and not start
            grounds = Grounds(self._index, self._site)
            trusted = grounds.same_root(root_fd, remember=not self._options.dry, accept=accept) or accept
            missing = Missing(self._site, self._ledger, self._options, self._findings, start, trusted=trusted)
            self._walk(root_fd, start, missing)
        finally:
            os.close(root_fd)
        whole = self._findings.complete and not self._findings.stopped
        if whole:
            missing.rehome()
        self._ledger.flush(wait=True)
        if not start and whole and not self._options.dry:
            self._index.write(lambda c: watches.reconciled(c, self._site.id, time.time())).result()
        self._findings.seconds = time.monotonic() - began
        return self._findings

    def _open_root(self) -> int:
        try:
            return atomic.open_root(self._site.root)
        except OSError as error:
            if faults.owner(error.errno, Operation.REACH) is Owner.MACHINE:
                raise  # that means nothing for the root
            raise RootAway(f"{self._site.root}: {os.strerror(error.errno or 0)}") from error

    def _walk(self, root_fd: int, start: bytes, missing: Missing) -> None:
        comparison = Comparison(
            self._site, self._ledger, self._around, missing, self._findings, verify=self._options.verify
        )

        def visit(folder: Folder) -> None:
            folder_id = self._folder_id(folder)
            without_file = comparison.compare(folder, folder_id)
            self._note_inode(folder, folder_id)
            if folder_id is not None:
                missing.mark(folder, folder_id, without_file)

        walk = Walk(self._site.name, self._rules, self._around, self._findings)
        if not walk.run(root_fd, start, visit):
            missing.mark_start()

    def _folder_id(self, folder: Folder) -> int | None:
        connection = self._ledger.read()
        found = folders.find(connection, self._site.id, folder.path)
        if found is None and folder.path and self._moved_here(folder):
            found = folders.find(connection, self._site.id, folder.path)
        return found

    def _moved_here(self, folder: Folder) -> bool:
        """A folder that is new here may be one that was renamed while nobody looked: the inode leads to it."""
        if self._options.dry:
            return False
        for former in folders.with_inode(self._ledger.read(), self._site.id, folder.inode):
            old = folders.path_of(self._ledger.read(), former)
            self._ledger.flush(wait=True)
            if old and folder_moves.move_folder(self._index, self._site, old, folder.path, folder.volume):
                return True
        return False

    def _note_inode(self, folder: Folder, folder_id: int | None) -> None:
        path, inode = folder.path, folder.inode
        known = folders.inode(self._ledger.read(), folder_id) if folder_id is not None else None
        if known != inode and (folder_id is not None or folder.files):
            self._ledger.add(lambda c: self._describe(c, path, inode))

    def _describe(self, connection: sqlite3.Connection, folder: bytes, inode: int) -> None:
        folder_id = folders.find(connection, self._site.id, folder)
        if folder_id is not None:
            folders.describe(connection, folder_id, inode)
