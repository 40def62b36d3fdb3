"""What a process holds, read from outside: to compare before and after."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Footprint:
    """Of one process; bytes, and numbers of things. Connections to the index, which are few and stay, are no part."""

    memory: int
    descriptors: int
    threads: int
    children: int

    @staticmethod
    def of(pid: int) -> Footprint:
        """Memory is what is its own alone: what it maps of files comes and goes with the system's cache."""
        status = Path(f"/proc/{pid}/status").read_text()
        (memory,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))
        children = 0
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                children += len(Path(f"/proc/{pid}/task/{task}/children").read_text().split())
            except (FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                continue
        threads = len(os.listdir(f"/proc/{pid}/task"))
        return Footprint(1024 * memory, sum(not _is_index(each) for each in open_files(pid)), threads, children)

    def beyond(self, other: Footprint, memory: int, more: int = 0) -> list[str]:
        """What has grown since the other: memory by more than these bytes, numbers by more than `more`."""
        found = [
            f"{name}: {getattr(other, name)} → {getattr(self, name)}"
            for name in ("descriptors", "threads", "children")
            if getattr(self, name) > getattr(other, name) + more
        ]
        if self.memory > other.memory + memory:
            found.append(f"memory: {other.memory:,} → {self.memory:,}")
        return found


def _is_index(file: str) -> bool:
    return "/index.db" in file


def connections(pid: int) -> int:
    """How many files of the index are open, three for each connection."""
    return sum(_is_index(each) for each in open_files(pid))


def open_files(pid: int) -> list[str]:
    """What its descriptors are, for the message of a test."""
    found = []
    for each in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{each}"))
        except FileNotFoundError:
            continue
    return sorted(found)
