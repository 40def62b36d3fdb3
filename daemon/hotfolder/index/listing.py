"""Sources in pages, the newest first, with their failures: for the API and the page. Only reads.

A page costs the same wherever it lies and however many sources there are: it goes on from a position (done_at, id).
A search for a text looks at names until the page is full.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hotfolder.index import failures, folders
from hotfolder.index.failures import Failure
from hotfolder.index.numbers import number
from hotfolder.index.readers import Reader
from hotfolder.model import State, Version

Position = tuple[float, int]
"""done_at and id of the last one of the page before."""
START: Position = (float("inf"), 0)

# Literals, not parameters: partial indexes are found by them.
_OF_STATE = {state: f"s.state = {int(state)}" for state in State}
_NAMES = tuple(
    "id watch_id folder_id name state format width height size mtime_ns hash seen_at done_at decoder extra".split()
)
_SELECTED = ", ".join(f"s.{name}" for name in _NAMES)
_LIST = f"""
    SELECT {_SELECTED}, {failures.COLUMNS.sql}
    FROM source s {{hint}} LEFT JOIN failure f ON f.source_id = s.id
    WHERE {{where}} ORDER BY s.done_at DESC, s.id DESC"""


@dataclass(frozen=True, slots=True)
class Listed:
    """One source; times in seconds since 1970, 0: never."""

    id: int
    watch_id: int
    path: bytes
    state: State
    format: str
    width: int
    height: int
    version: Version
    seen_at: float
    done_at: float
    decoder: str
    extra: str
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Filter:
    """`text` stands in the name, or in the name of the folder; upper and lower case are the same."""

    watch_id: int | None = None
    state: State | None = None
    text: str = ""


def page(connection: Reader, chosen: Filter, after: Position, limit: int) -> list[Listed]:
    """At most `limit` sources from behind the position, the newest first."""
    where, values = ["(s.done_at, s.id) < (?, ?)"], [*after]
    hint = "INDEXED BY source_newest"
    if chosen.state is not None and chosen.state is not State.DONE:
        where.append(_OF_STATE[chosen.state])
        hint = "INDEXED BY source_unmade"
        where.append("s.state <> 1")
    elif chosen.state is State.DONE:
        where.append(_OF_STATE[chosen.state])
    if chosen.watch_id is not None:
        where.append("s.watch_id = ?")
        values.append(chosen.watch_id)
        hint = hint if "unmade" in hint else "INDEXED BY source_newest_of"
    text, more = _like(chosen.text)
    query = _LIST.format(hint=hint, where=" AND ".join([*where, *text])) + " LIMIT ?"
    return list(_listed(connection, connection.execute(query, (*values, *more, limit)).fetchall()))


def one(connection: Reader, source_id: int) -> Listed | None:
    rows = connection.execute(_LIST.format(hint="", where="s.id = ?"), (source_id,)).fetchall()
    return next(_listed(connection, rows), None)


def _listed(connection: Reader, rows: list[tuple[Any, ...]]) -> Iterator[Listed]:
    paths: dict[int, bytes] = {}
    for row in rows:
        value, failed = dict(zip(_NAMES, row, strict=False)), row[len(_NAMES) :]
        folder_id, name, state = value.pop("folder_id"), value.pop("name"), State(value.pop("state"))
        if folder_id not in paths:
            paths[folder_id] = folders.path_of(connection, folder_id)
        version = Version(value.pop("size"), number(value.pop("mtime_ns")), 0, 0, value.pop("hash"))
        failure = failures.COLUMNS.row(failed) if failed[0] is not None and state is State.FAILED else None
        path = paths[folder_id] + b"/" + name if paths[folder_id] else name
        yield Listed(path=path, state=state, version=version, failure=failure, **value)


def _like(text: str) -> tuple[list[str], list[Any]]:
    """SQLite folds ASCII alone: other letters are looked for as given, small, capital, composed and decomposed."""
    if not text:
        return [], []
    spelled = {form(each) for each in (text, text.lower(), text.upper()) for form in (_composed, _decomposed)}
    patterns = ["%" + _escaped(each) + "%" for each in sorted(spelled if not text.isascii() else {text})]
    name = " OR ".join(["CAST({} AS TEXT) LIKE ? ESCAPE '\\'"] * len(patterns))
    below = f"s.folder_id IN (SELECT d.id FROM folder d WHERE {name.replace('{}', 'd.name')})"
    return [f"({name.replace('{}', 's.name')} OR {below})"], [*patterns, *patterns]


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def ids(connection: Reader, watch_id: int, after: int, limit: int) -> list[tuple[int, int]]:
    """Id and folder of the sources of a watch, in the order of ids from behind `after`."""
    query = "SELECT id, folder_id FROM source WHERE watch_id = ? AND id > ? ORDER BY id LIMIT ?"
    found: list[tuple[int, int]] = connection.execute(query, (watch_id, after, limit)).fetchall()
    return found


def retry_at(connection: Reader, source_id: int) -> float:
    """When a source is tried again, in seconds since 1970; 0: it is not put off, or not known."""
    row = connection.execute("SELECT retry_at FROM source WHERE id = ?", (source_id,)).fetchone()
    return 0.0 if row is None else float(row[0])


def notes(connection: Reader, source_id: int) -> list[str]:
    """What was left out or given up when a source was decoded."""
    row = connection.execute("SELECT notes FROM source WHERE id = ?", (source_id,)).fetchone()
    return row[0].split(",") if row is not None and row[0] else []


def is_suspect(connection: Reader, watch_id: int, path: bytes) -> bool:
    """Whether a source was in flight when the process died, and has not been decoded since."""
    query = "SELECT 1 FROM suspect WHERE watch_id = ? AND path = ?"
    return connection.execute(query, (watch_id, path)).fetchone() is not None
