"""A picture to render, and one whose header has been read; whoever decodes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from hotfolder import imaging
from hotfolder.index.sources import Facts
from hotfolder.store.layouts import Target
from hotfolder.store.staging import Staging

Stage = Callable[[str, float], None]
"""Is called with the name of each stage and the seconds that it took."""


@dataclass(frozen=True, slots=True)
class Request:
    """One picture to render: its open file and its bytes, what to make of it by which plans, and what may end that."""

    fd: int
    data: bytes
    name: bytes
    parts: tuple[imaging.Part, ...]
    limits: imaging.Limits
    stop: imaging.Stop


class Picture(Protocol):
    """A picture whose header has been read."""

    need: int
    """Bytes of memory that rendering takes."""
    sizes: dict[str, tuple[int, int]]
    """Width and height that each rendition of the first plan will have; 0 for a copy that cannot be made."""
    facts: Facts

    def render(
        self, staging: Staging, targets: Mapping[str, Target], stage: Stage, only: Collection[str]
    ) -> imaging.Rendered:
        """Write those of the presets that are in `only` into temporary files. Raises SourceError, OSError."""


def parts(wanted: Mapping[str, imaging.Plan]) -> tuple[imaging.Part, ...]:
    """Presets that share a plan together, in a lasting order."""
    by_plan: dict[str, list[str]] = {}
    plans: dict[str, imaging.Plan] = {}
    for preset, plan in wanted.items():
        plans[plan.signature] = plan
        by_plan.setdefault(plan.signature, []).append(preset)
    return tuple((plans[signature], tuple(by_plan[signature])) for signature in sorted(by_plan))
