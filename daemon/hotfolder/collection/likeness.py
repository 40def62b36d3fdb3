"""Which images are the same, byte for byte or to the eye; never by comparing each with each.

Two 64-bit hashes that differ in at most d bits agree wholly in at least one of d + 1 parts (the pigeonhole principle;
Norouzi, Punjani & Fleet, Fast search in Hamming space with multi-index hashing, CVPR 2012): only those that share a
part are compared, a block of them at a time.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEAR = 8
"""Bits of 64 in which the hashes of near duplicates differ at most; docs/analysis.md has the rates."""
BLOCK = 256
"""Hashes that are compared at once with those of a bucket that come behind them."""


def exact(keys: Sequence[Hashable | None]) -> list[list[int]]:
    """Groups of two and more places that hold the same key, the first ones first; None is like nothing."""
    places: dict[Hashable, list[int]] = defaultdict(list)
    for at, key in enumerate(keys):
        if key is not None:
            places[key].append(at)
    return [group for group in places.values() if len(group) > 1]


def near(hashes: Sequence[int | None], distance: int = NEAR) -> list[list[int]]:
    """Groups of two and more places: all of a group are within `distance` bits of its first, so that no chain of small
    steps joins what is not alike. None is like nothing."""
    import numpy as np

    known = [at for at, value in enumerate(hashes) if value is not None]
    if not known:
        return []
    unique, which = np.unique(np.array([hashes[at] for at in known], np.uint64), return_inverse=True)
    places: list[list[int]] = [[] for _ in unique]
    for at, number in zip(known, which.tolist(), strict=True):
        places[number].append(at)
    neighbours: dict[int, set[int]] = defaultdict(set)
    for one, other in _pairs(unique, distance):
        neighbours[one].add(other)
        neighbours[other].add(one)
    groups, taken = [], set()
    for number in sorted(range(len(places)), key=lambda number: places[number][0]):
        if number in taken:
            continue
        members = [number, *(other for other in neighbours.get(number, ()) if other not in taken)]
        taken |= set(members)
        group = sorted(at for member in members for at in places[member])
        if len(group) > 1:
            groups.append(group)
    return groups


def _pairs(hashes: NDArray[np.uint64], distance: int) -> set[tuple[int, int]]:
    import numpy as np

    found: set[tuple[int, int]] = set()
    edges = [64 * part // (distance + 1) for part in range(distance + 2)]
    for low, high in itertools.pairwise(edges):
        parts = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(parts, kind="stable")
        starts = np.flatnonzero(np.diff(parts[order])) + 1
        for bucket in np.split(order, starts):
            if len(bucket) > 1:
                found.update(_close(hashes, bucket, distance))
    return found


def _close(hashes: NDArray[np.uint64], bucket: NDArray[Any], distance: int) -> list[tuple[int, int]]:
    """The pairs of one bucket that are close, each once, the lower number first."""
    import numpy as np

    found: list[tuple[int, int]] = []
    values = hashes[bucket]
    for start in range(0, len(bucket), BLOCK):
        rows = values[start : start + BLOCK]
        close = np.bitwise_count(rows[:, None] ^ values[None, start:]) <= distance
        one, other = np.nonzero(close)
        later = other > one
        found += zip(bucket[start + one[later]].tolist(), bucket[start + other[later]].tolist(), strict=True)
    return [(min(pair), max(pair)) for pair in found]
