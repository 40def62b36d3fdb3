"""A job reserves the memory that it will need before it decodes, so that any mix of images stays under the limit.

First come, first served: a large one is not starved by small ones behind it. One that would not even fit alone is
refused: decoded at another scale it would give other bytes, and a rendition's bytes must not depend on the machine.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from hotfolder.errors import Reason, SourceError
from hotfolder.pool import allocator

PRESSING = 0.6
"""Share of the limit from which the allocator has to give back what ended jobs left in its arenas: below it the limit
holds anyway, and memory that stays is the fastest to get again."""
LEFT = 32_000_000
"""Bytes that have to be given back by jobs until it is worth the milliseconds."""


class MoreMemory(Exception):
    """`amount` bytes are needed in all, and not free now. Waiting for them while something is held would let two jobs
    wait for each other: who holds lets go first, and waits in line for all of it."""

    def __init__(self, amount: int) -> None:
        super().__init__(amount)
        self.amount = amount


class Closed(Exception):
    """The reservation was closed while somebody waited: the program is ending."""


class Reservation:
    """Bytes to share out, `own` of them taken by the process itself for good."""

    def __init__(self, limit: int, own: int = 0) -> None:
        self.limit = limit
        self._program = own
        self._withheld = 0
        self._changed = threading.Condition()
        self._line: deque[object] = deque()
        self._reserved = 0
        self._closed = False
        self._left = 0

    @property
    def _own(self) -> int:
        return min(self._program, self.limit // 2)

    @property
    def reserved(self) -> int:
        """What jobs hold, with the process's own."""
        return self._own + self._reserved

    @property
    def largest(self) -> int:
        """What one job can hold at most."""
        return self.limit - self._own

    def resize(self, limit: int, own: int) -> None:
        """Share out so many bytes from now on; what is held stays held."""
        with self._changed:
            self.limit = limit
            self._program = own
            self._changed.notify_all()

    def withhold(self, amount: int) -> None:
        """Leave so many bytes unused until told otherwise: the machine is short of them."""
        with self._changed:
            self._withheld = max(0, amount)
            self._changed.notify_all()

    @contextmanager
    def hold(self, amount: int) -> Iterator[Held]:
        """Wait in line for `amount` bytes and hold them within the block.

        Raises SourceError(TOO_MUCH_MEMORY) for more than there ever is, Closed when the program ends meanwhile.
        """
        ticket = object()
        with self._changed:
            self._line.append(ticket)
            try:
                self._changed.wait_for(
                    lambda: self._closed or amount > self.largest or (self._line[0] is ticket and self._fits(amount))
                )
            finally:
                self._line.remove(ticket)
                self._changed.notify_all()
            if self._closed:
                raise Closed
            if amount > self.largest:
                raise SourceError(
                    Reason.TOO_MUCH_MEMORY,
                    f"it needs about {amount // 1_000_000} MB of memory; of pool.memory_limit = "
                    f"{self.limit // 1_000_000} MB the program leaves {self.largest // 1_000_000} MB; raise it",
                )
            self._reserved += amount
            trim = self._left > LEFT and self.reserved > PRESSING * self.limit
            if trim:
                self._left = 0
        held = Held(self, amount)
        try:
            if trim:
                allocator.trim()
            yield held
        finally:
            with self._changed:
                self._reserved -= held.amount
                self._left += held.amount
                self._changed.notify_all()

    def _fits(self, amount: int) -> bool:
        # Where memory is short, one after the other still gets its turn, alone.
        return self._reserved + amount <= self.largest - self._withheld or self._reserved == 0

    def grow(self, held: Held, amount: int) -> bool:
        with self._changed:
            more = amount - held.amount
            if more > 0 and (self._line or self._reserved + more > self.largest - self._withheld):
                return False
            self._reserved += max(0, more)
            held.amount = max(held.amount, amount)
            return True

    def close(self) -> None:
        """Wake all who wait; they get Closed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Held:
    """What one job holds now."""

    def __init__(self, reservation: Reservation, amount: int) -> None:
        self._reservation = reservation
        self.amount = amount

    def grow(self, amount: int) -> None:
        """Hold `amount` in all. Raises MoreMemory where that is not free, or others are in line."""
        if amount > self.amount and not self._reservation.grow(self, amount):
            raise MoreMemory(amount)
