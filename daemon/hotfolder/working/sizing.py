"""How many workers and how much memory suit this machine: CPUs that may really be used, limits of cgroups.

Pure decisions beside a few reads of /proc and /sys; the daemon asks again and again and resizes its pool.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource

import psutil

from hotfolder.working.pool import LOW

AUTO_MOST = 16
MEMORY_EACH = 128_000_000
"""Bytes of the memory limit below which a further worker would only wait for memory."""
MEMORY_SHARE = 0.6
MEMORY_LEAST = 256_000_000


def usable_cpus(cgroup: str = "/sys/fs/cgroup") -> float:
    """CPUs that affinity and the cgroup's quota (v2, v1) leave us; at least a part of one."""
    count = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else float(os.cpu_count() or 1)
    quota = _read(f"{cgroup}/cpu.max").split()
    if len(quota) == 2 and quota[0] != "max":
        return min(count, int(quota[0]) / int(quota[1]))
    old_quota, period = _read(f"{cgroup}/cpu/cpu.cfs_quota_us"), _read(f"{cgroup}/cpu/cpu.cfs_period_us")
    if old_quota.strip().isdigit() and period.strip().isdigit() and int(period):
        return min(count, int(old_quota) / int(period))
    return count


def auto_workers(cpus: float, memory_limit: int) -> int:
    """min(2 × usable CPUs, 16), never under 2, fewer where memory is short."""
    by_memory = memory_limit // MEMORY_EACH
    return max(LOW, min(math.ceil(2 * cpus), AUTO_MOST, int(by_memory)))


def auto_memory(cgroup: str = "/sys/fs/cgroup") -> int:
    """Bytes: a share of what is available now, and of what the cgroup (v2, v1) allows."""
    available = psutil.virtual_memory().available
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _read(f"{cgroup}/{name}").strip()
        if text.isdigit():
            available = min(available, int(text))
    return max(MEMORY_LEAST, int(available * MEMORY_SHARE))


def target(current: int, low: int, high: int, waiting: int, cpu_share: float, memory_share: float) -> int:
    """How many workers there should be next.

    `cpu_share` is the part of the usable CPUs in use (0–1), `memory_share` that of the memory limit: one more while
    jobs wait and the CPUs idle (slow disks), one fewer where either runs short and there are more than the CPUs need.
    """
    if memory_share > 0.9 and current > low:
        return current - 1
    if waiting > 0 and cpu_share < 0.7 and memory_share < 0.7:
        return min(high, current + 1)
    if cpu_share > 0.97 and current > high // 2:
        return max(low, current - 1)
    return max(low, min(high, current))


def raise_file_limit() -> None:
    """Have as many files open as the system allows this process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS names a hard limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read(256)
    except OSError:
        return ""
