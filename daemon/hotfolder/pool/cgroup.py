"""What the control groups that this process is in leave it (cgroups(7)): version 2 and 1, its own and all above it.

A service of systemd sees the whole tree and its place in it; a container sees its own group as the root. Where a group
cannot be read it sets no limit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

ROOT = "/sys/fs/cgroup"
OWN = "/proc/self/cgroup"


def cpus(root: str = ROOT, own: str = OWN) -> float | None:
    """CPUs that the smallest quota grants; None without one."""
    found = []
    for folder in _folders("", root, own):
        quota, _, period = _read(f"{folder}/cpu.max").partition(" ")
        found += _share(quota, period)
    for folder in _folders("cpu", root, own):
        found += _share(_read(f"{folder}/cpu.cfs_quota_us"), _read(f"{folder}/cpu.cfs_period_us"))
    return min(found, default=None)


def memory(root: str = ROOT, own: str = OWN) -> int | None:
    """Bytes that may still be taken before the first limit is met; None without one. Cached files count as free."""
    found = []
    for folder in _folders("", root, own):
        most = [int(text) for name in ("max", "high") if (text := _read(f"{folder}/memory.{name}")).isdigit()]
        if most:
            found.append(min(most) - _used(folder, "memory.current", "inactive_file"))
    for folder in _folders("memory", root, own):
        text = _read(f"{folder}/memory.limit_in_bytes")
        if text.isdigit():  # without a limit it is a number larger than any memory
            found.append(int(text) - _used(folder, "memory.usage_in_bytes", "total_inactive_file"))
    return max(0, min(found)) if found else None


def _share(quota: str, period: str) -> list[float]:
    whole = quota.isdigit() and period.isdigit() and int(quota) > 0 and int(period) > 0
    return [int(quota) / int(period)] if whole else []


def _used(folder: str, name: str, cached: str) -> int:
    used = _read(f"{folder}/{name}")
    lines = dict(line.partition(" ")[::2] for line in _read(f"{folder}/memory.stat").splitlines())
    return (int(used) if used.isdigit() else 0) - int(lines.get(cached, 0))


def _folders(controller: str, root: str, own: str) -> Iterator[str]:
    """The group's folder and those above it, up to the root; of version 1 for a controller, of version 2 for none."""
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller not in controllers.split(","):
            continue
        top = f"{root}/{controller}" if controller else root
        place = os.path.normpath("/" + path.lstrip("/"))
        while True:
            yield top + place.rstrip("/")
            if place == "/":
                break
            place = os.path.dirname(place)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read(16384).strip()
    except (OSError, UnicodeDecodeError):
        return ""
