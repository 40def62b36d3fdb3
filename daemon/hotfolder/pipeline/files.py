"""Renditions follow their source: renamed with it, removed with it, and never touched where they are not ours.

A rendition counts as ours while it has the size and mtime that the index remembers.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable
from dataclasses import replace

from hotfolder import faults, paths
from hotfolder.errors import SourceError
from hotfolder.faults import Denied, Operation
from hotfolder.index.renditions import Made
from hotfolder.pipeline import output
from hotfolder.store import atomic
from hotfolder.store.names import rendition_path
from hotfolder.telemetry import logs
from hotfolder.watches import wants
from hotfolder.watches.site import Site

log = logs.get("working")


def remove(site: Site, output_fd: int, folder: bytes, made: Iterable[Made]) -> tuple[Made, ...]:
    """Remove these renditions of a source in `folder`, and folders that are empty then. Gives those that are gone; of
    one that is not ours any more, or that is denied alone, the log says why it stays."""
    return _remove(site, output_fd, folder, made)[0]


def _remove(
    site: Site, output_fd: int, folder: bytes, made: Iterable[Made]
) -> tuple[tuple[Made, ...], SourceError | None]:
    gone = []
    areas = set()
    denied = None
    for rendition in made:
        if rendition.note == "kept":
            gone.append(rendition)
            continue
        path = rendition_path(folder, rendition.area, rendition.name)
        areas.add(rendition.area)
        why = "changed since it was made; not removed"
        try:
            if atomic.remove_made(output_fd, rendition.area, path, rendition.bytes, rendition.mtime_ns):
                gone.append(rendition)
                continue
        except Denied as error:
            denied = faults.failure(error, Operation.WRITE, "it cannot be removed")
            why = denied.message
        log.warning("rendition_kept", watch=site.name, path=path, why=why)
    for area in areas:
        atomic.prune_folders(output_fd, rendition_path(folder, area, b""))
    return tuple(gone), denied


def clear(site: Site, folder: bytes, made: Collection[Made]) -> SourceError | None:
    """Remove these renditions of a source in `folder`, on its output. Returns what stood in the way."""
    if not made:
        return None
    try:
        with output.opened(site) as output_fd:
            return _remove(site, output_fd, folder, made)[1]
    except SourceError as error:
        return error


def rename(site: Site, output_fd: int, old: bytes, new: bytes, made: Iterable[Made]) -> tuple[list[Made], list[Made]]:
    """Bring the renditions of a source that was `old` to where those of `new` belong.

    Gives those that lie there now (with their new names), and those that do not and have to be made or forgotten.
    Doing it again after a crash in between finds the ones that are already there.
    """
    old_folder, new_folder = paths.parent(old), paths.parent(new)
    name = paths.name(new)
    targets = site.targets(name)
    followed: list[Made] = []
    left: list[Made] = []
    for rendition in made:
        target = wants.target(site, rendition, name) if rendition.ordered else targets.get(rendition.preset)
        known = rendition.ordered or site.signatures.get(rendition.preset) == rendition.signature
        if target is None or not known or not rendition.present:
            left.append(rendition)
            continue
        moved = _renamed(rendition, target.name)
        source = rendition_path(old_folder, rendition.area, rendition.name)
        goal = rendition_path(new_folder, target.area, target.name)
        if rendition.note == "kept" or source == goal or _bring(site, output_fd, source, goal, target.area, rendition):
            followed.append(moved)
        else:
            left.append(rendition)
    for area in {rendition.area for rendition in followed}:
        atomic.prune_folders(output_fd, rendition_path(old_folder, area, b""))
    return followed, left


def _bring(site: Site, output_fd: int, source: bytes, goal: bytes, area: bytes, rendition: Made) -> bool:
    if _is_as_made(output_fd, source, rendition):
        atomic.rename_beneath(output_fd, source, goal, area, site.dir_mode)
        return True
    return _is_as_made(output_fd, goal, rendition)


def is_as_made(output_fd: int, folder: bytes, rendition: Made) -> bool:
    """Whether the file is there and still has the size and mtime that the index remembers."""
    return rendition.note == "kept" or _is_as_made(
        output_fd, rendition_path(folder, rendition.area, rendition.name), rendition
    )


def _is_as_made(output_fd: int, path: bytes, rendition: Made) -> bool:
    try:
        stat = atomic.lstat_beneath(output_fd, path)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            return False
        raise
    return stat.st_size == rendition.bytes and stat.st_mtime_ns == rendition.mtime_ns


def _renamed(rendition: Made, name: bytes) -> Made:
    return replace(rendition, name=name)


def rename_folder(site: Site, output_fd: int, old: bytes, new: bytes, areas: Iterable[bytes]) -> bool:
    """Rename the output folders of a source folder. False, and nothing done, where one of the goals is there already.

    What is not there was never made, or a crash came after its rename.
    """
    moves = [(rendition_path(old, area, b""), rendition_path(new, area, b""), area) for area in areas]
    moves = [each for each in moves if _exists(output_fd, each[0])]
    if any(_exists(output_fd, goal) for _, goal, _ in moves):
        log.info("folder_met_another", watch=site.name, path=new, next="its images are renamed one by one")
        return False
    for source, goal, area in moves:
        atomic.rename_beneath(output_fd, source, goal, area, site.dir_mode)
        atomic.prune_folders(output_fd, paths.parent(source))
    return True


def _exists(output_fd: int, path: bytes) -> bool:
    try:
        atomic.lstat_beneath(output_fd, path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
