"""What the rounds of one watch have to do and when, and who waits for it.

Anyone may add to it, from any thread, any number of times. The thread of the rounds takes from it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hotfolder.index.deletions import Mark
from hotfolder.watcher.request import Request
from hotfolder.watcher.schedule import Schedule

SECOND_LOOK_SECONDS = 10.0
"""After a walk for lost events that found more missing than the guard lets pass."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The walks of one round that are due by time, and count for the schedule when they have ended."""

    lost: bool
    soon: Request
    polled: Request


class Agenda:
    """A request is asked for, then at work, then open until the work that it found has been done."""

    def __init__(self, schedule: Schedule) -> None:
        self.changed = threading.Condition()
        self.closed = False
        """The watcher ends: no more walks."""
        self.at_work: list[Request] = []
        self.open: list[Request] = []
        self.sweep_since: float | None = None
        """When a sweep was asked for (time.monotonic()), until it has been made."""
        self._confirmed = False
        self._schedule = schedule
        self._asked: list[Request] = []
        self._nudged = False
        self._anew = False
        self._lost_mark = self._again_mark = Mark.ONCE_MORE
        self._walked_for_lost = False

    # -- asking: from any thread --------------------------------------------------------------------------------------

    def request(self, request: Request) -> Request:
        with self.changed:
            self._asked.append(request)
            self.changed.notify_all()
        return request

    def events_lost(self, *, deleted: bool) -> None:
        """`deleted`: those that came reported deletions, so that others may have been among the lost ones."""
        with self.changed:
            self._lost_mark = Mark.CERTAIN if deleted else self._lost_mark
            self._schedule.events_lost()
            self._nudge()

    def look_soon(self, folder: bytes) -> None:
        """A source was not found there, and nobody had reported that it went."""
        with self.changed:
            self._schedule.look_soon(folder)
            self._nudge()

    def look_again(self, folder: bytes) -> None:
        """Something in it could not be seen: it is walked again before long."""
        with self.changed:
            self._schedule.try_again({folder})
            self._nudge()

    def poll_within(self, seconds: float) -> None:
        with self.changed:
            self._schedule.poll_within(seconds)
            self._nudge()

    def sweep_soon(self) -> None:
        with self.changed:
            self.sweep_since = self.sweep_since or time.monotonic()
            self._nudge()

    def watch_anew(self) -> None:
        """Events come no more: watch the tree again, and walk it for what was missed."""
        with self.changed:
            self._anew = True
            self._nudge()

    def worked_off(self) -> None:
        """All jobs of the watch have ended: who waits for that need not wait for the next look."""
        with self.changed:
            if self.open or self.sweep_since is not None:
                self._nudge()

    def nudge(self) -> None:
        """Have the rounds look at once."""
        with self.changed:
            self._nudge()

    def _nudge(self) -> None:
        self._nudged = True
        self.changed.notify_all()

    def give_up(self, problem: str) -> None:
        """Whoever waits for a reconcile is notified; what the thread of the rounds is at goes on."""
        with self.changed:
            waiting = [each for each in (*self._asked, *self.at_work, *self.open) if not each.done.is_set()]
            self._asked = []
        for request in waiting:
            request.fail(problem)

    def close(self) -> None:
        self.closed = True

    # -- the thread of the rounds -------------------------------------------------------------------------------------

    def plan_rescan(self) -> None:
        with self.changed:
            self._schedule.plan_rescan()

    def seconds(self) -> float | None:
        """Until the next walk that is due by time; None where none is planned."""
        return self._schedule.seconds()

    def take(self, seconds: Callable[[], float | None]) -> None:
        """Wait until something was asked for, or so many seconds; then what was asked for is at work."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self._nudged or bool(self._asked), seconds())
            self.at_work, self._asked = self._asked, []
            self._nudged = False

    def take_anew(self) -> bool:
        """Whether the tree has to be watched again."""
        with self.changed:
            anew, self._anew = self._anew, False
        return anew

    def plan(self, polled: Callable[[], tuple[bytes, ...]]) -> Planned:
        """Add to what is at work the walks that are due by time. `polled`: the folders to walk at a poll."""
        with self.changed:
            lost, poll = self._schedule.lost_due(), self._schedule.poll_due()
            if lost:
                self.at_work.append(Request((b"",), mark=self._lost_mark))
                self._lost_mark, self._walked_for_lost = Mark.ONCE_MORE, True
            if self._schedule.rescan_due():
                self.at_work.append(Request((b"",), expected=False))
            if again := self._schedule.again_due():
                self.at_work.append(Request(again, mark=self._again_mark))
                self._again_mark = Mark.ONCE_MORE
            soon = Request(self._schedule.soon_due(), mark=Mark.HINTED)
        planned = Planned(lost, soon, Request(polled() if poll else ()))
        self.at_work += [request for request in (soon, planned.polled) if request.folders]
        return planned

    def walked(self, planned: Planned) -> None:
        """The walks of this round have ended."""
        with self.changed:
            if planned.lost:
                self._schedule.walked_for_lost()
            if planned.soon.folders:
                self._schedule.looked(planned.soon.seconds)
            if planned.polled.folders:
                self._schedule.polled(planned.polled.seconds)

    def try_again(self, folders: set[bytes]) -> None:
        """These could not be read; an empty set: all could."""
        with self.changed:
            self._schedule.try_again(folders)

    def all_read(self) -> None:
        """A whole walk could read everything."""
        with self.changed:
            self._schedule.all_read()

    def keep_mark(self, request: Request) -> None:
        """It is walked again: what was known of deletions counts then, too."""
        if request.mark is Mark.CERTAIN:
            self._again_mark = Mark.CERTAIN

    def leave_open(self, request: Request) -> None:
        """It has been walked: a sweep follows, and the answer when the work that it found has been done."""
        with self.changed:
            self.sweep_since = self.sweep_since or time.monotonic()
            self._confirmed = self._confirmed or request.confirm
            self.open.append(request)

    @contextmanager
    def sweeping(self) -> Iterator[bool]:
        """A sweep is being made; gives whether it is not held up by the guard. It stays asked for where it fails, and
        what is asked for meanwhile is another one."""
        with self.changed:
            since, confirmed = self.sweep_since, self._confirmed
            self.sweep_since, self._confirmed = None, False
        try:
            yield confirmed
        except BaseException:
            with self.changed:
                self.sweep_since, self._confirmed = since, confirmed or self._confirmed
            raise

    def swept(self, held: int) -> None:
        """A sweep has been made, and held so many deletions."""
        with self.changed:
            if held and self._walked_for_lost:
                self._schedule.events_lost(SECOND_LOOK_SECONDS)
            self._walked_for_lost = False

    def answer(self) -> None:
        """All work that the open requests found has been done."""
        done, self.open = self.open, []
        for request in done:
            request.end()
