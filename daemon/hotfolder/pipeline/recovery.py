"""After an unclean end: what the jobs in flight may have left behind, found by their notes and not by a walk.

Temporary files go. So does every rendition that was published and never came into the index: its source may be gone
or called otherwise by now, and nobody else would ever know of the file. What is wanted is made again.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from hotfolder import paths
from hotfolder.index import areas, backlog, folders, orders, renditions, sources
from hotfolder.index.database import Database
from hotfolder.index.readers import Reader
from hotfolder.index.renditions import Made
from hotfolder.index.suspects import Key
from hotfolder.pipeline import files
from hotfolder.store import atomic
from hotfolder.store.inflight import InFlight, Note
from hotfolder.store.layouts import Target
from hotfolder.store.names import rendition_path
from hotfolder.telemetry import bugs, logs
from hotfolder.watches import wants
from hotfolder.watches.site import Site, place_key
from hotfolder.watches.wants import Spec

log = logs.get("daemon")


@dataclass(slots=True)
class Left:
    """Of one watch: jobs that were in flight, and sources whose renditions may not have come onto the disk."""

    notes: list[Note] = field(default_factory=list)
    open_rows: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Leftovers:
    """Each watch's part waits until its output answers. Noted at the start; `clean` is called by any thread."""

    def __init__(self, index: Database, inflight: InFlight) -> None:
        self._index = index
        self._inflight = inflight
        self._left: dict[int, Left] = {}

    def note(self, ids: Mapping[str, int]) -> list[Key]:
        """What jobs of a killed process may have left; `ids`: of the watches, by the names that they had. Returns the
        suspects among their sources."""
        found = [(note, ids[note.watch]) for note in self._inflight.leftovers if note.watch in ids]
        for note, watch_id in found:
            self._of(watch_id).notes.append(note)
        return [(watch_id, note.path) for note, watch_id in found if note.suspect]

    def compare(self, rows: Collection[tuple[int, int]]) -> None:
        """After a crash of the machine: sources, and their watches, whose renditions may not be on the disk."""
        for source_id, watch_id in rows:
            self._of(watch_id).open_rows.append(source_id)
        if not rows:
            log.info("after_reboot", sources_compared=0, renditions_lost=0)

    def _of(self, watch_id: int) -> Left:
        return self._left.setdefault(watch_id, Left())

    def clean(self, site: Site) -> None:
        """Once; a second watcher of the same watch waits for the first, whose output may have stopped to answer."""
        left = self._left.get(site.id)
        if left is None:
            return
        with left.lock:
            notes, rows = left.notes, left.open_rows
            left.notes, left.open_rows = [], []
            for note in notes:  # one that a bug keeps from its end stays in the file, for the next start
                with bugs.guarded("reconcile", watch=site.name, path=note.path):
                    self._recover(site, note)
            if rows:
                self._compare(site, rows)

    def _recover(self, site: Site, note: Note) -> None:
        try:
            count = recover(self._index, site, note.path)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            log.warning("leftovers_not_removed", watch=site.name, path=note.path, reason=reason)
            return
        self._inflight.leave(note.slot)
        log.info("unclean_end", watch=site.name, path=note.path, files_removed=count)

    def _compare(self, site: Site, rows: list[int]) -> None:
        lost = 0
        for source_id in rows:
            try:
                lost += compare(self._index, site, source_id)
            except Exception as error:  # noqa: BLE001 - a bug costs no other row its comparison
                site.habits.doubted = True  # compared by the first walk that can
                if not isinstance(error, OSError):
                    bugs.report("reconcile", error, watch=site.name, source=source_id)
        log.info("after_reboot", watch=site.name, sources_compared=len(rows), renditions_lost=lost)


def recover(index: Database, site: Site, path: bytes) -> int:
    """Clean up after the job of one source; returns how many files went. Raises OSError where the output is away."""
    folder = paths.parent(path)
    connection = index.read()
    row = sources.find(connection, site.id, path)
    made = {each.preset: each for each in renditions.of(connection, row.id)} if row is not None else {}
    folder_id = folders.find(connection, site.id, folder)
    output_fd = atomic.open_root(site.output)
    try:
        trees = areas.paths(connection)
        count = atomic.remove_leftovers(output_fd, folder, trees)
        unknown = []
        for preset, target in _targets(connection, site, path):
            known = made.get(preset)
            if known is not None and known.name == target.name and files.is_as_made(output_fd, folder, known):
                continue
            if folder_id is not None:
                place = folders.place(connection, folder_id)
                key = place_key(site, target.name)
                if renditions.owner(connection, place, target.area, key, row.id if row is not None else 0) is not None:
                    continue
            count += _remove(output_fd, target.area, rendition_path(folder, target.area, target.name))
            unknown.append(preset)
        for area in trees:
            atomic.prune_folders(output_fd, rendition_path(folder, area, b""))
    finally:
        os.close(output_fd)
    if row is not None and (missing := _known(made, unknown)):
        index.write(lambda c: renditions.miss(c, row.id, missing)).result()
    return count


def _targets(connection: Reader, site: Site, path: bytes) -> Iterator[tuple[str, Target]]:
    """What the watch, and orders that are still open, may have been writing of this source, by name in the index."""
    name = paths.name(path)
    yield from site.targets(name).items()
    for text in orders.specs_of(connection, site.id, path):
        wanted = wants.site_of(site, Spec.from_json(text))
        yield from ((wanted.key(preset), target) for preset, target in wanted.targets(name).items())


def compare(index: Database, site: Site, source_id: int) -> int:
    """After a crash of the machine: renditions that are short, empty or gone are made again; returns how many."""
    connection = index.read()
    if (folder_id := sources.folder_of(connection, source_id)) is None:
        return 0  # it went while its output did not answer
    folder = folders.path_of(connection, folder_id)
    output_fd = atomic.open_root(site.output)
    try:
        made = renditions.of(connection, source_id)
        lost = [each.preset for each in made if not files.is_as_made(output_fd, folder, each)]
    finally:
        os.close(output_fd)
    if lost:
        index.write(lambda c: _make_again(c, source_id, lost)).result()
    return len(lost)


def _make_again(connection: sqlite3.Connection, source_id: int, presets: list[str]) -> None:
    renditions.miss(connection, source_id, presets)
    backlog.retry(connection, source_id, 0.0, 0)


def _known(made: dict[str, Made], presets: list[str]) -> list[str]:
    return [preset for preset in presets if preset in made and made[preset].note != "kept"]


def _remove(output_fd: int, area: bytes, path: bytes) -> int:
    try:
        found = atomic.lstat_beneath(output_fd, path)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return int(atomic.remove_made(output_fd, area, path, found.st_size, found.st_mtime_ns))
