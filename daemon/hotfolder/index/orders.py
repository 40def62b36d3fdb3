"""Tables `orders` and `order_item`: the orders of callers, the images in them, and what came of each.

Finished orders beyond the newest KEPT are forgotten with their images, so that the tables stay bounded.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hotfolder.errors import Reason
from hotfolder.index.readers import Reader
from hotfolder.index.rows import Columns

OPEN_MOST = 100
KEPT = 100

Kind = Literal["generate", "generate-preset", "optimize", "analyze"]

_INSERT = "INSERT INTO orders (key, kind, state, spec, total, created_at) VALUES (?, ?, 'queued', ?, ?, ?)"
_INSERT_ITEM = "INSERT INTO order_item (order_id, n, watch_id, path, name, state) VALUES (?, ?, ?, ?, ?, 'waiting')"
_SPECS_OF = """
    SELECT DISTINCT o.spec FROM order_item i JOIN orders o ON o.id = i.order_id
    WHERE i.watch_id = ? AND i.path = ? AND i.state = 'waiting'"""
_END_ITEM = "UPDATE order_item SET state = ?, result = ? WHERE order_id = ? AND n = ? AND state = 'waiting'"
_CANCEL_ITEMS = "UPDATE order_item SET state = 'cancelled' WHERE order_id = ? AND state = 'waiting'"
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


_ORDER = Columns(Order)
_ITEM = Columns(Item)
_OPEN = f"SELECT {_ORDER.sql} FROM orders WHERE finished_at IS NULL ORDER BY id"
_BY_KEY = f"SELECT {_ORDER.sql} FROM orders WHERE key = ?"
_NEWEST = f"SELECT {_ORDER.sql} FROM orders ORDER BY id DESC LIMIT ?"
_WAITING = f"""
    SELECT {_ITEM.sql} FROM order_item WHERE order_id = ? AND state = 'waiting' AND n > ? ORDER BY n LIMIT ?"""
_COUNT = f"""
    UPDATE orders SET done = done + ?, failed = failed + ?, saved_bytes = saved_bytes + ? WHERE id = ?
    RETURNING {_ORDER.sql}"""
_FINISH = f"""
    UPDATE orders SET state = 'done', started_at = coalesce(started_at, ?), finished_at = ? WHERE id = ?
    RETURNING {_ORDER.sql}"""


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
    return _ORDER.rows(connection.execute(_OPEN).fetchall())


def waiting(connection: Reader, order_id: int, after: int, limit: int) -> list[Item]:
    """Images of an order that are not ended, behind number `after`."""
    return _ITEM.rows(connection.execute(_WAITING, (order_id, after, limit)).fetchall())


def specs_of(connection: Reader, watch_id: int, path: bytes) -> list[str]:
    """What open orders want of one source."""
    return [row[0] for row in connection.execute(_SPECS_OF, (watch_id, path)).fetchall()]


def start(connection: sqlite3.Connection, order_id: int, now: float) -> None:
    query = "UPDATE orders SET state = 'running', started_at = ? WHERE id = ? AND state = 'queued'"
    connection.execute(query, (now, order_id))


def end_item(
    connection: sqlite3.Connection, item: Item, result: dict[str, Any], saved: int, now: float
) -> Order | None:
    """What came of an image: {renditions, error …}. Returns the order as it stands now; None where it was cancelled.

    Only `start` notes that an order has begun: what is refused at once is no work.
    """
    failed = result["error"] is not None
    state = "failed" if failed else "done"
    if not connection.execute(_END_ITEM, (state, json.dumps(result), item.order_id, item.n)).rowcount:
        return None
    order = _ORDER.row(connection.execute(_COUNT, (not failed, failed, saved, item.order_id)).fetchone())
    if order.done + order.failed < order.total:
        return order
    order = _ORDER.row(connection.execute(_FINISH, (now, now, order.id)).fetchone())
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
    row = connection.execute(_BY_KEY, (key,)).fetchone()
    return None if row is None else _ORDER.row(row)


def newest(connection: Reader, limit: int) -> list[Order]:
    return _ORDER.rows(connection.execute(_NEWEST, (limit,)).fetchall())


def results(
    connection: Reader, order_id: int, after: int, limit: int
) -> Iterable[tuple[int, str, str, dict[str, Any]]]:
    """Number, name, state and result of images, in their order, from behind `after`."""
    rows = connection.execute(_RESULTS, (order_id, after, limit)).fetchall()
    return [(n, name, state, json.loads(result) if result else {}) for n, name, state, result in rows]
