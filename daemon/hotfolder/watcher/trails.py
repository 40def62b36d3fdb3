"""Where files went that were renamed lately: while renames come one on another a row lies some names behind its file.

The old name's deletion waits for the last of them, so that its row is still there to be renamed.
"""

from __future__ import annotations

from collections import OrderedDict

STEPS_MAX = 10_000


class Trails:
    """Old name → new name and when, the newest STEPS_MAX of them. Times are of time.monotonic()."""

    def __init__(self) -> None:
        self._steps: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()

    def note(self, old: bytes, new: bytes, now: float) -> None:
        self._steps[old] = (new, now)
        self._steps.move_to_end(old)
        if len(self._steps) > STEPS_MAX:
            self._steps.popitem(last=False)

    def last(self, path: bytes) -> float | None:
        """When what was called so was renamed for the last time; None where it was not, or long ago."""
        latest = None
        # Later steps only: names that are used in turn make no circle.
        while (step := self._steps.get(path)) is not None and (latest is None or step[1] > latest):
            path, latest = step
        return latest
