"""What follows when events report that a whole folder was renamed, or went."""

from __future__ import annotations

import sqlite3
import time

from hotfolder import probe
from hotfolder.index import deletions, folders, sources
from hotfolder.index.database import Database
from hotfolder.index.deletions import Mark
from hotfolder.pipeline import judge
from hotfolder.pipeline.judge import Verdict
from hotfolder.telemetry import logs
from hotfolder.watcher import folder_moves
from hotfolder.watcher.agenda import Agenda
from hotfolder.watcher.outstanding import Outstanding
from hotfolder.watcher.presence import Root
from hotfolder.watcher.request import Request
from hotfolder.watcher.watched import Watched

log = logs.get("watching")


class FolderEvents:
    """Called on the intake's thread. What an event reported is certain: no guard holds it."""

    def __init__(self, watched: Watched, index: Database, agenda: Agenda, root: Root, outstanding: Outstanding) -> None:
        self._watched = watched
        self._index = index
        self._agenda = agenda
        self._root = root
        self._outstanding = outstanding

    def moved(self, old: bytes, new: bytes) -> None:
        self._outstanding.look_again(old)
        if self._moved(old, new):
            self._walk(new)
            self.deleted(old)
        else:  # what is found below the new one first still has its row below the old one
            self._walk(new, old)

    def _moved(self, old: bytes, new: bytes) -> bool:
        site = self._watched.site
        try:
            volume = judge.volume_of_folder(site.root, new)
        except OSError:
            self._root.look_for()  # it went on, or the root is away: all is walked when it is back
            return False
        with self._root.without_jobs():
            return folder_moves.move_folder(self._index, site, old, new, volume)

    def deleted(self, folder: bytes) -> None:
        """What the judge finds missing below it is gone."""
        self._outstanding.look_again(folder)
        gone = self._gone_below(folder)
        if gone:
            self._index.write(lambda c: deletions.delete(c, gone, time.time())).result()
            self._outstanding.feed()

    def keep(self) -> None:
        """At the watcher's end: the deletions that no worker has begun with outlive it."""
        files, gone_folders = self._outstanding.deletions()
        if (not files and not gone_folders) or self._root.touch.hangs:
            return
        try:
            gone = probe.ask(
                self._watched.config.path, lambda: [each for at in gone_folders for each in self._gone_below(at)]
            )
        except probe.Silent:
            gone = []

        def keep(connection: sqlite3.Connection) -> None:
            deletions.delete_at(connection, self._watched.site.id, files, time.time())
            deletions.delete(connection, gone, time.time())

        try:
            self._index.write(keep).result()
        except sqlite3.Error as error:
            log.warning(
                "deletions_not_noted", watch=self._watched.name, reason=str(error), next="a reconcile finds them"
            )

    def _gone_below(self, folder: bytes) -> list[int]:
        """The sources in a folder of which an event reported that it went, and below it, where it is gone."""
        site = self._watched.site
        folder_id = folders.find(self._index.read(), site.id, folder)
        if folder_id is None:
            return []
        look = judge.look_at(site.root, folder, folder=True)
        if look.verdict is Verdict.THERE:
            self._walk(folder)  # another has its name
        if look.verdict is not Verdict.GONE:
            return []
        below = sources.below(self._index.read(), folder_id)
        return [source_id for source_id, lies_on in below if judge.belongs(lies_on, look.volume)]

    def _walk(self, *folders: bytes) -> None:
        self._agenda.request(Request(folders, mark=Mark.CERTAIN))
