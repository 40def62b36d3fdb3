"""Folders that may not answer are asked on a thread of their own and for a bounded time: a mount may hang, and with it
whoever touches it.

Who has hung once is not waited for again: until that first question is answered every other one fails at once.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")
ANSWER_SECONDS = 3.0
"""Longer than any folder that is well takes; nobody waits longer for one that is not."""

_lock = threading.Lock()
_silent: dict[str, _Question[object]] = {}


class Silent(TimeoutError):
    """A folder has not answered in time."""

    def __init__(self, place: str) -> None:
        super().__init__(errno.ETIMEDOUT, "does not answer", place)

    def __str__(self) -> str:
        return f"{self.filename} does not answer"


class _Question(Generic[T]):
    """One call on a thread of its own, which is left behind where it never ends."""

    def __init__(self, place: str, call: Callable[[], T]) -> None:
        self.place = place
        self._call = call
        self._answer: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="hotfolder-probe", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answer.append(self._call())
        except BaseException as error:  # noqa: BLE001 - raised where it was asked for
            self._error = error

    @property
    def open(self) -> bool:
        return self._thread.is_alive()

    def answer(self, deadline: float) -> T:
        """Raises what the call raised, and Silent where it has not ended by then (of time.monotonic())."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._error is not None:
            raise self._error
        if not self._answer:
            with _lock:
                _silent[self.place] = self  # type: ignore[assignment]
            raise Silent(self.place)
        return self._answer[0]


def ask(place: str, call: Callable[[], T], seconds: float = ANSWER_SECONDS) -> T:
    """What the call returns, which touches nothing that may hang but `place`. Raises what it raises, and Silent."""
    if _is_silent(place):
        raise Silent(place)
    return _Question(place, call).answer(time.monotonic() + seconds)


def ask_all(calls: Mapping[str, Callable[[], T]], seconds: float = ANSWER_SECONDS) -> dict[str, T | Silent]:
    """The same of many places at once, by place: all together take no longer than one."""
    deadline = time.monotonic() + seconds
    questions = {place: None if _is_silent(place) else _Question(place, call) for place, call in calls.items()}
    found: dict[str, T | Silent] = {}
    for place, question in questions.items():
        try:
            found[place] = Silent(place) if question is None else question.answer(deadline)
        except Silent as silent:
            found[place] = silent
    return found


def real_path(path: str) -> str:
    """Like os.path.realpath; the links of one that does not answer are not followed."""
    try:
        return ask(os.path.abspath(path), lambda: os.path.realpath(path))
    except Silent:
        return os.path.abspath(path)


def check(path: str) -> None:
    """Raises Silent where it does not answer; whether it is there, and may be read, is not looked at."""
    try:
        ask(path, lambda: _list(path))
    except Silent:
        raise
    except OSError:
        pass  # that is an answer, too


def _list(path: str) -> None:
    with os.scandir(path) as entries:
        next(entries, None)


def _is_silent(place: str) -> bool:
    """Whether it, or a folder above it, still owes an answer."""
    with _lock:
        for path, question in list(_silent.items()):
            if not question.open:
                del _silent[path]
        return any(place == path or place.startswith(path.rstrip("/") + "/") for path in _silent)
