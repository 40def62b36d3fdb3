"""Orders of callers and the images in them: rows that feed the queue, and what came of each.

All functions take a connection: those that change something must run inside `Database.write`. Finished orders beyond
the newest KEPT are forgotten with their images, so that the tables stay bounded.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hotfolder.errors import Reason
from hotfolder.index.readers import Reader

OPEN_MOST = 100
KEPT = 100

Kind = Literal["generate", "generate-preset", "optimize", "analyze"]

_COLUMNS = "id, key, kind, state, spec, total, done, failed, saved_bytes, created_at, started_at, finished_at"
_INSERT = "INSERT INTO orders (key, kind, state, spec, total, created_at) VALUES (?, ?, 'queued', ?, ?, ?)"
_INSERT_ITEM = "INSERT INTO order_item (order_id, n, watch_id, path, name, state) VALUES (?, ?, ?, ?, ?, 'waiting')"
_OPEN = f"SELECT {_COLUMNS} FROM orders WHERE finished_at IS NULL ORDER BY id"
_WAITING = """
    SELECT n, watch_id, path FROM order_item WHERE order_id = ? AND state = 'waiting' AND n > ? ORDER BY n LIMIT ?"""
_SPECS_OF = """
    SELECT DISTINCT o.spec FROM order_item i JOIN orders o ON o.id = i.order_id
    WHERE i.watch_id = ? AND i.path = ? AND i.state = 'waiting'"""
_END_ITEM = "UPDATE order_item SET state = ?, result = ? WHERE order_id = ? AND n = ? AND state = 'waiting'"
_CANCEL_ITEMS = "UPDATE order_item SET state = 'cancelled' WHERE order_id = ? AND state = 'waiting'"
_COUNT = f"""
    UPDATE orders SET done = done + ?, failed = failed + ?, saved_bytes = saved_bytes + ? WHERE id = ?
    RETURNING {_COLUMNS}"""
_RESULTS = "SELECT n, name, state, result FROM order_item WHERE order_id = ? AND n > ? ORDER BY n LIMIT ?"
_PRUNE = """
    DELETE FROM orders WHERE id IN (
        SELECT id FROM orders WHERE finished_at IS NOT NULL ORDER BY finished_at DESC, id DESC LIMIT -1 OFFSET ?)"""


class TooManyOpen(Exception):
    """There are OPEN_MOST open orders already."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order; times in seconds since 1970. `done` counts all that ended well, `failed` the others."""

    id: int
    key: str
    kind: str
    state: str
    spec: str
    total: int
    done: int
    failed: int
    saved_bytes: int
    created_at: float
    started_at: float | None
    finished_at: float | None

    @property
    def open(self) -> bool:
        return self.finished_at is None


@dataclass(frozen=True, slots=True)
class Item:
    """One image of an order."""

    order_id: int
    n: int
    watch_id: int
    path: bytes


@dataclass(frozen=True, slots=True)
class New:
    """An image as it is ordered: where it lies, what the caller calls it, and why it is none of ours."""

    watch_id: int
    path: bytes
    name: str
    refused: str = ""


def add(connection: sqlite3.Connection, key: str, kind: Kind, spec: str, items: Sequence[New], now: float) -> int:
    """A new order. Raises TooManyOpen."""
    (count,) = connection.execute("SELECT count(*) FROM orders WHERE finished_at IS NULL").fetchone()
    if count >= OPEN_MOST:
        raise TooManyOpen
    order_id = connection.execute(_INSERT, (key, kind, spec, len(items), now)).lastrowid or 0
    rows = [(order_id, n, item.watch_id, item.path, item.name) for n, item in enumerate(items)]
    connection.executemany(_INSERT_ITEM, rows)
    for n, item in enumerate(items):
        if item.refused:
            error = {"reason": str(Reason.UNSUPPORTED), "message": item.refused}
            end_item(connection, Item(order_id, n, item.watch_id, item.path), {"error": error}, 0, now)
    return order_id


def open_orders(connection: Reader) -> list[Order]:
    """The oldest first."""
    return [Order(*row) for row in connection.execute(_OPEN).fetchall()]


def waiting(connection: Reader, order_id: int, after: int, limit: int) -> list[Item]:
    """Images of an order that are not ended, behind number `after`."""
    rows = connection.execute(_WAITING, (order_id, after, limit)).fetchall()
    return [Item(order_id, *row) for row in rows]


def specs_of(connection: Reader, watch_id: int, path: bytes) -> list[str]:
    """What open orders want of one source."""
    return [row[0] for row in connection.execute(_SPECS_OF, (watch_id, path)).fetchall()]


def start(connection: sqlite3.Connection, order_id: int, now: float) -> None:
    query = "UPDATE orders SET state = 'running', started_at = ? WHERE id = ? AND state = 'queued'"
    connection.execute(query, (now, order_id))


def end_item(
    connection: sqlite3.Connection, item: Item, result: dict[str, Any], saved: int, now: float
) -> Order | None:  # fmt: skip
    """What came of an image: {renditions, error …}. Gives the order as it stands now; None where it was cancelled.

    That an order has begun is for `start` to say: what is refused at once is no work.
    """
    failed = result["error"] is not None
    state = "failed" if failed else "done"
    if not connection.execute(_END_ITEM, (state, json.dumps(result), item.order_id, item.n)).rowcount:
        return None
    order = Order(*connection.execute(_COUNT, (not failed, failed, saved, item.order_id)).fetchone())
    if order.done + order.failed < order.total:
        return order
    query = f"""
        UPDATE orders SET state = 'done', started_at = coalesce(started_at, ?), finished_at = ? WHERE id = ?
        RETURNING {_COLUMNS}"""
    order = Order(*connection.execute(query, (now, now, order.id)).fetchone())
    connection.execute(_PRUNE, (KEPT,))
    return order


def cancel(connection: sqlite3.Connection, key: str, now: float) -> Order | None:
    """Images that wait are given up; an order that has ended stays as it is. None where there is none."""
    order = find(connection, key)
    if order is None or not order.open:
        return order
    connection.execute(_CANCEL_ITEMS, (order.id,))
    connection.execute("UPDATE orders SET state = 'cancelled', finished_at = ? WHERE id = ?", (now, order.id))
    connection.execute(_PRUNE, (KEPT,))
    return find(connection, key)


def find(connection: Reader, key: str) -> Order | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM orders WHERE key = ?", (key,)).fetchone()
    return None if row is None else Order(*row)


def newest(connection: Reader, limit: int) -> list[Order]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM orders ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
    return [Order(*row) for row in rows]


def results(
    connection: Reader, order_id: int, after: int, limit: int
) -> Iterable[tuple[int, str, str, dict[str, Any]]]:  # fmt: skip
    """Number, name, state and result of images, in their order, from behind `after`."""
    rows = connection.execute(_RESULTS, (order_id, after, limit)).fetchall()
    return [(n, name, state, json.loads(result) if result else {}) for n, name, state, result in rows]
