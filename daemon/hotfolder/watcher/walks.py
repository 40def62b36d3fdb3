"""The walks that one request asks for, one folder after the other, and what is noted of each at its end."""

from __future__ import annotations

from hotfolder.index import watches
from hotfolder.index.database import Database
from hotfolder.telemetry import logs
from hotfolder.watcher.agenda import Agenda
from hotfolder.watcher.away import Away
from hotfolder.watcher.findings import Findings
from hotfolder.watcher.observer import Observer
from hotfolder.watcher.outstanding import Outstanding
from hotfolder.watcher.presence import Root
from hotfolder.watcher.reconcile import Reconcile
from hotfolder.watcher.request import Request
from hotfolder.watcher.walk import Ground
from hotfolder.watcher.watched import Watched
from hotfolder.watches.grounds import RootAway

log = logs.get("watching")


class Walks:
    """Made on the thread of the rounds. They are the Surroundings of each walk."""

    def __init__(
        self,
        watched: Watched,
        index: Database,
        agenda: Agenda,
        root: Root,
        observer: Observer,
        outstanding: Outstanding,
    ) -> None:
        self._watched = watched
        self._index = index
        self._agenda = agenda
        self._root = root
        self._observer = observer
        self._outstanding = outstanding
        self._away = Away(watched)
        self._walked_whole = False

    def run(self, request: Request) -> None:
        """Raises sqlite3.Error, OSError or SourceError, where the index, the machine or the output cannot."""
        watched = self._watched
        if request.adopt:
            watched.site.adopts.set()
        if request.confirm:
            self._index.write(lambda c: watches.confirm(c, watched.site.id)).result()
        for folder in dict.fromkeys(request.folders):
            self._outstanding.look_again(folder)
            options = request.options(doubted=watched.site.habits.doubted)
            walk = Reconcile(self._index, watched.site, watched.rules, options, self)
            try:
                with self._root.touch:
                    findings = walk.run(folder)
            except RootAway as error:
                self._root.is_gone()
                request.fail(str(error))
                return
            if not folder and findings.complete and not findings.stopped:
                watched.site.habits.doubted = False
            request.findings.append(findings)
            self._note_end(folder, findings, expected=request.expected)
            if findings.unread:
                self._agenda.keep_mark(request)
        self._agenda.leave_open(request)
        self._outstanding.feed()

    def _note_end(self, folder: bytes, findings: Findings, *, expected: bool) -> None:
        live = self._watched.live
        if live:
            self._agenda.try_again(findings.unread)
        if not folder:
            self._watched.condition.reconciled(findings.seconds)
            if live and self._walked_whole and not expected:
                self._observer.missed(findings.missed)
            self._walked_whole = self._walked_whole or findings.complete
            if findings.complete:
                self._agenda.all_read()
        if not findings.stopped:
            self._away.walked(folder, findings.away)
        log.debug(
            "reconciled",
            watch=self._watched.name,
            path=folder or b".",
            sources=findings.sources,
            new=findings.new,
            changed=findings.changed,
            vanished=findings.vanished,
            seconds=findings.seconds,
        )

    # -- Surroundings: asked by a walk --------------------------------------------------------------------------------

    def ensure(self, folder: bytes) -> None:
        self._observer.ensure(folder)

    def ground(self, folder: bytes) -> Ground:
        return self._observer.ground(folder)

    def knows(self, path: bytes) -> bool:
        return self._outstanding.knows(path)

    def goes_on(self) -> bool:
        self._root.answers()
        return not self._agenda.closed
