"""Rendition paths of jobs in flight: no two of them may write one file."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from hotfolder.errors import Reason, SourceError
from hotfolder.index import folders, renditions
from hotfolder.index.database import Database
from hotfolder.paths import show
from hotfolder.store.layouts import Target
from hotfolder.store.names import fold
from hotfolder.watches.site import Site, place_key

Key = tuple[int, bytes, bytes, bytes]


class Claims:
    """Held from before the first byte is written until the rows say whose the files are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[Key, Claim] = {}

    def take(self, site: Site, folder: bytes, targets: Iterable[Target]) -> Claim | None:
        """Hold these paths until released. None, and nothing held, where another job has one of them."""
        where = fold(folder) if site.folds else folder
        keys = frozenset((site.id, where, t.area, place_key(site, t.name)) for t in targets)
        claim = Claim(self, keys)
        with self._lock:
            if not keys.isdisjoint(self._taken):
                return None
            self._taken |= dict.fromkeys(keys, claim)
        return claim

    def release(self, claim: Claim) -> None:
        with self._lock:
            for key in claim.keys:
                if self._taken.get(key) is claim:  # not that of another who has it by now
                    del self._taken[key]


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """Rendition paths held by one job."""

    claims: Claims
    keys: frozenset[Key]

    def release(self) -> None:
        """Doing it twice does no harm."""
        self.claims.release(self)


def check_names(index: Database, site: Site, folder: bytes, targets: Iterable[Target], source_id: int) -> None:
    """Raises SourceError(NAME_TAKEN) where the index assigns one of the paths to another source."""
    connection = index.read()
    place = folders.place_at(connection, site.id, folder, folds=site.folds)
    if place is None:
        return
    for target in targets:
        other = renditions.owner(connection, place, target.area, place_key(site, target.name), source_id)
        if other is not None:
            raise SourceError(
                Reason.NAME_TAKEN,
                f"its rendition {show(target.name)} belongs to another source of this folder; rename one of the two",
            )
