"""When a failed job is tried again, by whose fault it was and how often it has failed."""

from __future__ import annotations

from hotfolder.errors import Reason
from hotfolder.index.sources import Row

YOUNG_DELAYS = (2.0, 4.0, 8.0, 16.0, 32.0)
"""Seconds between the looks at a damaged young file; together a little more than its 60 seconds."""
SUSPECT_TRIES = 2
"""A helper that was killed by SIGKILL may have been somebody's or the system's victim: once more before it counts."""
PASSING_DELAYS = (0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 900.0)
"""Seconds between tries where waiting can help; after the last one it counts as failed."""
SCAN_DELAYS = PASSING_DELAYS[:3]
"""The same where somebody waits for the end; `rounds` waits for these."""
INNOCENT_DELAYS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
"""An output that cannot be written is no fault of the image: it is tried for ever, at the latest after the last."""


class Retries:
    """A daemon is patient. A scan tries once more at its end, then decides."""

    def __init__(self, *, patient: bool) -> None:
        self._patient = patient

    def delay(self, reason: Reason, tries: int, put_off: int, *, young: bool) -> float | None:
        """Seconds until the next try, or None where this failure counts: after `tries` failures of its own, or
        `put_off` ones of another's."""
        if reason.young_may_pass and young:
            delays: tuple[float, ...] = YOUNG_DELAYS if self._patient else (0.0,)
        elif reason.innocent:
            return innocent_delay(put_off)
        elif reason.may_pass:
            delays = PASSING_DELAYS if self._patient else SCAN_DELAYS
        else:
            return None
        return delays[tries - 1] if tries <= len(delays) else None

    def waits_for_more(self, row: Row | None) -> bool:
        """Whether a young file has tries left before it is taken as it is."""
        return row is None or row.tries < (len(YOUNG_DELAYS) if self._patient else 1)


def innocent_delay(put_off: int) -> float:
    """Seconds until the next try after so many failures in a row that were another's fault."""
    return INNOCENT_DELAYS[min(put_off, len(INNOCENT_DELAYS)) - 1]
