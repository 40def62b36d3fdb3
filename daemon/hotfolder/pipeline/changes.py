"""How the end of a job stands in the index: one small callable a kind of end, run on the index's writer.

They hold values only, so that a worker can go on while they wait for their group's commit. Each returns its row's id.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass, replace

from hotfolder import paths
from hotfolder.errors import Reason, SourceError
from hotfolder.hooks import facts as announcing
from hotfolder.imaging import Record
from hotfolder.index import analyses, backlog, deletions, failures, folders, renditions, sources
from hotfolder.index.database import Change
from hotfolder.index.deletions import Mark
from hotfolder.index.readers import Reader
from hotfolder.index.renditions import Made
from hotfolder.index.sources import Facts, Row
from hotfolder.model import Result, State, Version
from hotfolder.outcome import Outcome
from hotfolder.watches.site import Site, place_key

NOT_STORED_TRIES = 3
"""A result that the index refuses is a fault of ours: tried again at once so often, and not for ever."""

_NO_VERSION = Version(-1, 0, 0, 0)


def path_of(connection: Reader, row: Row) -> bytes:
    folder = folders.path_of(connection, row.folder_id)
    return b"/".join(part for part in (folder, row.name) if part)


def _source_id(connection: sqlite3.Connection, site: Site, path: bytes) -> tuple[int, int]:
    """The ids of the source and of its folder, both made where they are new."""
    folder, name = paths.split(path)
    folder_id = folders.ensure(connection, site.id, folder, folds=site.folds)
    return sources.ensure(connection, site.id, folder_id, name, time.time()), folder_id


def stored(connection: sqlite3.Connection, site: Site, change: Change) -> object:
    """Make the change. Where the configuration of its watch has been replaced meanwhile, the source waits again, and
    no rendition counts before it has been looked at: it may lie in an output of before."""
    found = change(connection)
    if site.retired.is_set() and isinstance(found, int):
        renditions.miss(connection, found, [each.preset for each in renditions.of(connection, found)])
        backlog.retry(connection, found, 0.0, 0)
    return found


def turned_done(connection: sqlite3.Connection, source_id: int, version: Version, want: str) -> None:
    """Everything wanted was there already; what decoding told of these bytes stays."""
    kept = replace(sources.facts(connection, source_id), extra="")
    sources.settle(connection, source_id, version, State.DONE, want, kept, time.time())


def _keep_analysis(connection: sqlite3.Connection, site: Site, source_id: int, record: Record | None) -> None:
    """The new record; where there is none the former one stays, if the watch is still to be analysed."""
    if site.analyze is None:
        analyses.forget(connection, source_id)
    elif record is not None:
        analyses.put(connection, source_id, site.analyze.signature, record)


@dataclass(frozen=True, slots=True)
class Done:
    """Renditions were made; those of `stale` presets are gone or replaced."""

    site: Site
    path: bytes
    version: Version
    made: tuple[Made, ...]
    stale: frozenset[str]
    facts: Facts
    epoch: int
    record: Record | None = None

    def __call__(self, connection: sqlite3.Connection) -> int:
        source_id, folder_id = _source_id(connection, self.site, self.path)
        place = folders.place(connection, folder_id)
        known = sources.version(connection, source_id).hash
        _keep_analysis(connection, self.site, source_id, self.record)
        for preset in self.stale:
            renditions.drop(connection, source_id, preset)
        for made in self.made:
            renditions.put(connection, source_id, place, place_key(self.site, made.name), made, self.epoch)
        sources.settle(connection, source_id, self.version, State.DONE, self.site.want, self.facts, time.time())
        if self.made or known != self.version.hash:  # a record that is made anew is no news
            announcing.ready(connection, self.site, source_id, self.path)
        return source_id


class Ordered(Done):
    """What an order wanted was made; the source itself is as it was, unless its row has gone on meanwhile."""

    def __call__(self, connection: sqlite3.Connection) -> int:
        row = sources.find(connection, self.site.id, self.path)
        if row is None or row.version.hash != self.version.hash:
            raise RuntimeError("the source has changed while an order was done")  # nobody else has the path in work
        place = folders.place(connection, row.folder_id)
        for preset in self.stale:
            renditions.drop(connection, row.id, preset)
        for made in self.made:
            renditions.put(connection, row.id, place, place_key(self.site, made.name), made, self.epoch)
        if self.site.analyze is not None and self.record is not None:
            analyses.put(connection, row.id, self.site.analyze.signature, self.record)
        return row.id


@dataclass(frozen=True, slots=True)
class Kept:
    """The bytes are those of before and all that is wanted is there; what is no longer wanted has been removed."""

    site: Site
    source_id: int
    version: Version
    stale: tuple[str, ...]

    def __call__(self, connection: sqlite3.Connection) -> int:
        _keep_analysis(connection, self.site, self.source_id, None)
        for preset in self.stale:
            renditions.drop(connection, self.source_id, preset)
        turned_done(connection, self.source_id, self.version, self.site.want)
        return self.source_id


@dataclass(frozen=True, slots=True)
class Moved:
    """The source has a new path, and its renditions went along; what did not is made by a job of its own."""

    site: Site
    source_id: int
    old: bytes
    path: bytes
    version: Version
    followed: tuple[Made, ...]
    complete: bool
    epoch: int

    def __call__(self, connection: sqlite3.Connection) -> int:
        folder, name = paths.split(self.path)
        announcing.removed(connection, self.site, self.source_id, self.old, self.path)
        folder_id = folders.ensure(connection, self.site.id, folder, folds=self.site.folds)
        place = folders.place(connection, folder_id)
        sources.move(connection, self.source_id, folder_id, name)
        renditions.drop_all(connection, self.source_id)
        for made in self.followed:
            renditions.put(connection, self.source_id, place, place_key(self.site, made.name), made, self.epoch)
        whole = self.complete and {made.preset for made in self.followed} >= self.site.signatures.keys()
        turned_done(connection, self.source_id, self.version, self.site.want if whole else "")
        if whole:
            announcing.ready(connection, self.site, self.source_id, self.path, self.old)
        else:
            backlog.retry(connection, self.source_id, 0.0, 0)
        return self.source_id


@dataclass(frozen=True, slots=True)
class Removed:
    """The source is gone, and so are its renditions, unless the watch keeps them."""

    site: Site
    source_id: int
    path: bytes

    def __call__(self, connection: sqlite3.Connection) -> None:
        announcing.removed(connection, self.site, self.source_id, self.path)
        sources.remove(connection, self.source_id)


@dataclass(frozen=True, slots=True)
class Skipped:
    """The decoder is an extra that is not installed."""

    site: Site
    path: bytes
    version: Version | None
    extra: str

    def __call__(self, connection: sqlite3.Connection) -> int:
        source_id, _ = _source_id(connection, self.site, self.path)
        renditions.drop_all(connection, source_id)
        analyses.forget(connection, source_id)
        facts = Facts(extra=self.extra)
        version = self.version or _NO_VERSION
        sources.settle(connection, source_id, version, State.SKIPPED, self.site.want, facts, time.time())
        return source_id


@dataclass(frozen=True, slots=True)
class Retry:
    """It may pass: the row waits until `retry_at` (seconds since 1970)."""

    site: Site
    path: bytes
    retry_at: float
    tries: int
    young: bool
    deleted: bool = False
    put_off: int = 0

    def __call__(self, connection: sqlite3.Connection) -> int:
        source_id, folder_id = _source_id(connection, self.site, self.path)
        name = paths.name(self.path)
        backlog.wait(connection, self.site.id, folder_id, name, time.time(), young=self.young)
        if self.deleted:
            deletions.mark_gone(connection, [source_id], Mark.CERTAIN)
        backlog.retry(connection, source_id, self.retry_at, self.tries, self.put_off)
        return source_id


@dataclass(frozen=True, slots=True)
class NotStored:
    """The index refuses the result, though it can be written: the source is tried again, then it counts as failed.

    `tries`: so often in a row; what its image had failed before is another matter, and stays as it was.
    """

    site: Site
    path: bytes
    version: Version | None
    problem: str
    tries: int

    def __call__(self, connection: sqlite3.Connection) -> Outcome:
        row = sources.find(connection, self.site.id, self.path)
        own, put_off = (row.tries, row.put_off) if row is not None else (0, 0)
        text = f"its result could not be stored: {self.problem}"
        error = SourceError(Reason.INTERNAL, text)
        if self.tries <= NOT_STORED_TRIES:
            Retry(self.site, self.path, 0.0, own, young=False, put_off=put_off)(connection)
            return Outcome(Result.RETRIED, reason=error.reason, message=error.message)
        source_id = Failed(self.site, self.path, self.version, error, self.tries)(connection)
        return Outcome(Result.FAILED, reason=error.reason, message=error.message, source_id=source_id)


@dataclass(frozen=True, slots=True)
class Failed:
    """Into quarantine, with the reason and the decoder that gave up."""

    site: Site
    path: bytes
    version: Version | None
    error: SourceError
    tries: int

    def __call__(self, connection: sqlite3.Connection) -> int:
        source_id, _ = _source_id(connection, self.site, self.path)
        if self.version is not None:
            renditions.drop_all(connection, source_id)
            analyses.forget(connection, source_id)
        decoder = self.error.decoder or ""
        version = self.version or _NO_VERSION
        facts = Facts(decoder=decoder)
        now = time.time()
        sources.settle(connection, source_id, version, State.FAILED, self.site.want, facts, now)
        failures.put(connection, source_id, self.error.reason, self.error.message, decoder, self.tries, now)
        announcing.failed(connection, self.site, self.path, self.error.reason, self.error.message)
        return source_id
