"""Whether something grows with how often it is done: memory in bytes for each time, after a warm-up.

What malloc has given out and not got back is counted, since the resident size of a process says only how much it once
needed; Python's own small objects lie in pages of their own and are counted in blocks.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable

import pytest

BLOCK_BYTES = 64
"""What a block of Python's counts; most are smaller."""


class _Mallinfo2(ctypes.Structure):
    _names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in _names.split()]


def held() -> int:
    """Bytes that this process has asked for and not given back."""
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if ask is None:
        pytest.skip("this C library does not tell how much is given out (mallinfo2 of glibc 2.33)")
    ask.restype = _Mallinfo2
    found = ask()
    return int(found.uordblks + found.hblkhd) + BLOCK_BYTES * sys.getallocatedblocks()


def growth(do: Callable[[], object], times: int) -> float:
    """Bytes that are kept each time it is done: the smaller of two halves, since caches fill in steps."""
    for _ in range(times // 5 + 2):
        do()
    marks = []
    for _ in range(3):
        gc.collect()
        marks.append(held())
        if len(marks) < 3:
            for _ in range(times // 2):
                do()
    return min(marks[1] - marks[0], marks[2] - marks[1]) / (times // 2)
