"""The thread of one watch that may touch its root: it looks for root and output, walks, and sweeps.

What it has to do stands in its agenda; nobody else waits for what may hang.
"""

from __future__ import annotations

import sqlite3
import threading

from hotfolder.errors import Owner, SourceError
from hotfolder.index.deletions import Mark
from hotfolder.loop import Loop
from hotfolder.telemetry import logs
from hotfolder.watcher import condition
from hotfolder.watcher.agenda import Agenda
from hotfolder.watcher.observer import ROOT_SECONDS, Observer
from hotfolder.watcher.outstanding import IDLE_SECONDS
from hotfolder.watcher.presence import Presence
from hotfolder.watcher.request import Request
from hotfolder.watcher.sweep import Sweeper
from hotfolder.watcher.walks import Walks
from hotfolder.watcher.watched import Watched

AWAY_SECONDS = 2.0
"""How often a root that is away is looked for."""

log = logs.get("watching")


class Rounds:
    """Started once."""

    def __init__(
        self,
        watched: Watched,
        agenda: Agenda,
        presence: Presence,
        observer: Observer,
        walks: Walks,
        sweeper: Sweeper,
    ) -> None:
        self._watched = watched
        self._agenda = agenda
        self._presence = presence
        self._observer = observer
        self._walks = walks
        self._sweeper = sweeper
        self._looked = threading.Event()
        self.loop = Loop("reconcile", self._round, agenda.changed, subject=watched.name, again=self._try_again)

    def start(self) -> None:
        self._presence.root.limit()
        if self._watched.live:
            self._agenda.plan_rescan()
        self.loop.start()
        self._presence.root.look_for()

    def wait_for_look(self, seconds: float) -> None:
        """Until root and output have been looked at for the first time, or so long."""
        self._looked.wait(seconds)

    def end(self) -> None:
        """Begin no more walks; `stop` waits."""
        self._agenda.close()
        self.loop.end()

    def stop(self) -> None:
        """After `end`. A walk of a mount that hangs is left behind."""
        self.loop.join(0.5 if self._presence.silent() else 5.0)
        self._agenda.give_up("stopped")

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _round(self) -> bool:
        self._agenda.take(self._seconds)
        if self._agenda.closed:
            return False
        if self._agenda.take_anew() and not self._presence.root.away:  # when a root is back it is watched anyway
            self._observer.watch_anew()
        requests = self._agenda.at_work
        try:
            ready = self._look()
            self._looked.set()
            if ready:
                if self._watched.live:
                    self._observer.check_root()
                self._walk()
                self._sweeper.after_work()
            else:
                self._give_up()
        except (sqlite3.Error, OSError, SourceError) as error:
            if isinstance(error, SourceError) and error.reason.owner is Owner.OUTPUT:
                self._presence.output.fails(error.message)
            log.error("reconcile_failed", watch=self._watched.name, reason=str(error), next="tried again")
            self._agenda.try_again({b""})
            for request in requests:
                self._fail(request, str(error))
        return True

    def _seconds(self) -> float | None:
        """Until the next round, if nothing is asked for."""
        if self._presence.root.away or not self._watched.site.habits.ready:
            return AWAY_SECONDS
        if self._agenda.open or self._agenda.sweep_since is not None:
            return IDLE_SECONDS
        seconds = self._agenda.seconds()
        if not self._watched.live:
            return seconds
        return ROOT_SECONDS if seconds is None else min(ROOT_SECONDS, seconds)

    def _look(self) -> bool:
        """Whether root and output are there. Both are looked for, so that the trouble of each is known."""
        root = self._presence.root
        there = not root.away or self._find_root()
        return self._prepare_output() and there

    def _find_root(self) -> bool:
        if not self._presence.root.find(accept=any(request.confirm for request in self._agenda.at_work)):
            return False
        if self._watched.live:
            self._observer.begin_anew()
        return True

    def _prepare_output(self) -> bool:
        if self._watched.site.habits.ready:
            return True
        if not self._presence.output.prepare():
            return False
        self._presence.root.limit()
        if self._watched.live and self._looked.is_set():
            self._agenda.request(Request((b"",)))  # the first walk could not be made
        return True

    def _give_up(self) -> None:
        found = self._watched.condition.troubles
        problem = found.get(condition.ROOT) or found.get(condition.OUTPUT) or f"{self._watched.config.path} is away"
        self._agenda.give_up(problem)
        self._agenda.open = []

    def _walk(self) -> None:
        planned = self._agenda.plan(self._observer.coverage.polled)
        requests = self._agenda.at_work
        try:
            for request in requests:
                if _is_part(request, requests):
                    self._agenda.open.append(request)
                else:
                    self._walks.run(request)
        finally:
            self._agenda.walked(planned)

    def _fail(self, request: Request, problem: str) -> None:
        self._agenda.keep_mark(request)
        request.fail(problem)

    def _try_again(self) -> None:
        """A round ended in the midst: nobody waits for it in vain, and the whole root is walked again."""
        self._agenda.try_again({b""})
        for request in self._agenda.at_work:
            if request not in self._agenda.open:
                self._fail(request, "internal error: the log has it")
        self._agenda.nudge()


def _is_part(request: Request, beside: list[Request]) -> bool:
    """Whether a walk of everything, which is made in this round anyway, does for this request, too."""
    if b"" in request.folders or request.verify or request.mark is Mark.CERTAIN:
        return False
    return any(b"" in other.folders and other is not request and not other.done.is_set() for other in beside)
