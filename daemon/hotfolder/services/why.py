"""All that is known of one image, in a few lines: seen, version, made, or why not, and what to do."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from typing import Any

from hotfolder import paths, times
from hotfolder.engine import Engine
from hotfolder.index import listing, renditions, sources
from hotfolder.index.listing import Listed
from hotfolder.index.readers import Reader
from hotfolder.index.sources import Row
from hotfolder.model import State, Version
from hotfolder.paths import show
from hotfolder.services import hindrance
from hotfolder.services.answers import Answer, Place
from hotfolder.services.offline import Knowing
from hotfolder.store.names import rendition_path
from hotfolder.watcher.watcher import Watcher

NOTHING = "nothing"
GOES_ON = "nothing; it goes on by itself"
FOLDER = "a folder"
_STEPS = {
    State.FAILED: "mend or replace the file, or try again: hotfolder failures retry PATH",
    State.SKIPPED: "install the extra; it is tried at the next start",
}


class KnownRendition(Answer):
    """A rendition; `path` is relative to the output, null where none can be made of this format."""

    preset: str
    path: str | None
    width: int
    height: int
    bytes: int
    note: str
    made_at: str | None
    present: bool


class _Explained(Place):
    watch: str
    watch_state: str
    ignored_by: str | None
    noted: bool
    queued: bool
    suspect: bool
    renditions: list[KnownRendition]
    waits_for: str | None
    file: str
    verdict: str
    next: str


class UnknownImage(_Explained):
    """An image, or another file, that the index does not know."""

    state: str


class KnownImage(_Explained):
    """An image that the index knows, with the version that was last looked at."""

    state: str
    seen_at: str
    done_at: str | None
    retry_at: str | None
    tries: int
    decoder: str
    format: str
    notes: list[str]
    width: int
    height: int
    bytes: int
    mtime_ns: str
    hash: str | None


class FailedImage(KnownImage):
    """An image in quarantine, and why."""

    reason: str
    message: str


Explanation = FailedImage | KnownImage | UnknownImage


@dataclass(frozen=True, slots=True)
class _Seen:
    """One image from all sides: the watch, the index, and the file."""

    watcher: Watcher
    path: bytes
    row: Row | None
    listed: Listed | None
    file: str
    version: Version | None
    ignored_by: str | None
    noted: bool
    queued: bool
    waits_for: str | None
    renditions: list[KnownRendition]


def explain(known: Knowing, watcher: Watcher, path: bytes) -> Explanation:
    """`path` is relative to the watch's root. Touches the file, so never called on the server's own loop."""
    connection = known.index.read()
    seen = _look(known, watcher, path)
    verdict, step = _verdict(seen)
    common = paths.named(watcher.config.path, path) | {
        "watch": watcher.config.name,
        "watch_state": watcher.condition.state if watcher.watched.live else "stopped",
        "ignored_by": seen.ignored_by,
        "noted": seen.noted,
        "queued": seen.queued,
        "suspect": listing.is_suspect(connection, watcher.site.id, path),
        "renditions": seen.renditions,
        "waits_for": seen.waits_for,
        "file": seen.file,
        "verdict": verdict,
        "next": step,
    }
    if seen.row is None or seen.listed is None:
        return UnknownImage(**common, state="unknown")
    common |= _of_row(connection, seen.row, seen.listed)
    if seen.listed.failure is not None:
        return FailedImage(**common, reason=seen.listed.failure.reason, message=seen.listed.failure.message)
    return KnownImage(**common)


def _look(known: Knowing, watcher: Watcher, path: bytes) -> _Seen:
    connection = known.index.read()
    row = sources.find(connection, watcher.site.id, path)
    file, version = _file(watcher, path)
    waits_for = hindrance.of(known, watcher, path, row) if isinstance(known, Engine) else hindrance.put_off(known, row)
    return _Seen(
        watcher=watcher,
        path=path,
        row=row,
        listed=None if row is None else listing.one(connection, row.id),
        file=file,
        version=version,
        ignored_by=watcher.rules.folder(path).refused if file == FOLDER else watcher.rules.why_not(path),
        noted=watcher.intake.knows(path),
        queued=watcher.outstanding.queued(path),
        waits_for=waits_for,
        renditions=[] if row is None else _renditions(connection, path, row),
    )


def _of_row(connection: Reader, row: Row, listed: Listed) -> dict[str, Any]:
    retry_at, notes = listing.retry_at(connection, row.id), listing.notes(connection, row.id)
    return {
        "state": row.state.name.lower(),
        "seen_at": times.rfc3339(listed.seen_at),
        "done_at": times.rfc3339(listed.done_at) if listed.done_at else None,
        "retry_at": times.rfc3339(retry_at) if retry_at > time.time() else None,
        "tries": row.tries,
        "decoder": listed.decoder,
        "format": listed.format,
        "notes": notes,
        "width": listed.width,
        "height": listed.height,
        "bytes": row.version.size,
        "mtime_ns": str(row.version.mtime_ns),
        "hash": row.version.hash.hex() if row.version.hash else None,
    }


def _renditions(connection: Reader, path: bytes, row: Row) -> list[KnownRendition]:
    folder = paths.parent(path)
    return [
        KnownRendition(
            preset=made.preset,
            path=None if made.note == "kept" else show(rendition_path(folder, made.area, made.name)),
            width=made.width,
            height=made.height,
            bytes=made.bytes,
            note=made.note,
            made_at=times.of_file(made.mtime_ns),
            present=made.present,
        )
        for made in renditions.of(connection, row.id)
    ]


def _verdict(seen: _Seen) -> tuple[str, str]:
    """What that means, and what to do."""
    if seen.ignored_by:
        return f"ignored: {seen.ignored_by}", "rename or move it, or change that rule"
    if seen.file == FOLDER:
        return (
            "a folder, which is looked into",
            "hotfolder why IMAGE tells of one in it, hotfolder scan FOLDER compares all",
        )
    if seen.file != "there":
        return "there is no file" if seen.file == "missing" else f"it is {seen.file}", NOTHING
    if seen.watcher.condition.state == "offline":
        return "its watch is offline", "bring the root back; it goes on by itself"
    if seen.noted or seen.queued:
        return seen.waits_for or "it waits for its turn, or until it is whole", GOES_ON
    row = seen.row
    if row is None:
        return "not seen yet", "hotfolder scan PATH"
    if row.state is State.PENDING:
        step = GOES_ON if seen.watcher.watched.live else "hotfolder scan, or start: hotfolder run"
        return seen.waits_for or "it waits in the backlog", step
    if row.state in _STEPS:
        failure = None if seen.listed is None else seen.listed.failure
        reason = f"needs the extra '{row.extra}'" if failure is None else failure.message
        return f"{row.state.name.lower()}: {reason}", _STEPS[row.state]
    if seen.version is not None and not row.version.same_stat(seen.version):
        return "changed since it was last looked at", "hotfolder scan PATH"
    if not row.complete(seen.watcher.site.want):
        lost = any(not each.present for each in seen.renditions)
        missing = "some renditions were removed" if lost else "made by a former configuration"
        return f"{missing}; they are made at the next reconcile", "hotfolder wait PATH makes them now"
    return "all renditions are made", NOTHING


def _file(watcher: Watcher, path: bytes) -> tuple[str, Version | None]:
    """What lies there, in words, and its version where it is a regular file."""
    try:
        found = os.lstat(os.path.join(os.fsencode(watcher.config.path), path))
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        return "missing" if missing else os.strerror(error.errno or 0), None
    if stat.S_ISLNK(found.st_mode):
        return "a symbolic link, which is not followed", None
    if stat.S_ISDIR(found.st_mode):
        return FOLDER, None
    return ("there", Version.of(found)) if stat.S_ISREG(found.st_mode) else ("no regular file", None)
