"""Which renditions have surely reached the disk: rows carry an epoch, and one syncfs(2) closes it for all of them.

Renditions are not fsynced one by one. After another boot those of epochs that were still open are compared with their
rows; what is short or empty is made again. A crash of the process alone loses nothing: the kernel has the pages.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable

from hotfolder.index import meta, renditions
from hotfolder.index.database import Database
from hotfolder.loop import Loop
from hotfolder.telemetry import logs

SYNC_SECONDS = 30.0

log = logs.get("keeping")


class Epochs:
    """`current` is what new rows carry. One thread closes it while work goes on."""

    def __init__(self, index: Database, boot: str, outputs: Callable[[], Iterable[str]]) -> None:
        self._index = index
        self._outputs = outputs
        self.closed, self.current = 0, 1
        self.rebooted = False
        """Rows of epochs above `closed` may be about files that never reached the disk."""
        self._boot = boot
        self._used = False
        self._changed = threading.Condition()
        self.loop = Loop("sync", self._round, self._changed, again=self._open_again)

    def load(self) -> Epochs:
        """How far former lives came; once the index is open."""
        reader = self._index.read()
        self.closed = int(meta.get(reader, "epoch_closed") or 0)
        self.current = max(self.closed, int(meta.get(reader, "epoch") or 0)) + 1
        self.rebooted = meta.get(reader, "boot") not in (None, self._boot)
        return self

    def use(self) -> int:
        """The epoch for renditions that are published from now on."""
        if not self._used:
            with self._changed:
                self._used = True
                self._changed.notify_all()
        return self.current

    def open_rows(self) -> list[tuple[int, int]]:
        """Sources with renditions of open epochs: their ids and their watches'."""
        return renditions.since(self._index.read(), self.closed)

    def start(self) -> None:
        """What was open has been compared: the new boot counts."""
        self._index.write(lambda c: meta.put(c, {"boot": self._boot, "epoch": self.current})).result()
        self.loop.start()

    def stop(self) -> None:
        """Close the last one, too; a hung disk blocks nobody for long."""
        self.loop.stop()

    def _round(self) -> bool:
        self.loop.rest(lambda: self._used)
        self.loop.rest(seconds=SYNC_SECONDS)
        with self._changed:
            used, self._used = self._used, False
        if used:
            self._close()
        return not self.loop.stopped

    def _open_again(self) -> None:
        """What was written is not on the disk yet: tried again."""
        with self._changed:
            self._used = True

    def _close(self) -> None:
        """Rows first, then the files, then the note that both stand."""
        began = time.monotonic()
        ending, self.current = self.current, self.current + 1
        try:
            self._index.flush()
            for output in self._outputs():
                sync(output)
            self._index.write(lambda c: meta.put(c, {"epoch_closed": ending, "epoch": ending + 1})).result()
        except (OSError, sqlite3.Error) as error:
            log.warning("not_synced", error=error, next="with the next epoch")
            self._open_again()
            return
        self.closed = ending
        log.debug("synced", epoch=ending, seconds=time.monotonic() - began)


def sync(path: str) -> None:
    """Write the whole file system of `path` out. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if call is None:
            os.sync()
        elif call(fd) != 0:
            number = ctypes.get_errno() or errno.EIO
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(fd)
