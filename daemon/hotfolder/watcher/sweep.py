"""What reconciles did not find is removed, never more at once than the guard allows.

It only offers jobs: the worker asks the judge (pipeline/judge.py) before anything goes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from hotfolder.index import deletions, folders, report, watches
from hotfolder.index.database import Database
from hotfolder.index.sources import Row
from hotfolder.model import Job, Lane
from hotfolder.telemetry import logs
from hotfolder.watcher.rules import Rules
from hotfolder.watches.site import Site

PAGE = 500

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
    missing, total = deletions.uncertain(index.read(), site.id), report.total(index.read(), site.id)
    if missing and watches.has_moved(index.read(), site.id):
        log.warning(
            "deletions_held", watch=site.name, count=missing, of=total,
            next=f"{site.root} is another root than before; `hotfolder scan --confirm-deletes`, if it is the right one",
        )  # fmt: skip
        return Swept(held=missing)
    times = deletions.CONFIRMED if guard.holds(missing, total) and not confirm else 1
    removed = 0
    after = 0
    held = missing if times > 1 else 0
    while page := deletions.gone(index.read(), site.id, after, PAGE, times):
        after = page[-1].id
        for row in page:
            if not _hand_on(index, site, rules, row, offer):
                return Swept(removed, held)
            removed += 1
    if held:
        log.warning(
            "deletions_held", watch=site.name, count=held, of=total,
            next="they go when a second reconcile agrees, or by `hotfolder scan --confirm-deletes`",
        )  # fmt: skip
    return Swept(removed, held)


def _hand_on(index: Database, site: Site, rules: Rules, row: Row, offer: Callable[[Job], bool]) -> bool:
    folder = folders.path_of(index.read(), row.folder_id)
    path = folder + b"/" + row.name if folder else row.name
    now = time.monotonic()
    unwanted = not rules.is_source(path)
    return offer(Job(site.name, path, Lane.BACKLOG, now, now, deleted=True, rested=True, unwanted=unwanted))
