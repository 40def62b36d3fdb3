"""What work has cost so far on this index, so that a dry run can report what more would cost: an estimate."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from hotfolder.index import meta
from hotfolder.index.readers import Reader
from hotfolder.presets import OPTIMIZED

_KEY = "pace"
_FORGET_SECONDS = 20_000.0
"""Seconds of work after which older work counts half: a machine, or its configuration, may change."""
_NEWEST = "SELECT id, size FROM source WHERE state = 1 AND size > 0 ORDER BY done_at DESC, id DESC LIMIT 1000"
_MADE = f"""
    SELECT r.preset, avg(r.bytes), total(r.bytes) / total(s.size)
    FROM ({_NEWEST}) s JOIN rendition r ON r.source_id = s.id WHERE r.note <> 'kept' GROUP BY r.preset"""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of one worker for so many bytes of sources."""

    seconds: float
    bytes: float


def note(connection: sqlite3.Connection, seconds: float, source_bytes: float) -> None:
    """Add work that was done."""
    former = pace(connection) or Pace(0.0, 0.0)
    share = 0.5 if former.seconds > _FORGET_SECONDS else 1.0
    sums = [former.seconds * share + seconds, former.bytes * share + source_bytes]
    meta.put(connection, {_KEY: json.dumps(sums)})


def pace(connection: Reader) -> Pace | None:
    """What was noted; None where nothing was made yet."""
    text = meta.get(connection, _KEY)
    if text is None:
        return None
    seconds, source_bytes = json.loads(text)
    return Pace(seconds=seconds, bytes=source_bytes)


def written(connection: Reader, presets: Collection[str], images: int, source_bytes: int) -> int | None:
    """About how many bytes these renditions of so many images would have, by the 1,000 newest; None: none is known.

    Thumbnails have the size of others of their preset; an optimized copy its share of the source.
    """
    known = {preset: (size, share) for preset, size, share in connection.execute(_MADE).fetchall()}
    if not known.keys() & set(presets):
        return None
    total = 0.0
    for preset in presets:
        size, share = known.get(preset, (0.0, 0.0))
        total += share * source_bytes if preset == OPTIMIZED else size * images
    return round(total)
