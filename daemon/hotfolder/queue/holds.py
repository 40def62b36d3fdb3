"""What the daemon may work on now: what `hotfolder pause` holds, which lasts over restarts, and the backlog's window.

Watching goes on all the time, and a held job waits where any other does; only the queue hands out none of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hotfolder.config import Window
from hotfolder.index import meta
from hotfolder.index.database import Database
from hotfolder.model import Lane
from hotfolder.queue.lane import Held
from hotfolder.queue.queue import JobQueue
from hotfolder.telemetry import logs
from hotfolder.telemetry.metrics import Metrics

log = logs.get("working")


@dataclass(frozen=True, slots=True)
class State:
    """`paused`: what was asked to be held; `window_open`: the backlog may be worked on at this time of day."""

    paused: Held
    window: Window | None
    window_open: bool


class Holds:
    """Owns that state and notifies the queue, then `changed`.

    `obeys`: not so where `scan` works without a daemon, since whoever starts that wants it done now.
    """

    def __init__(
        self,
        index: Database,
        queue: JobQueue,
        metrics: Metrics,
        changed: Callable[[], None],
        *,
        obeys: bool,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._index = index
        self._queue = queue
        self._metrics = metrics
        self._changed = changed
        self._obeys = obeys
        self._clock = clock
        self._lock = threading.Lock()
        self._state = State(frozenset(), None, True)
        self._halted = False

    @property
    def state(self) -> State:
        return self._state

    def begin(self, window: Window | None) -> None:
        """At the start: what was paused before is paused again."""
        paused = self._noted()
        if paused and self._obeys:
            log.warning("paused", holds=_show(paused), next="hotfolder resume")
        with self._lock:
            self._set(paused, window)

    def set_window(self, window: Window | None) -> None:
        """Of a configuration that was read again. Its watches may have other names: what is paused is read again."""
        with self._lock:
            self._set(self._noted(), window)

    def _noted(self) -> Held:
        return frozenset((Lane(lane), watch) for lane, watch in meta.paused(self._index.read()))

    def pause(self, lanes: frozenset[Lane], watch: str | None) -> State:
        """Give nothing more of these lanes to workers, of one watch or of all; what is in work ends."""
        with self._lock:
            state = self._keep(self._state.paused | {(lane, watch) for lane in lanes})
        log.info("paused", holds=_show(state.paused), next="hotfolder resume")
        return state

    def resume(self, lanes: frozenset[Lane], watch: str | None) -> State:
        """Without a watch all that holds these lanes goes; with one, what was asked for it by name."""
        with self._lock:
            paused = frozenset(
                (lane, held)
                for lane, held in self._state.paused
                if lane not in lanes or (watch is not None and held != watch)
            )
            state = self._keep(paused)
        log.info("resumed", holds=_show(state.paused) or "nothing")
        return state

    def _keep(self, paused: Held) -> State:
        self._index.write(lambda c: meta.put_paused(c, paused)).result()
        return self._set(paused, self._state.window)

    def check(self) -> None:
        """Part of the beat: the window opens and closes by the clock."""
        with self._lock:
            state = self._state
            if self._is_open(state.window) == state.window_open:
                return
            state = self._set(state.paused, state.window)
        log.info("backlog_window", open=state.window_open)

    def halt(self, halted: bool) -> None:
        """Whether nothing at all may begin for now, whatever else is held. It does not last over a start."""
        with self._lock:
            self._halted = halted
            self._set(self._state.paused, self._state.window)

    def _is_open(self, window: Window | None) -> bool:
        return window is None or window.contains(self._clock().time())

    def _set(self, paused: Held, window: Window | None) -> State:
        state = State(paused, window, self._is_open(window))
        if self._obeys:
            held = paused if state.window_open else paused | {(Lane.BACKLOG, None)}
            held |= {(lane, None) for lane in Lane} if self._halted else set()
            self._queue.hold(held)
            self._changed()
            for lane in Lane:
                self._metrics.paused.labels(lane).set((lane, None) in held)
        self._state = state
        return state


def _show(paused: Held) -> str:
    return ", ".join(sorted(f"{lane} of {watch or 'all'}" for lane, watch in paused))
