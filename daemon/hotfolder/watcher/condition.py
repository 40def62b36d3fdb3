"""How one watch is: what stands in its way, by subject, and its state in one word; reported to log and metrics."""

from __future__ import annotations

import threading
import time

from hotfolder.model import WatchState
from hotfolder.telemetry import logs
from hotfolder.telemetry.metrics import Metrics

ROOT, OUTPUT, INDEX, EVENTS, DELETIONS, AWAY = "root", "output", "index", "events", "deletions", "away"
UNREADY = frozenset({ROOT, OUTPUT, INDEX})
"""With these no rendition can be made."""

log = logs.get("watching")


class Condition:
    """Anyone may note or clear a trouble, from any thread. `polled`: its root is polled instead of watched."""

    def __init__(self, watch: str, metrics: Metrics) -> None:
        self._watch = watch
        self._metrics = metrics
        self._lock = threading.Lock()
        self._troubles: dict[str, str] = {}
        self._retired = False
        self.polled = False
        self.held = 0
        """Deletions that wait for a second reconcile."""

    @property
    def state(self) -> WatchState:
        if ROOT in self._troubles:
            return WatchState.OFFLINE
        if self._troubles:
            return WatchState.DEGRADED
        return WatchState.POLLING if self.polled else WatchState.OK

    @property
    def troubles(self) -> dict[str, str]:
        with self._lock:
            return dict(self._troubles)

    def set(self, subject: str, trouble: str | None) -> bool:
        """Note what stands in the way, or that nothing does. True where that is new: then it is logged, too."""
        with self._lock:
            former = self._troubles.get(subject)
            if trouble is None:
                self._troubles.pop(subject, None)
            else:
                self._troubles[subject] = trouble
        self.show()
        if self._retired or (former is None) == (trouble is None):
            return False
        if trouble is None:
            log.info("well_again", watch=self._watch, subject=subject)
        else:
            log.error("trouble", watch=self._watch, subject=subject, message=trouble, next="goes on by itself")
        return True

    def retire(self) -> None:
        """Metrics and log are another's from now on."""
        self._retired = True

    def hold(self, deletions: int) -> None:
        self.held = deletions
        self.set(DELETIONS, f"{deletions} deletions wait for a second reconcile" if deletions else None)

    def reconciled(self, seconds: float) -> None:
        """A walk of the whole root has ended, which took so many seconds."""
        self._metrics.reconcile_seconds.observe(seconds)
        self._metrics.last_reconcile.labels(self._watch).set(time.time())

    def count_missed(self, changes: int) -> None:
        """A walk has found so many changes that no event had announced."""
        self._metrics.missed_changes.labels(self._watch).inc(changes)

    def show(self) -> None:
        if self._retired:
            return
        self._metrics.set_state(self._watch, self.state)
        self._metrics.held_deletions.labels(self._watch).set(self.held)
