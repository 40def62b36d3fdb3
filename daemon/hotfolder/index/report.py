"""The index as a whole: counts, the quarantine, the cache, the export. Only reads; each query is short or in pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hotfolder import paths, times
from hotfolder.index import folders, renditions
from hotfolder.index.numbers import number
from hotfolder.index.orders import Order
from hotfolder.index.readers import Reader
from hotfolder.index.renditions import Made
from hotfolder.index.rows import Columns
from hotfolder.model import State
from hotfolder.presets import OPTIMIZED
from hotfolder.store import names

PAGE = 500


@dataclass(frozen=True, slots=True)
class _Failed:
    """One row of the quarantine."""

    id: int
    watch: str
    folder_id: int
    name: bytes
    reason: str
    message: str
    decoder: str
    tries: int
    first_at: float
    last_at: float


@dataclass(frozen=True, slots=True)
class _Exported:
    """One row of the export; `record`: its analysis (JSON)."""

    id: int
    watch: str
    folder_id: int
    name: bytes
    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int
    hash: bytes | None
    state: State
    format: str
    width: int
    height: int
    decoder: str
    notes: str
    record: str | None


_FAILED = Columns(
    _Failed,
    table="f",
    origins={"id": "s.id", "watch": "w.name", "folder_id": "s.folder_id", "name": "s.name"},
)
_EXPORTED = Columns(
    _Exported,
    table="s",
    origins={"watch": "w.name", "record": "a.record"},
    converters={"mtime_ns": number, "inode": number, "ctime_ns": number, "state": State},
)
_FAILURES = f"""
    SELECT {_FAILED.sql}
    FROM failure f JOIN source s ON s.id = f.source_id JOIN watch w ON w.id = s.watch_id
    WHERE s.state = 2 AND s.id > ? ORDER BY s.id LIMIT ?"""
_SOURCES = f"""
    SELECT {_EXPORTED.sql}
    FROM source s JOIN watch w ON w.id = s.watch_id LEFT JOIN analysis a ON a.source_id = s.id
    WHERE s.id > ? ORDER BY s.id LIMIT ?"""
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


def total(connection: Reader, watch_id: int) -> int:
    """How many sources of a watch are known."""
    query = "SELECT total(n) FROM tally WHERE watch_id = ?"
    return int(connection.execute(query, (watch_id,)).fetchone()[0])


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
    while rows := _FAILED.rows(connection.execute(_FAILURES, (after, PAGE)).fetchall()):
        after = rows[-1].id
        for each in rows:
            path = _path(folders.path_of(connection, each.folder_id), each.name)
            yield paths.named(roots.get(each.watch, ""), path) | {
                "watch": each.watch,
                "reason": each.reason,
                "message": each.message,
                "decoder": each.decoder or None,
                "tries": each.tries,
                "first_at": times.rfc3339(each.first_at),
                "last_at": times.rfc3339(each.last_at),
            }


def export(connection: Reader) -> Iterator[dict[str, Any]]:
    """Every source with its version, renditions and analysis: the JSON index."""
    after = 0
    while rows := _EXPORTED.rows(connection.execute(_SOURCES, (after, PAGE)).fetchall()):
        after = rows[-1].id
        for each in rows:
            yield _source(connection, each)


def _source(connection: Reader, known: _Exported) -> dict[str, Any]:
    folder = folders.path_of(connection, known.folder_id)
    path = _path(folder, known.name)
    made = renditions.of(connection, known.id)
    return paths.named("", path) | {
        "watch": known.watch,
        "state": known.state.name.lower(),
        "size": known.size,
        "mtime_ns": str(known.mtime_ns),
        "inode": known.inode,
        "ctime_ns": str(known.ctime_ns),
        "hash": known.hash.hex() if known.hash else None,
        "format": known.format or None,
        "width": known.width,
        "height": known.height,
        "decoder": known.decoder or None,
        "notes": known.notes.split(",") if known.notes else [],
        "renditions": [_rendition(each, folder, path, known) for each in made],
        "analysis": json.loads(known.record) if known.record else None,
    }


def _rendition(made: Made, folder: bytes, path: bytes, source: _Exported) -> dict[str, Any]:
    return paths.named("", names.rendition_path(folder, made.area, made.name)) | {
        "preset": made.preset,
        "key": names.key(path, source.size, source.mtime_ns, made.signature),
        "width": made.width,
        "height": made.height,
        "bytes": made.bytes,
        "mtime_ns": str(made.mtime_ns),
        "present": made.present,
        "note": made.note or None,
    }


def _path(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name


def order(found: Order, time_left: float | None) -> dict[str, Any]:
    """An order for its caller, without results; `rate` in images a second, `time_left` in seconds."""
    ended = found.done + found.failed
    rate = (found.total - ended) / time_left if time_left else None
    if found.finished_at is not None and found.started_at is not None and found.finished_at > found.started_at:
        rate = ended / (found.finished_at - found.started_at)
    return {
        "id": found.key,
        "kind": found.kind,
        "state": found.state,
        "total": found.total,
        "done": found.done,
        "failed": found.failed,
        "progress": ended / found.total if found.total else 1.0,
        "created_at": times.rfc3339(found.created_at),
        "started_at": times.rfc3339(found.started_at) if found.started_at else None,
        "finished_at": times.rfc3339(found.finished_at) if found.finished_at else None,
        "saved_bytes": found.saved_bytes,
        "rate": rate,
        "time_left": time_left,
    }


def check(connection: Reader) -> None:
    """Raises sqlite3.Error where the index does not answer."""
    connection.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
