"""Work that nobody waits for asks for less: low CPU and I/O priority for the one thread that does it.

Linux has both for each thread. A thread may always become nicer, but back only with CAP_SYS_NICE or a sufficient
RLIMIT_NICE (`LimitNICE=+0` in a systemd unit); without that only the I/O priority changes, which may always come back.
Elsewhere nothing changes. Decoding in a helper process keeps the priority of that process.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

NICE = 10
"""A tenth of the CPU time of one that is not nice, while both want it; all of it otherwise."""
LOWEST_IO = 2 << 13 | 7
"""Class best effort, level 7 of 0–7 (ioprio_set(2)); class idle could wait for ever on a busy disk."""

_THREAD = 1  # IOPRIO_WHO_PROCESS, with 0: the calling thread
_CALLS = {"x86_64": (251, 252), "aarch64": (30, 31)}.get(platform.machine()) if sys.platform == "linux" else None


@contextmanager
def modest() -> Iterator[None]:
    """Within it this thread takes less where others want some. Never fails; what cannot be changed stays."""
    me = threading.get_native_id()
    nice = os.getpriority(os.PRIO_PROCESS, me) if _may_rise() else None
    io = _io_priority()
    if nice is not None:
        os.setpriority(os.PRIO_PROCESS, me, max(nice, NICE))
    if io is not None:
        _set_io_priority(LOWEST_IO)
    try:
        yield
    finally:
        if io is not None:
            _set_io_priority(io)
        if nice is not None:
            os.setpriority(os.PRIO_PROCESS, me, nice)


@functools.cache
def _may_rise() -> bool:
    """Tried once, by a thread that ends then."""
    if sys.platform != "linux":
        return False  # there a thread's id names no priority
    risen: list[bool] = []

    def try_it() -> None:
        me = threading.get_native_id()
        with contextlib.suppress(OSError):
            before = os.getpriority(os.PRIO_PROCESS, me)
            os.setpriority(os.PRIO_PROCESS, me, min(before + 1, 19))
            os.setpriority(os.PRIO_PROCESS, me, before)
            risen.append(True)

    thread = threading.Thread(target=try_it, name="hotfolder-priority")
    thread.start()
    thread.join()
    return bool(risen)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _io_priority() -> int | None:
    """Of this thread; None where there is no such thing."""
    if _CALLS is None:
        return None
    found = int(_libc().syscall(_CALLS[1], _THREAD, 0))
    return found if found >= 0 else None


def _set_io_priority(value: int) -> None:
    if _CALLS is not None:
        _libc().syscall(_CALLS[0], _THREAD, 0, value)
