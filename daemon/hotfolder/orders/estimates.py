"""How long open orders will still take, told from what their newest images took a worker.

The time of work counts, not that on the wall: pauses, restarts and images that were there already change nothing.
"""

from __future__ import annotations

import threading
from collections import deque

NEWEST = 32


class Estimates:
    """By order; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._took: dict[int, deque[float]] = {}

    def note(self, order_id: int, seconds: float) -> None:
        """An image of this order was made, and took a worker so long."""
        with self._lock:
            self._took.setdefault(order_id, deque(maxlen=NEWEST)).append(seconds)

    def forget(self, order_id: int) -> None:
        with self._lock:
            self._took.pop(order_id, None)

    def left(self, order_id: int, images: int, workers: float) -> float | None:
        """Seconds for so many images, by so many workers at once; None as long as none was made."""
        with self._lock:
            took = self._took.get(order_id)
            if not took:
                return None
            return images * sum(took) / len(took) / max(1.0, min(workers, images))
