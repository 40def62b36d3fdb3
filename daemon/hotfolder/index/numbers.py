"""Whole numbers from outside in columns of SQLite, whose integers are signed and have 64 bits.

Inodes are unsigned 64 bits, and a time in nanoseconds passes 63 bits in the year 2262. What does not fit stands as
bytes, so that nothing is rounded and equal numbers stay equal. Nothing orders or adds up these columns in SQL.
"""

from __future__ import annotations

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_BYTES = 16


def stored(number: int) -> int | bytes:
    """The form in which a column holds the number. It has to have at most 128 bits, as every number of a kernel has."""
    return number if _LEAST <= number <= _MOST else number.to_bytes(_BYTES, "big", signed=True)


def number(column: int | bytes) -> int:
    """The number that `stored` has made this of."""
    return int.from_bytes(column, "big", signed=True) if isinstance(column, bytes) else column
