"""What orders have given to the queue and not got back: which of their images, and when each is given again."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Collection, Iterable

from hotfolder.index.orders import Item, Order
from hotfolder.orders.endings import Out

Key = tuple[str, bytes]
"""The name of a watch, and a path."""


class Given:
    """By path. Its size is bounded by whoever gives. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._out: dict[Key, list[Out]] = {}
        self._again: list[tuple[float, Key]] = []
        self._fed: dict[int, int] = {}
        self._begun: set[int] = set()

    def __len__(self) -> int:
        """Images, once for each order that wants them."""
        with self._lock:
            return sum(map(len, self._out.values()))

    def at(self, key: Key) -> list[Out]:
        """Of all orders, at one path."""
        with self._lock:
            return list(self._out.get(key, ()))

    def open(self, orders: Iterable[Order]) -> None:
        """These go on; what was known of others is forgotten."""
        with self._lock:
            self._fed = {order.id: self._fed.get(order.id, -1) for order in orders}
            self._begun &= self._fed.keys()

    @property
    def orders(self) -> int:
        """How many go on."""
        return len(self._fed)

    def last(self, order: Order) -> int:
        """The number of its image that was given last; -1 before the first."""
        return self._fed.get(order.id, -1)

    def begun(self, outs: Iterable[Out]) -> set[int]:
        """The orders among these on which work begins now."""
        with self._lock:
            new = {out.item.order_id for out in outs} - self._begun
            self._begun |= new
            return new

    def skip(self, item: Item) -> None:
        """It counts as given, and nobody has it."""
        with self._lock:
            self._fed[item.order_id] = item.n

    def add(self, watch: str, out: Out) -> None:
        with self._lock:
            self._fed[out.item.order_id] = out.item.n
            self._out.setdefault((watch, out.item.path), []).append(out)

    def end(self, key: Key, ended: Collection[Out]) -> bool:
        """These are back. Whether others are left at this path."""
        with self._lock:
            left = [out for out in self._out.pop(key, ()) if out not in ended]
            if left:
                self._out[key] = left
            return bool(left)

    def cancel(self, order: Order) -> list[Key]:
        """Forget what is out of this order; returns paths that no other order wants."""
        freed = []
        with self._lock:
            for key, outs in list(self._out.items()):
                self._out[key] = [out for out in outs if out.item.order_id != order.id]
                if not self._out[key]:
                    del self._out[key]
                    freed.append(key)
        return freed

    def watches(self, order: Order) -> set[str]:
        """Those in which images of this order are out."""
        with self._lock:
            return {
                watch for (watch, _), outs in self._out.items() if any(out.item.order_id == order.id for out in outs)
            }

    def give_again(self, key: Key, moment: float) -> None:
        """At this moment, unless it is back by then."""
        with self._lock:
            heapq.heappush(self._again, (moment, key))

    def due(self, now: float) -> list[Key]:
        """What is to be given again by now."""
        with self._lock:
            found = []
            while self._again and self._again[0][0] <= now:
                found.append(heapq.heappop(self._again)[1])
            return [key for key in found if key in self._out]

    def next_due(self) -> float | None:
        """The moment at which something is to be given again."""
        with self._lock:
            return self._again[0][0] if self._again else None
