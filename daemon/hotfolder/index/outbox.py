"""Tables `outbox` and `batch`: events that hooks have to be notified of, and what is collected for a `batch_done`.

Rows are written in the transaction of the result that they are about, so neither stands without the other. Nothing is
sent here.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args

from hotfolder import times
from hotfolder.index.readers import Reader
from hotfolder.index.rows import Columns
from hotfolder.model import HookEvent

READY, FAILED, REMOVED, BATCH_DONE = get_args(HookEvent)
RESYNC = "resync"
"""Told to every hook: events beyond what can wait have been left out."""

MOST_WAITING = 10_000
"""Of one hook; beyond that the oldest become one `resync`."""
MERGED_AT_ONCE = 1_000
MOST_DEAD = 1_000
"""Of one hook; the oldest beyond that are forgotten."""
LONGEST_PAUSE = 3600.0
"""Seconds; no delivery is put off for longer. A moment further away was noted by a clock that has been set back."""

_PUT = """
    INSERT INTO outbox (delivery, hook, event, watch, path, body, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)"""
_OLDEST = """
    SELECT id, created_at, watch, body, event FROM outbox WHERE hook = ? AND state = 'waiting' AND event <> 'batch_done'
    ORDER BY id LIMIT ?"""
_COLLECT = """
    INSERT INTO batch (hook, watch, path, event) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET event = excluded.event"""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A hook for those who write to the outbox: its name and the events that it wants."""

    name: str
    events: frozenset[str]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one hook. `body` is JSON text; `id` orders, `delivery` is what a receiver knows it by."""

    id: int
    delivery: str
    hook: str
    event: str
    watch: str
    path: bytes
    body: str
    tries: int
    created_at: float
    next_at: float
    problem: str


_COLUMNS = Columns(Delivery)
_NEXT = f"""
    SELECT {_COLUMNS.sql} FROM outbox o
    WHERE hook = ? AND state = 'waiting' AND (next_at <= ? OR next_at > ?) AND NOT EXISTS (
        SELECT 1 FROM outbox e
        WHERE e.hook = o.hook AND e.watch = o.watch AND e.path = o.path AND e.id < o.id AND e.state = 'waiting')
    ORDER BY id LIMIT 1"""


# -- writing what has happened -----------------------------------------------------------------------------------------


def put(connection: sqlite3.Connection, hook: str, event: str, watch: str, path: bytes, facts: dict[str, Any]) -> None:
    """Have a hook notified of `facts`. Deliveries of one path keep their order."""
    now = time.time()
    delivery = secrets.token_hex(8)
    body = {"id": delivery, "event": event, "hook": hook, "at": times.rfc3339(now), "watch": watch} | facts
    row = (delivery, hook, event, watch, path, json.dumps(body), now)
    number = connection.execute(_PUT, row).lastrowid or 0
    if number % 100 == 0:
        _bound(connection, hook)


def collect(connection: sqlite3.Connection, hook: str, watch: str, path: bytes, event: str) -> None:
    """Have it in the list of the hook's next `batch_done`; of one path the last event counts."""
    connection.execute(_COLLECT, (hook, watch, path, event))


def resync(
    connection: sqlite3.Connection, hook: str, watches: Iterable[str], since: float, merged: int, why: str
) -> None:
    """Notify a hook that single events are missing since then. One that still waits is merged into the new one."""
    names = set(watches)
    query = "SELECT id, body FROM outbox WHERE hook = ? AND state = 'waiting' AND event = ?"
    for id_, text in connection.execute(query, (hook, RESYNC)).fetchall():
        former = json.loads(text)
        names |= set(former["watches"])
        since = min(since, former["since_seconds"])
        merged += former["merged"]
        connection.execute("DELETE FROM outbox WHERE id = ?", (id_,))
    facts = {
        "since": times.rfc3339(since),
        "since_seconds": since,
        "merged": merged,
        "watches": sorted(names),
        "message": why,
    }
    put(connection, hook, RESYNC, "", b"", facts)


def rename_watch(connection: sqlite3.Connection, former: str, name: str) -> None:
    """What was meant of a watch is of its new name."""
    for table in ("outbox", "batch"):
        connection.execute(f"UPDATE {table} SET watch = ? WHERE watch = ?", (name, former))


def _bound(connection: sqlite3.Connection, hook: str) -> None:
    query = "SELECT count(*) FROM outbox WHERE hook = ? AND state = 'waiting'"
    (waiting,) = connection.execute(query, (hook,)).fetchone()
    if waiting <= MOST_WAITING:
        return
    rows = connection.execute(_OLDEST, (hook, waiting - MOST_WAITING + MERGED_AT_ONCE)).fetchall()
    rows = [row for row in rows if row[4] != RESYNC]
    if rows:
        connection.executemany("DELETE FROM outbox WHERE id = ?", [(row[0],) for row in rows])
        why = "too many deliveries waited; compare everything that changed since then"
        resync(connection, hook, {row[2] for row in rows}, rows[0][1], len(rows), why)


