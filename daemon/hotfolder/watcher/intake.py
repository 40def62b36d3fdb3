"""From events to jobs: notes one line a path, lets them settle, and offers what is due to the fresh lane.

The sink's half runs on the reader's thread and only notes; everything that may touch a file runs on the intake's own.
Past a bound of notes, a folder is noted to be reconciled instead of its paths.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol

from hotfolder import paths
from hotfolder.loop import Loop
from hotfolder.model import Job, Kind, Lane, Version
from hotfolder.store.names import is_image_name
from hotfolder.telemetry import logs
from hotfolder.telemetry.metrics import Metrics
from hotfolder.watcher.notes import Closes, Notes
from hotfolder.watcher.rules import Rules
from hotfolder.watcher.settle import DELETE_SECONDS, Note, Pace
from hotfolder.watcher.trails import Trails

NOTES_MAX = 50_000
FOLDERS_MAX = 1_000
DELETIONS_SECONDS = 10.0
"""Where events are lost this long after one that reported a deletion, others may have been among them."""

log = logs.get("watching")


class Outlet(Protocol):
    """Where what is due goes."""

    def look_at(self, job: Job) -> None:
        """A path to be worked on; never refused."""

    def reconcile(self, folder: bytes, *, deleted: bool) -> None:
        """A folder (``b""``: the whole root) to be compared with the index; `deleted`: events reported deletions."""

    def events_lost(self, *, deleted: bool) -> None:
        """Anything may have happened; `deleted`: the events before reported deletions."""

    def folder_moved(self, old: bytes, new: bytes) -> None: ...

    def folder_deleted(self, folder: bytes) -> None: ...


class Intake:
    """The notes of one watch. A Sink for its TreeWatcher."""

    def __init__(
        self,
        watch: str,
        rules: Rules,
        pace: Pace,
        outlet: Outlet,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watch = watch
        self._rules = rules
        self._pace = pace
        self._outlet = outlet
        self._metrics = metrics
        self._clock = clock
        self._changed = threading.Condition()
        self._notes = Notes()
        self._folders: dict[bytes, bool] = {}
        """To be reconciled, and whether something was deleted there."""
        self._gone_folders: dict[bytes, float] = {}
        self._moves: list[tuple[bytes, bytes]] = []
        self._closes = Closes()
        self._trails = Trails()
        self._forget = False
        self._lost = False
        self._last_deletion = -DELETIONS_SECONDS
        # Nothing is lost by a bug: a walk finds what the notes would have reported.
        again = lambda: outlet.reconcile(b"", deleted=True)  # noqa: E731
        self.loop = Loop("intake", self._round, self._changed, subject=watch, again=again)

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        self.loop.stop()

    @property
    def waiting(self) -> int:
        """Paths and folders that are noted and not yet handed on."""
        with self._changed:
            return len(self._notes) + len(self._folders) + len(self._moves) + len(self._gone_folders) + self._lost

    def knows(self, path: bytes) -> bool:
        with self._changed:
            return path in self._notes

    def deletions(self) -> tuple[list[bytes], list[bytes]]:
        """The files and the folders whose deletion was noted and not yet handed on."""
        with self._changed:
            return self._notes.deleted(), list(self._gone_folders)

    # -- Sink: on the reader's thread --------------------------------------------------------------------------------

    def changed(self, path: bytes, kind: Kind) -> None:
        self._metrics.events.labels(self._watch, kind).inc()
        self._metrics.last_event.labels(self._watch).set(time.time())
        if not is_image_name(paths.name(path)):
            if self._rules.is_ignore_file(path):
                self._note_folder(paths.parent(path), forget=True)
            return
        now = self._clock()
        with self._changed:
            note = self._notes.get(path)
            deleted = self._note_deletion(kind, now)
            if note is None and len(self._notes) >= NOTES_MAX:
                self._add_folder(paths.parent(path), deleted=deleted)
                return
            self._put(self._pace.event(note, path, kind, now, self._closes.last(path)))
            if kind is Kind.CLOSED:
                self._closes.note(path, now)

    def folder_changed(self, path: bytes, kind: Kind) -> None:
        self._metrics.events.labels(self._watch, kind).inc()
        if kind is Kind.DELETED:
            with self._changed:
                self._note_deletion(kind, self._clock())
                self._forget = True
                if len(self._gone_folders) < FOLDERS_MAX:
                    self._gone_folders[path] = self._clock() + DELETE_SECONDS
                else:
                    self._add_folder(paths.parent(path), deleted=True)
                self._changed.notify_all()
        else:
            self._note_folder(path, forget=True)

    def moved(self, old: bytes, new: bytes, *, is_folder: bool) -> None:
        if is_folder:
            self._metrics.events.labels(self._watch, Kind.MOVED).inc()
            with self._changed:
                self._gone_folders.pop(old, None)
                self._forget = True
                if len(self._moves) < FOLDERS_MAX:
                    self._moves.append((old, new))
                else:
                    self._add_folder(old, deleted=True)
                    self._add_folder(new, deleted=True)
                self._changed.notify_all()
            return
        self.changed(new, Kind.MOVED)
        with self._changed:
            self._trails.note(old, new, self._clock())
            note = self._notes.get(new)
            before = self._notes.get(old)
            if note is not None:
                # Renamed before it was looked at: what its first name had been noted for goes along.
                note.hint = before.hint if before is not None and before.hint is not None else old
                note.first = min(note.first, before.first) if before is not None else note.first

    def overflow(self, moved_away: Collection[bytes]) -> None:
        self._metrics.events.labels(self._watch, Kind.OVERFLOW).inc()
        self._metrics.overflows.labels(self._watch).inc()
        log.warning("events_lost", watch=self._watch, why="the kernel's queue overflowed", next="reconcile")
        with self._changed:
            for path in moved_away:  # the walk finds whether it is gone, or has another name
                self._gone_folders.pop(path, None)
                self._notes.drop_deletion(path)
            self._lost = self._forget = True
            self._changed.notify_all()

    # -- noting ------------------------------------------------------------------------------------------------------

    def _note_deletion(self, kind: Kind, now: float) -> bool:
        if kind is Kind.DELETED:
            self._last_deletion = now
        return kind is Kind.DELETED

    def again(self, job: Job, look: Version | None, *, stirs: bool = False) -> None:
        """A worker found the path unfinished: look again after the quiet time. Only what `stirs` was seen to change: a
        second look of our own is none, and must not make its tries begin anew."""
        now = self._clock()
        with self._changed:
            note = self._notes.get(job.path)
            if note is None:
                seen = now if stirs else job.seen_changing
                note = Note(job.path, job.since, now, seen_changing=seen, hint=job.hint, deleted=job.deleted)
                note.waits = job.waits
                self._put(self._pace.unfinished(note, look, now))
            else:
                note.hint = note.hint or job.hint

    def _put(self, note: Note) -> None:
        self._notes.put(note)
        self._changed.notify_all()

    def _note_folder(self, folder: bytes, *, forget: bool) -> None:
        with self._changed:
            self._forget = self._forget or forget
            self._add_folder(folder, deleted=False)

    def _add_folder(self, folder: bytes, *, deleted: bool) -> None:
        if len(self._folders) >= FOLDERS_MAX:
            folder, deleted = b"", deleted or any(self._folders.values())
            self._folders.clear()
        self._folders[folder] = deleted or self._folders.get(folder, False)
        self._changed.notify_all()

    # -- handing on: on the intake's thread ----------------------------------------------------------------------------

    def _round(self) -> bool:
        with self._changed:
            while not self.loop.stopped and not self._ready() and not self._forget:
                self._changed.wait(self._wait_seconds())
            if self.loop.stopped:
                return False
            forget, self._forget = self._forget, False
            moves, self._moves = self._moves, []
            folders, self._folders = self._folders, {}
            lost, self._lost = self._lost, False
            deleted = self._clock() - self._last_deletion < DELETIONS_SECONDS
            gone = self._take_gone()
            notes = self._take_due()
        if forget:
            self._rules.forget()
        try:
            if lost:
                self._outlet.events_lost(deleted=deleted)
            self._tell(moves, folders, gone, notes)
        except (sqlite3.Error, OSError) as error:
            # Nothing is lost: a walk finds what these notes would have reported.
            log.error("notes_not_handed_on", watch=self._watch, reason=str(error), next="reconcile")
            reported = any(folders.values()) or any(note.deleted for note in notes)
            self._outlet.reconcile(b"", deleted=bool(moves or gone or reported))
        return True

    def _tell(
        self, moves: list[tuple[bytes, bytes]], folders: dict[bytes, bool], gone: list[bytes], notes: list[Note]
    ) -> None:
        for old, new in moves:
            self._outlet.folder_moved(old, new)
        for folder, deleted in folders.items():
            self._outlet.reconcile(folder, deleted=deleted)
        for folder in gone:
            self._outlet.folder_deleted(folder)
        for note in notes:
            self._hand_on(note)

    def _ready(self) -> bool:
        return bool(self._moves or self._folders) or self._wait_seconds() == 0.0

    def _wait_seconds(self) -> float | None:
        dues = list(self._gone_folders.values())
        if (due := self._notes.next_due) is not None:
            dues.append(due)
        return max(0.0, min(dues) - self._clock()) if dues else None

    def _take_gone(self) -> list[bytes]:
        now = self._clock()
        gone = [folder for folder, due in self._gone_folders.items() if due <= now]
        for folder in gone:
            del self._gone_folders[folder]
        return gone

    def _take_due(self) -> list[Note]:
        now = self._clock()

        def later(note: Note) -> float | None:
            """The deletion of a name that is renamed on and on waits, so that its row is still there to be renamed."""
            renamed = self._trails.last(note.path) if note.deleted else None
            due = None if renamed is None else renamed + DELETE_SECONDS
            return due if due is not None and now < due else None

        return self._notes.take(now, later)

    def _hand_on(self, note: Note) -> None:
        if not note.deleted and not self._rules.is_source(note.path):
            return
        now = self._clock()
        self._metrics.stage("settle", now - note.first)
        job = Job(self._watch, note.path, Lane.FRESH, note.seen_changing or note.first, now)
        self._outlet.look_at(
            replace(
                job,
                seen_changing=note.seen_changing,
                closed=note.closed,
                look=note.look,
                waits=note.waits,
                deleted=note.deleted,
                hint=note.hint,
            )
        )
