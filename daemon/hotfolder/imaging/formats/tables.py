"""Quantization tables of JPEG: what quality a file was written with, and the tables that mode `auto` writes.

A table states how coarsely each of the 64 frequencies of a block is kept. Nothing is encoded here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache

Table = Sequence[int]

_ROWS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Luminance at quality 50, row by row (ITU-T T.81, table K.1)."""
_STANDARD = tuple(step for row in _ROWS for step in row)
_LOW = tuple(row * 8 + column for row in range(4) for column in range(4) if row + column < 4)
"""The ten lowest frequencies: those in which quality is seen, and in which tables of all makers are alike."""

_RISE = 2.5
_FINER_COLOUR = 0.7
_SHAPE = tuple(16 * (1 + (math.hypot(at // 8, at % 8) / _RISE) ** 2) for at in range(64))
"""Grows with the square of the frequency: at equal SSIMULACRA2 a fifth fewer bytes than by the standard's tables, which
keep fine detail that the measure does not miss (docs/optimization.md)."""
STEPS = range(-16, 65)
STEPS_PER_HALVING = 16


def quality_of(tables: Mapping[int, Table]) -> int | None:
    """The quality (1–100, libjpeg's) whose table is as coarse as this luminance; None without tables.

    Exact for tables of libjpeg; for others the one that is as coarse in the low frequencies.
    """
    table = tables.get(0)
    if table is None or len(table) != 64:
        return None

    mine = coarseness(table)
    apart = {quality: abs(coarse - mine) for quality, coarse in _standards().items()}
    least = min(apart.values())
    nearest = [quality for quality, distance in apart.items() if distance == least]
    return min(nearest, key=lambda quality: sum(abs(a - b) for a, b in zip(_standard(quality), table, strict=True)))


def coarseness(table: Table) -> float:
    """The mean step of the ten lowest frequencies."""
    return sum(table[at] for at in _LOW) / len(_LOW)


@cache
def _standard(quality: int) -> Table:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return tuple(min(255, max(1, (value * scale + 50) // 100)) for value in _STANDARD)


@cache
def _standards() -> Mapping[int, float]:
    """How coarse the table of each quality is."""
    return {quality: coarseness(_standard(quality)) for quality in range(1, 101)}


@cache
def pair(step: int) -> tuple[Table, Table]:
    """The tables of one of STEPS, luminance and colour; each 16 steps are twice as fine."""
    factor = 2.0 ** (-step / STEPS_PER_HALVING)
    luminance, colour = (
        tuple(min(255, max(1, round(value * factor * part))) for value in _SHAPE) for part in (1.0, _FINER_COLOUR)
    )
    return luminance, colour


def finest(tables: Mapping[int, Table]) -> int:
    """The finest of STEPS that is no finer than these tables: beyond it only the losses of the source are kept."""
    source = coarseness(tables[0]) if 0 in tables and len(tables[0]) == 64 else 0.0
    return max((step for step in STEPS if coarseness(pair(step)[0]) >= source), default=STEPS[0])


def are_ours(tables: Mapping[int, Table]) -> bool:
    """Whether mode `auto` has made this file: nobody else writes these tables, and a file carries them anyway."""
    found = tuple(tuple(tables[number]) for number in sorted(tables))
    return any(found in (pair(step), pair(step)[:1]) for step in STEPS)