# -- sending -----------------------------------------------------------------------------------------------------------


def next_due(connection: Reader, hook: str, now: float) -> Delivery | None:
    """The oldest delivery that may be tried now, none before an earlier one of its path."""
    row = connection.execute(_NEXT, (hook, now, now + LONGEST_PAUSE)).fetchone()
    return None if row is None else _COLUMNS.row(row)


def next_moment(connection: Reader, hook: str) -> float | None:
    """When the next delivery may be tried, in seconds since 1970; None where none waits."""
    query = "SELECT min(next_at) FROM outbox WHERE hook = ? AND state = 'waiting'"
    moment: float | None = connection.execute(query, (hook,)).fetchone()[0]
    return moment


def done(connection: sqlite3.Connection, id_: int) -> None:
    connection.execute("DELETE FROM outbox WHERE id = ?", (id_,))


def put_off(connection: sqlite3.Connection, id_: int, next_at: float, problem: str) -> None:
    query = "UPDATE outbox SET tries = tries + 1, next_at = ?, problem = ? WHERE id = ?"
    connection.execute(query, (next_at, problem, id_))


def bury(connection: sqlite3.Connection, delivery: Delivery, problem: str) -> None:
    """It was tried as often as its hook allows."""
    query = "UPDATE outbox SET tries = tries + 1, state = 'dead', problem = ? WHERE id = ?"
    connection.execute(query, (problem, delivery.id))
    old = "SELECT id FROM outbox WHERE hook = ? AND state = 'dead' ORDER BY id DESC LIMIT -1 OFFSET ?"
    connection.execute(f"DELETE FROM outbox WHERE id IN ({old})", (delivery.hook, MOST_DEAD))


def revive(connection: sqlite3.Connection, hook: str | None) -> int:
    """Have the dead deliveries of a hook, or of all, tried again; returns how many."""
    query = (
        "UPDATE outbox SET state = 'waiting', tries = 0, next_at = 0 WHERE state = 'dead' AND hook = ifnull(?, hook)"
    )
    return connection.execute(query, (hook,)).rowcount


def forget_others(connection: sqlite3.Connection, hooks: Iterable[str]) -> int:
    """Forget what was meant for hooks that are no longer configured; returns how many deliveries."""
    known = json.dumps(sorted(hooks))
    among = "hook NOT IN (SELECT value FROM json_each(?))"
    connection.execute(f"DELETE FROM batch WHERE {among}", (known,))
    return connection.execute(f"DELETE FROM outbox WHERE {among}", (known,)).rowcount


# -- batches -----------------------------------------------------------------------------------------------------------


def has_collected(connection: Reader, hook: str, watch: str) -> bool:
    query = "SELECT 1 FROM batch WHERE hook = ? AND watch = ? LIMIT 1"
    return connection.execute(query, (hook, watch)).fetchone() is not None


def collected(connection: Reader, hook: str, watch: str) -> int:
    """How many paths wait for the hook's next `batch_done`."""
    query = "SELECT count(*) FROM batch WHERE hook = ? AND watch = ?"
    return int(connection.execute(query, (hook, watch)).fetchone()[0])


def take_page(connection: sqlite3.Connection, hook: str, watch: str, limit: int) -> list[tuple[bytes, str]]:
    """The first of them, which are forgotten by this: (path, event)."""
    query = "SELECT path, event FROM batch WHERE hook = ? AND watch = ? ORDER BY path LIMIT ?"
    rows: list[tuple[bytes, str]] = connection.execute(query, (hook, watch, limit)).fetchall()
    forget = "DELETE FROM batch WHERE hook = ? AND watch = ? AND path = ?"
    connection.executemany(forget, [(hook, watch, path) for path, _ in rows])
    return rows


# -- reading -----------------------------------------------------------------------------------------------------------


def counts(connection: Reader) -> dict[tuple[str, str], tuple[int, float]]:
    """By hook and state (waiting, dead): how many, and when the oldest was written."""
    query = "SELECT hook, state, count(*), min(created_at) FROM outbox GROUP BY hook, state"
    return {(hook, state): (count, oldest) for hook, state, count, oldest in connection.execute(query).fetchall()}


def dead(connection: Reader, limit: int) -> list[Delivery]:
    """The newest dead deliveries."""
    query = f"SELECT {_COLUMNS.sql} FROM outbox WHERE state = 'dead' ORDER BY id DESC LIMIT ?"
    return _COLUMNS.rows(connection.execute(query, (limit,)).fetchall())
