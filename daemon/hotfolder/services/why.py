"""All that is known of one image, in a few lines: seen, version, made, or why not, and what to do."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from typing import Any

from hotfolder import paths, times
from hotfolder.engine import Engine
from hotfolder.index import renditions, sources
from hotfolder.index.sources import Row
from hotfolder.model import State, Version
from hotfolder.paths import show
from hotfolder.services import hindrance
from hotfolder.services.offline import Knowing
from hotfolder.store.layout import rendition_path
from hotfolder.watcher.watcher import Watcher

_SUSPECT = "SELECT 1 FROM suspect WHERE watch_id = ? AND path = ?"
_STEPS = {
    State.FAILED: "mend or replace the file, or try again: hotfolder failures retry PATH",
    State.SKIPPED: "install the extra; it is tried at the next start",
}


def explain(known: Knowing, watcher: Watcher, path: bytes) -> dict[str, Any]:
    """`path` is relative to the watch's root. Touches the file, so never asked on the server's own loop."""
    connection = known.index.read()
    row = sources.find(connection, watcher.site.id, path)
    found: dict[str, Any] = paths.named(watcher.config.path, path) | {
        "watch": watcher.config.name,
        "watch_state": watcher.condition.state if watcher.live else "stopped",
        "ignored_by": watcher.rules.why_not(path),
        "noted": watcher.intake.knows(path),
        "queued": watcher.queued(path),
        "suspect": connection.execute(_SUSPECT, (watcher.site.id, path)).fetchone() is not None,
        "state": "unknown" if row is None else row.state.name.lower(),
        "renditions": [],
    }
    if row is not None:
        query = "SELECT seen_at, done_at, retry_at, decoder, format, width, height, notes FROM source WHERE id = ?"
        seen, done, retry, decoder, kind, width, height, notes = connection.execute(query, (row.id,)).fetchone()
        found |= {
            "seen_at": times.rfc3339(seen), "done_at": times.rfc3339(done) if done else None,
            "retry_at": times.rfc3339(retry) if retry > time.time() else None, "tries": row.tries,
            "decoder": decoder, "format": kind,
            "notes": notes.split(",") if notes else [], "width": width, "height": height, "bytes": row.version.size,
            "mtime_ns": str(row.version.mtime_ns), "hash": row.version.hash.hex() if row.version.hash else None,
            "renditions": list(_renditions(watcher, path, connection, row)),
        }  # fmt: skip
        if row.state is State.FAILED:
            failure = "SELECT reason, message FROM failure WHERE source_id = ?"
            found["reason"], found["message"] = connection.execute(failure, (row.id,)).fetchone()
    found["waits_for"] = (
        hindrance.of(known, watcher, path, row) if isinstance(known, Engine) else hindrance.put_off(known, row)
    )
    found["file"], found["verdict"], found["next"] = _verdict(watcher, path, row, found)
    return found


def _renditions(watcher: Watcher, path: bytes, connection: Any, row: Row) -> Iterator[dict[str, Any]]:
    folder = paths.parent(path)
    for made in renditions.of(connection, row.id):
        place = rendition_path(folder, made.area, made.name)
        yield {
            "preset": made.preset, "path": None if made.note == "kept" else show(place), "width": made.width,
            "height": made.height, "bytes": made.bytes, "note": made.note,
            "made_at": times.of_file(made.mtime_ns), "present": made.present,
        }  # fmt: skip


def _verdict(watcher: Watcher, path: bytes, row: Row | None, found: dict[str, Any]) -> tuple[str, str, str]:
    """What lies there, what that means, and what to do."""
    file, version = _file(watcher, path)
    if found["ignored_by"]:
        return file, f"ignored: {found['ignored_by']}", "rename or move it, or change that rule"
    if file != "there":
        return file, "there is no file" if file == "missing" else f"it is {file}", "nothing"
    if watcher.condition.state == "offline":
        return file, "its watch is offline", "bring the root back; it goes on by itself"
    if found["noted"] or found["queued"]:
        waits = found["waits_for"] or "it waits for its turn, or until it is whole"
        return file, waits, "nothing; it goes on by itself"
    if row is None:
        return file, "not seen yet", "hotfolder scan PATH"
    if row.state is State.PENDING:
        step = "nothing; it goes on by itself" if watcher.live else "hotfolder scan, or start: hotfolder run"
        return file, found["waits_for"] or "it waits in the backlog", step
    if row.state in _STEPS:
        reason = found.get("message") or f"needs the extra '{row.extra}'"
        return file, f"{row.state.name.lower()}: {reason}", _STEPS[row.state]
    if version is not None and not row.version.same_stat(version):
        return file, "changed since it was last looked at", "hotfolder scan PATH"
    if not row.complete(watcher.site.want):
        lost = any(not each["present"] for each in found["renditions"])
        missing = "some renditions were removed" if lost else "made by a former configuration"
        return file, f"{missing}; they are made at the next reconcile", "hotfolder wait PATH makes them now"
    return file, "all renditions are made", "nothing"


def _file(watcher: Watcher, path: bytes) -> tuple[str, Version | None]:
    try:
        found = os.lstat(os.path.join(os.fsencode(watcher.config.path), path))
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        return "missing" if missing else os.strerror(error.errno or 0), None
    if stat.S_ISLNK(found.st_mode):
        return "a symbolic link, which is not followed", None
    return ("there", Version.of(found)) if stat.S_ISREG(found.st_mode) else ("no regular file", None)
