"""After an unclean end: what the jobs in flight may have left behind, found by their notes and not by a walk.

Temporary files go. So does every rendition that was published and never came into the index: its source may be gone
or called otherwise by now, and nobody else would ever know of the file. What is wanted is made again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator

from hotfolder import paths
from hotfolder.index import areas, backlog, folders, orders, renditions, sources
from hotfolder.index.database import Database
from hotfolder.index.readers import Reader
from hotfolder.index.renditions import Made
from hotfolder.pipeline import files
from hotfolder.store import atomic
from hotfolder.store.layout import Target, rendition_path
from hotfolder.watches import wants
from hotfolder.watches.site import Site, place_key
from hotfolder.watches.wants import Spec


def recover(index: Database, site: Site, path: bytes) -> int:
    """Clean up after the job of one source; gives how many files went. Raises OSError where the output is away."""
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
            count += _remove(output_fd, rendition_path(folder, target.area, target.name))
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
    """After a crash of the machine: renditions that are short, empty or gone are made again; gives how many."""
    connection = index.read()
    folder = folders.path_of(connection, sources.folder_of(connection, source_id))
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


def _remove(output_fd: int, path: bytes) -> int:
    try:
        found = atomic.lstat_beneath(output_fd, path)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return int(atomic.remove_made(output_fd, path, found.st_size, found.st_mtime_ns))
