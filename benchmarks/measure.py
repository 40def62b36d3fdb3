"""What the benchmarks share: wall and CPU time of a call with all the processes that it waits for."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds."""

    wall: float
    cpu: float


def spent(call: Callable[[], object]) -> Spent:
    """Of this process and of its children that have ended."""
    before, began = _cpu(), time.perf_counter()
    call()
    return Spent(time.perf_counter() - began, _cpu() - before)


def _cpu() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(each.ru_utime + each.ru_stime for each in map(resource.getrusage, kinds))
