"""The bus of live events: what the pipeline and the orders tell, to whoever listens at the moment.

For eyes, not for books: nothing is kept for those who come later, and a listener that is too slow loses events and
is told how many. What must not be lost (hooks, results of orders) stands in the index.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

PIPELINE = "pipeline"
"""What became of sources: ready, reused, renamed, removed, failed, put_off, skipped."""
JOBS = "jobs"
"""How far the jobs of the API are."""
STATE = "state"
"""The whole state, once a second while someone listens."""
TOPICS = (PIPELINE, JOBS, STATE)

BUFFER = 1000
"""Events that wait for one listener at most; behind that the oldest are lost to it."""

Event = Mapping[str, Any]


class Subscription:
    """What waits for one listener, oldest first. `wake` is called, by any thread, when something begins to wait."""

    def __init__(self, bus: Bus, topics: frozenset[str], most: int, wake: Callable[[], None] | None) -> None:
        self.topics = topics
        self._bus = bus
        self._wake = wake
        self._changed = threading.Condition()
        self._waiting: deque[Event] = deque(maxlen=most)
        self._lost = 0

    def give(self, event: Event) -> None:
        """Called by the bus; never waits for the listener."""
        with self._changed:
            first = not self._waiting
            self._lost += len(self._waiting) == self._waiting.maxlen
            self._waiting.append(event)
            self._changed.notify_all()
        if first and self._wake is not None:
            self._wake()

    def take(self, timeout: float = 0.0) -> tuple[list[Event], int]:
        """All that waits, after waiting `timeout` seconds for the first; and how many were lost since the last time."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting, timeout)
            found, lost = list(self._waiting), self._lost
            self._waiting.clear()
            self._lost = 0
            return found, lost

    def close(self) -> None:
        self._bus.leave(self)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Bus:
    """Thread-safe; publishing costs next to nothing while nobody listens."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._listeners: tuple[Subscription, ...] = ()
        self._closed = False

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def subscribe(
        self, topics: Iterable[str] = TOPICS, *, most: int = BUFFER, wake: Callable[[], None] | None = None
    ) -> Subscription:
        subscription = Subscription(self, frozenset(topics), most, wake)
        with self._changed:
            self._listeners += (subscription,)
            self._changed.notify_all()
        return subscription

    def leave(self, subscription: Subscription) -> None:
        with self._changed:
            self._listeners = tuple(each for each in self._listeners if each is not subscription)

    def heard(self, topic: str) -> bool:
        """Whether someone listens."""
        return any(topic in each.topics for each in self._listeners)

    def wait_heard(self, topic: str) -> bool:
        """Wait until someone listens; False where the bus was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self.heard(topic))
            return not self._closed

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def publish(self, topic: str, event: str, /, **keys: Any) -> None:
        """Tell all that listen to the topic. `keys` are values that JSON can carry."""
        if not self.heard(topic):
            return
        moment = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        told: Event = {"topic": topic, "event": event, "time": moment} | keys
        for listener in self._listeners:
            if topic in listener.topics:
                listener.give(told)
