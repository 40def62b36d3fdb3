"""How many workers and how much memory suit this machine: CPUs that may really be used, limits of cgroups.

Pure decisions beside a few reads of /proc and /sys; the daemon queries them again and again and resizes its pool.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import psutil

from hotfolder.pool import cgroup
from hotfolder.pool.threads import LOW

AUTO_MOST = 16
MEMORY_EACH = 128_000_000
"""Bytes of the memory limit below which a further worker would only wait for memory."""
MEMORY_SHARE = 0.6
MEMORY_LEAST = 256_000_000
PROGRAM_MEMORY = 120_000_000
"""Bytes that the process takes without any picture: interpreter, libraries, caches of the index."""
WORKER_MEMORY = 600_000
"""Bytes that stay with each worker: its stack, what the allocator keeps for its thread."""


class Why(StrEnum):
    """Why the pool was given another size (the label of hotfolder_pool_resizes_total)."""

    CPU_IDLE = "cpu_idle"
    CPU_SHORT = "cpu_short"
    MEMORY_SHORT = "memory_short"


def usable_cpus() -> float:
    """CPUs that affinity and the quota of the cgroup leave us; perhaps a part of one."""
    count = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else float(os.cpu_count() or 1)
    quota = cgroup.cpus()
    return count if quota is None else min(count, quota)


def auto_workers(cpus: float, memory_limit: int) -> int:
    """min(2 × usable CPUs, 16), never under 2, fewer where memory is short."""
    by_memory = memory_limit // MEMORY_EACH
    return max(LOW, min(math.ceil(2 * cpus), AUTO_MOST, int(by_memory)))


def available_memory() -> int:
    """Bytes that may still be taken before the machine, or a cgroup above us, is out of them."""
    machine, group = psutil.virtual_memory().available, cgroup.memory()
    return machine if group is None else min(machine, group)


def auto_memory() -> int:
    """Bytes: a share of what is available now."""
    return max(MEMORY_LEAST, int(available_memory() * MEMORY_SHARE))


@dataclass(frozen=True, slots=True)
class Bounds:
    """The fewest and the most workers, and how many there are at first."""

    low: int
    high: int
    first: int


def bounds(workers: int | Literal["auto"], memory_limit: int) -> Bounds:
    """As configured; `auto`: by the CPUs that are ours, and by what each worker needs of `memory_limit` bytes."""
    if workers != "auto":
        return Bounds(workers, workers, workers)
    cpus = usable_cpus()
    most = auto_workers(cpus, memory_limit)
    return Bounds(2, most, max(2, min(most, round(cpus))))


def memory_limit(configured: int | Literal["auto"]) -> int:
    """In bytes."""
    return auto_memory() if configured == "auto" else configured


def own_memory(most_workers: int) -> int:
    """Bytes that the process takes beside its pictures."""
    return PROGRAM_MEMORY + most_workers * WORKER_MEMORY


def target(
    current: int, low: int, high: int, *, waiting: int, cpu_share: float, memory_share: float
) -> tuple[int, Why | None]:
    """How many workers there should be next, and why where that differs.

    `cpu_share` is the part of the usable CPUs in use (0–1), `memory_share` that of the memory limit: one more while
    jobs wait and the CPUs idle (slow disks), one fewer where either runs short and there are more than the CPUs need.
    """
    if memory_share > 0.9 and current > low:
        return current - 1, Why.MEMORY_SHORT
    if waiting > 0 and cpu_share < 0.7 and memory_share < 0.7 and current < high:
        return current + 1, Why.CPU_IDLE
    if cpu_share > 0.97 and current > max(low, high // 2):
        return current - 1, Why.CPU_SHORT
    return current, None


def raise_file_limit() -> None:
    """Have as many files open as the system allows this process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS names a hard limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
