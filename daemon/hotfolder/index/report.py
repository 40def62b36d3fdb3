"""What the index says when it is asked as a whole: counts, the quarantine, the cache, the export.

Only reads, on the caller's connection; each query is short or comes in pages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hotfolder import paths, times
from hotfolder.index import folders
from hotfolder.index.numbers import number
from hotfolder.index.orders import Order
from hotfolder.index.readers import Reader
from hotfolder.model import State
from hotfolder.presets import OPTIMIZED
from hotfolder.store import layout

PAGE = 500

_FAILURES = """
    SELECT s.id, w.name, s.folder_id, s.name, f.reason, f.message, f.decoder, f.tries, f.first_at, f.last_at
    FROM failure f JOIN source s ON s.id = f.source_id JOIN watch w ON w.id = s.watch_id
    WHERE s.state = 2 AND s.id > ? ORDER BY s.id LIMIT ?"""
_SOURCES = """
    SELECT s.id, w.name, s.folder_id, s.name, s.size, s.mtime_ns, s.inode, s.ctime_ns, s.hash, s.state, s.format,
           s.width, s.height, s.decoder, s.notes, a.record
    FROM source s JOIN watch w ON w.id = s.watch_id LEFT JOIN analysis a ON a.source_id = s.id
    WHERE s.id > ? ORDER BY s.id LIMIT ?"""
_RENDITIONS = """
    SELECT r.preset, r.signature, a.path, r.name, r.width, r.height, r.bytes, r.mtime_ns, r.present, r.note
    FROM rendition r JOIN area a ON a.id = r.area WHERE r.source_id = ? ORDER BY r.preset"""
_BY_PRESET = """
    SELECT preset, count(*), total(bytes) FROM rendition WHERE present = 1 AND note <> 'kept' GROUP BY preset"""
_SAVED = """
    SELECT total(s.size - r.bytes) FROM rendition r JOIN source s ON s.id = r.source_id
    WHERE r.preset = ? AND r.present = 1 AND r.note = ''"""


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Renditions that are there, in number and bytes, by preset; of optimized copies also the bytes saved by them."""

    entries: int
    sources: int
    bytes: int
    by_preset: dict[str, dict[str, int]]


def states(connection: Reader) -> dict[tuple[str, State], int]:
    """How many sources are in each state, by watch."""
    query = "SELECT w.name, t.state, t.n FROM tally t JOIN watch w ON w.id = t.watch_id"
    return {(name, State(state)): n for name, state, n in connection.execute(query).fetchall()}


def quarantine(connection: Reader) -> dict[str, int]:
    """How many sources are in quarantine, by reason."""
    query = "SELECT f.reason, count(*) FROM failure f JOIN source s ON s.id = f.source_id WHERE s.state = 2 GROUP BY 1"
    return dict(connection.execute(query).fetchall())


def skipped(connection: Reader) -> dict[str, int]:
    """How many sources wait for an extra to be installed, by extra."""
    return dict(connection.execute("SELECT extra, count(*) FROM source WHERE state = 3 GROUP BY 1").fetchall())


def cache_stats(connection: Reader) -> CacheStats:
    rows = connection.execute(_BY_PRESET).fetchall()
    by_preset = {preset: {"entries": count, "bytes": int(size)} for preset, count, size in rows}
    if OPTIMIZED in by_preset:
        (saved,) = connection.execute(_SAVED, (OPTIMIZED,)).fetchone()
        by_preset[OPTIMIZED]["saved_bytes"] = int(saved)
    (sources,) = connection.execute("SELECT total(n) FROM tally").fetchone()
    entries = sum(each["entries"] for each in by_preset.values())
    return CacheStats(entries, int(sources), sum(each["bytes"] for each in by_preset.values()), by_preset)


def failures(connection: Reader, roots: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The quarantine, each as {path, watch, reason, message, tries, first_at, last_at}; `roots` by watch name."""
    after = 0
    while rows := connection.execute(_FAILURES, (after, PAGE)).fetchall():
        after = rows[-1][0]
        for _, watch, folder_id, name, reason, message, decoder, tries, first_at, last_at in rows:
            path = _path(connection, folder_id, name)
            yield paths.named(roots.get(watch, ""), path) | {
                "watch": watch, "reason": reason, "message": message, "decoder": decoder or None, "tries": tries,
                "first_at": times.rfc3339(first_at), "last_at": times.rfc3339(last_at),
            }  # fmt: skip


def export(connection: Reader) -> Iterator[dict[str, Any]]:
    """Every source with its version, renditions and analysis: the JSON index."""
    after = 0
    while rows := connection.execute(_SOURCES, (after, PAGE)).fetchall():
        after = rows[-1][0]
        for row in rows:
            yield _source(connection, row)


def _source(connection: Reader, row: tuple[Any, ...]) -> dict[str, Any]:
    id_, watch, folder_id, name, size, mtime, inode, ctime, digest, state, kind, width, height, decoder, *more = row
    notes, record = more
    mtime, inode, ctime = number(mtime), number(inode), number(ctime)
    folder = folders.path_of(connection, folder_id)
    path = folder + b"/" + name if folder else name
    renditions = []
    for preset, signature, area, file, wide, high, length, made, present, note in connection.execute(
        _RENDITIONS, (id_,)
    ).fetchall():
        where = layout.rendition_path(folder, area, file)
        renditions.append(
            paths.named("", where)
            | {
                "preset": preset,
                "key": layout.key(path, size, mtime, signature),
                "width": wide,
                "height": high,
                "bytes": length,
                "mtime_ns": str(number(made)),
                "present": bool(present),
                "note": note or None,
            }
        )
    return paths.named("", path) | {
        "watch": watch, "state": State(state).name.lower(), "size": size, "mtime_ns": str(mtime), "inode": inode,
        "ctime_ns": str(ctime), "hash": digest.hex() if digest else None, "format": kind or None, "width": width,
        "height": height, "decoder": decoder or None, "notes": notes.split(",") if notes else [],
        "renditions": renditions,
        "analysis": json.loads(record) if record else None,
    }  # fmt: skip


def _path(connection: Reader, folder_id: int, name: bytes) -> bytes:
    folder = folders.path_of(connection, folder_id)
    return folder + b"/" + name if folder else name


def order(found: Order, time_left: float | None) -> dict[str, Any]:
    """An order for its caller, without results; `rate` in images a second, `time_left` in seconds."""
    ended = found.done + found.failed
    rate = (found.total - ended) / time_left if time_left else None
    if found.finished_at is not None and found.started_at is not None and found.finished_at > found.started_at:
        rate = ended / (found.finished_at - found.started_at)
    return {
        "id": found.key, "kind": found.kind, "state": found.state, "total": found.total, "done": found.done,
        "failed": found.failed, "progress": ended / found.total if found.total else 1.0,
        "created_at": times.rfc3339(found.created_at),
        "started_at": times.rfc3339(found.started_at) if found.started_at else None,
        "finished_at": times.rfc3339(found.finished_at) if found.finished_at else None,
        "saved_bytes": found.saved_bytes, "rate": rate, "time_left": time_left,
    }  # fmt: skip


def put_off(connection: Reader, now: float) -> tuple[int, float | None]:
    """How many sources are tried again after `now`, and when the first of them is; seconds since 1970."""
    query = "SELECT count(*), min(retry_at) FROM source WHERE state = 0 AND retry_at > ?"
    count, first = connection.execute(query, (now,)).fetchone()
    return count, first


def check(connection: Reader) -> None:
    """Raises sqlite3.Error where the index does not answer."""
    connection.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
