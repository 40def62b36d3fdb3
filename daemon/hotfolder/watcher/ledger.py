"""The rows of one watch as a reconcile reads and writes them: by pages, and in batches."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from hotfolder.index import sources
from hotfolder.index.database import Database
from hotfolder.index.readers import Readers

PAGE = 1000
"""Rows of one folder that are read at a time: an open cursor over a walk would keep the WAL from being emptied."""
BATCH = 500

Operation = Callable[[sqlite3.Connection], object]


class Ledger:
    """`dry`: nothing is written."""

    def __init__(self, index: Database, *, dry: bool) -> None:
        self._index = index
        self.dry = dry
        self._operations: list[Operation] = []
        self._pending: Future[None] | None = None

    def read(self) -> Readers:
        """What queries the index, for any thread."""
        return self._index.read()

    def rows(self, folder_id: int | None) -> Iterator[sources.Columns]:
        """The sources of one folder in the order of their names' bytes; none where the folder has no row."""
        after = b""
        while folder_id is not None:
            page = sources.page(self._index.read(), folder_id, after, PAGE)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1][sources.NAME]

    def add(self, operation: Operation) -> None:
        """Have it written with the batch."""
        if self.dry:
            return
        self._operations.append(operation)
        if len(self._operations) >= BATCH:
            self.flush(wait=False)

    def flush(self, *, wait: bool) -> None:
        """Hand the batch to the writer. At most one batch is on its way, so that the walk cannot run ahead of the disk.

        Raises sqlite3.Error where the index cannot be written.
        """
        operations, self._operations = self._operations, []
        self._await()
        if operations:
            self._pending = self._index.write(lambda c: _run_all(c, operations))
        if wait:
            self._await()

    def _await(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()


def _run_all(connection: sqlite3.Connection, operations: list[Operation]) -> None:
    for operation in operations:
        operation(connection)
