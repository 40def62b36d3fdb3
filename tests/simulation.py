"""Loops of a daemon run one step at a time, in an order that a seed decides, on a clock of their own."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hotfolder import loop
from hotfolder.loop import Loop


class Sleeping:
    """Stands for the thread of a loop; it runs when the simulation calls."""

    def is_alive(self) -> bool:
        return True

    def join(self, timeout: float | None = None) -> None:
        pass


class Simulation:
    """Whoever rests is woken at once, as a condition may wake anybody; the clock goes on by what was left to rest."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.clock = 0.0
        self.rests: list[float | None] = []

    @contextmanager
    def going(self) -> Iterator[None]:
        with loop.simulated(self):
            yield

    def step(self, loops: list[Loop]) -> None:
        """One of them, whichever it is."""
        self.chance.choice(loops).once()

    # -- Timing -------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        return self.clock

    def rest(self, changed: threading.Condition, until: Callable[[], object], seconds: float | None) -> None:
        if not until():
            self.rests.append(seconds)
            self.clock += seconds or 0.0

    def run(self, name: str, target: Callable[[], None]) -> Sleeping:
        return Sleeping()
