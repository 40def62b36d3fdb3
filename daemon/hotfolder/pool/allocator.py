"""The C library's allocator, told to give back what a picture took. Does nothing where it is not glibc.

By itself glibc keeps up to 64 MB for each of many arenas and, after the first large picture has been freed, no longer
maps the next ones apart (mallopt(3), M_MMAP_THRESHOLD): the process would stay at a multiple of what is in use.
"""

from __future__ import annotations

import contextlib
import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
ARENAS = 2
MAPPED = 8 << 20
"""Bytes from which a block is mapped by itself, and unmapped when it is freed; Pillow takes blocks of up to 16 MB.
At 512 kB it would cost a fifth more CPU in page faults, at 32 MB a tenth more memory would stay at the peak."""


def tune() -> None:
    """Call it before threads start: an arena that is there stays."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_ARENA_MAX, ARENAS)
        libc.mallopt(_MMAP_THRESHOLD, MAPPED)
        libc.mallopt(_TRIM_THRESHOLD, MAPPED)


def trim() -> None:
    """Give back what is free within arenas, too; takes some milliseconds."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
