"""Lasting threads: each does one step again and again, outlives what a step raises, and is known by its name.

Health queries `living()` for those that have ended all the same; the beat starts them anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from hotfolder.telemetry import bugs, logs

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds after a failure; each in a row is followed by a pause twice as long."""

log = logs.get("loop")


class Running(Protocol):
    """A thread that was started, as far as loops need it."""

    def is_alive(self) -> bool: ...

    def join(self, timeout: float | None = None) -> None: ...


class Timing(Protocol):
    """The clock, the rest and the threads of loops. A simulation brings its own: see `simulated`."""

    def now(self) -> float:
        """Seconds that only go forwards."""

    def rest(self, changed: threading.Condition, until: Callable[[], object], seconds: float | None) -> None:
        """Until `until` holds, or so many seconds have passed; `changed` is held, and notified when to look."""

    def run(self, name: str, target: Callable[[], None]) -> Running:
        """Call `target` on a thread of this name."""


class SystemTiming:
    """That of this machine."""

    def now(self) -> float:
        return time.monotonic()

    def rest(self, changed: threading.Condition, until: Callable[[], object], seconds: float | None) -> None:
        changed.wait_for(until, seconds)

    def run(self, name: str, target: Callable[[], None]) -> Running:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread


SYSTEM = SystemTiming()
_timing: ContextVar[Timing] = ContextVar("timing", default=SYSTEM)


@contextmanager
def simulated(timing: Timing) -> Iterator[None]:
    """Loops that are made within take their time from `timing`."""
    token = _timing.set(timing)
    try:
        yield
    finally:
        _timing.reset(token)


class Pause:
    """How long to rest after a failure."""

    def __init__(self) -> None:
        self._failures = 0

    def longer(self) -> float:
        """Seconds for one more failure in a row."""
        self._failures += 1
        return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures - 1, 30)))

    def reset(self) -> None:
        """It went well."""
        self._failures = 0


class Lasting(Protocol):
    """A thread, or several of a kind, that lives as long as its owner."""

    name: str

    @property
    def ended(self) -> bool:
        """It has begun, nobody has asked it to end, and it has."""

    def revive(self) -> None:
        """Start anew; called when it has ended. What it was about to do is done again."""


_lock = threading.Lock()
_living: list[Lasting] = []


def register(lasting: Lasting) -> None:
    """From now on its end is a problem."""
    with _lock:
        if lasting not in _living:
            _living.append(lasting)


def unregister(lasting: Lasting) -> None:
    """Its end is expected."""
    with _lock:
        if lasting in _living:
            _living.remove(lasting)


def living() -> list[Lasting]:
    """All in this process that should be alive."""
    with _lock:
        return list(_living)


class Loop:
    """A thread that calls `step` until that returns False or `end` was called.

    A step waits by `rest`, which `kick` and `end` wake. One that raises is reported and called again after a pause;
    `again` is called before, so that nothing which the step had taken is lost. `kind` is the metric's label,
    `hotfolder-KIND[-SUBJECT]` the thread's name.
    """

    def __init__(
        self,
        kind: str,
        step: Callable[[], bool],
        changed: threading.Condition | None = None,
        *,
        subject: str = "",
        again: Callable[[], object] | None = None,
    ) -> None:
        self.kind = kind
        self.name = f"hotfolder-{kind}-{subject}" if subject else f"hotfolder-{kind}"
        self._step = step
        self._again = again
        self._changed = changed or threading.Condition()
        self._timing = _timing.get()
        self._pause = Pause()
        self._starting = threading.Lock()
        self._thread: Running | None = None
        self._done = False
        self.stopped = False

    def start(self) -> None:
        """Doing it twice does no harm, from any threads."""
        with self._starting:
            if self._thread is None and not self.stopped:
                register(self)
                self._begin()

    def _begin(self) -> None:
        self._thread = self._timing.run(self.name, self._run)

    def now(self) -> float:
        """Seconds that only go forwards; those of a simulation in one."""
        return self._timing.now()

    def rest(self, until: Callable[[], object] = lambda: False, seconds: float | None = None) -> None:
        """For the step: until `until` holds, the loop is to end, or so many seconds have passed."""
        with self._changed:
            self._timing.rest(self._changed, lambda: self.stopped or until(), seconds)

    def kick(self) -> None:
        """Let a step that waits look again."""
        with self._changed:
            self._changed.notify_all()

    def end(self) -> None:
        """No more steps; the one under way goes on."""
        unregister(self)
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended within so many seconds, or never begun."""
        if self._thread is not None:
            self._thread.join(max(0.0, timeout))
        return self._thread is None or not self._thread.is_alive()

    def stop(self, timeout: float = 5.0) -> bool:
        """`end` and `join`."""
        self.end()
        return self.join(timeout)

    # -- Lasting ------------------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        thread = self._thread
        return thread is not None and not thread.is_alive() and not self._done and not self.stopped

    def revive(self) -> None:
        with self._starting:
            if self.ended:
                self._begin()

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self.stopped and self.once():
                pass
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like: it ends, and is started anew
            self._failed(error)
        else:
            self._done = True
            unregister(self)

    def once(self) -> bool:
        """One step, and the pause after one that raised. False: it was the last."""
        try:
            goes_on = self._step()
        except Exception as error:  # noqa: BLE001 - a bug costs a pause, not the thread
            self._failed(error)
            self.rest(seconds=self._pause.longer())
            return True
        self._pause.reset()
        return goes_on

    def _failed(self, error: BaseException) -> None:
        bugs.report(self.kind, error, thread=self.name)
        if self._again is not None:
            bugs.did(self.kind, self._again, thread=self.name)


class Chores:
    """What a beat does besides: each part by itself; one that raises is reported and rests for a growing pause."""

    def __init__(self, where: str, *parts: Callable[[], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._where = where
        self._clock = clock
        self._parts = [(part, Pause()) for part in parts]
        self._rests: dict[int, float] = {}

    def do(self) -> None:
        for number, (part, pause) in enumerate(self._parts):
            if self._clock() < self._rests.get(number, 0.0):
                continue
            if bugs.did(self._where, part):
                pause.reset()
                self._rests.pop(number, None)
            else:
                self._rests[number] = self._clock() + pause.longer()


class Revival:
    """Starts anew what has ended all the same: after a pause, in which health names it, longer each time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[Lasting, float] = {}
        self._pauses: dict[Lasting, tuple[float, Pause]] = {}

    def look(self) -> None:
        """Part of the beat."""
        now = self._clock()
        here = living()
        self._due = {each: due for each, due in self._due.items() if each in here and each.ended}
        self._pauses = {each: known for each, known in self._pauses.items() if each in here}
        for each in here:
            if not each.ended:
                continue
            if each not in self._due:
                self._due[each] = now + self._seconds(each, now)
                log.error("thread_ended", thread=each.name, next=f"started anew in {self._due[each] - now:.0f} s")
            elif now >= self._due[each]:
                del self._due[each]
                bugs.did("main", each.revive, thread=each.name)

    def _seconds(self, lasting: Lasting, now: float) -> float:
        ended_before, pause = self._pauses.get(lasting, (now, Pause()))
        if now - ended_before > 2 * LONGEST_PAUSE:
            pause.reset()
        self._pauses[lasting] = (now, pause)
        return pause.longer()
