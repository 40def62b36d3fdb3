"""What reconciles did not find is removed, after a last look at each path, never more at once than the guard allows.

It only offers jobs: the worker looks itself, once more, before anything goes.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from hotfolder import logs
from hotfolder.keeping import atomic, folders, sources, watches
from hotfolder.keeping.database import Database
from hotfolder.keeping.sources import Row
from hotfolder.model import Job, Lane
from hotfolder.watching.rules import Rules
from hotfolder.working.site import Site

PAGE = 500
CONFIRMED = 2
"""So many reconciles in a row without it, or an event: then a deletion is certain."""

log = logs.get("watching")


@dataclass(frozen=True, slots=True)
class Guard:
    """A reconcile that would remove more than both of these holds them until a second one agrees."""

    fraction: float
    least: int

    def holds(self, missing: int, total: int) -> bool:
        return missing > self.least and missing > self.fraction * total


@dataclass(frozen=True, slots=True)
class Swept:
    """How many sources were handed on for removal, and how many are held."""

    removed: int = 0
    held: int = 0


def sweep(
    index: Database, site: Site, rules: Rules, guard: Guard, offer: Callable[[Job], bool], *, confirm: bool = False
) -> Swept:  # fmt: skip
    """Offer a removal for each source that is marked gone. `offer` waits for room, and is False where work ends."""
    missing, total = _count(index.read(), site.id)
    if not missing:
        return Swept()
    if watches.has_moved(index.read(), site.id):
        log.warning(
            "deletions_held", watch=site.name, count=missing, of=total,
            next=f"{site.root} is another root than before; `hotfolder scan --confirm-deletes`, if it is the right one",
        )  # fmt: skip
        return Swept(held=missing)
    times = CONFIRMED if guard.holds(missing, total) and not confirm else 1
    removed = 0
    after = 0
    try:
        root_fd = atomic.open_root(site.root)
    except OSError:
        return Swept(held=missing)
    try:
        while page := sources.gone(index.read(), site.id, after, PAGE, times):
            after = page[-1].id
            for row in page:
                if not _hand_on(index, site, rules, root_fd, row, offer):
                    return Swept(removed, missing - removed)
                removed += 1
    finally:
        os.close(root_fd)
    held = missing - removed
    if held:
        log.warning(
            "deletions_held", watch=site.name, count=held, of=total,
            next="they go when a second reconcile agrees, or by `hotfolder scan --confirm-deletes`",
        )  # fmt: skip
    return Swept(removed, held)


def _count(connection: sqlite3.Connection, watch_id: int) -> tuple[int, int]:
    missing = connection.execute("SELECT count(*) FROM source WHERE watch_id = ? AND gone > 0", (watch_id,)).fetchone()
    total = connection.execute("SELECT total(n) FROM tally WHERE watch_id = ?", (watch_id,)).fetchone()
    return int(missing[0]), int(total[0])


def _hand_on(
    index: Database, site: Site, rules: Rules, root_fd: int, row: Row, offer: Callable[[Job], bool]
) -> bool:  # fmt: skip
    folder = folders.path_of(index.read(), row.folder_id)
    path = folder + b"/" + row.name if folder else row.name
    now = time.monotonic()
    unwanted = False
    try:
        atomic.lstat_beneath(root_fd, path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:
        return True  # it cannot be seen: that is not gone
    else:
        unwanted = not rules.is_source(path)
    return offer(Job(site.name, path, Lane.BACKLOG, now, now, deleted=True, rested=True, unwanted=unwanted))
