"""A source with the bytes of another one (a copy, a hard link) gets copies of its renditions; nothing is decoded.

And a rendition that lies there already, of the right size and newer than its source, can be adopted (`scan --adopt`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import BinaryIO

from hotfolder import imaging
from hotfolder.index import analyses, folders, renditions, sources
from hotfolder.index.database import Database
from hotfolder.index.renditions import Made
from hotfolder.index.sources import Row
from hotfolder.model import State
from hotfolder.paths import join
from hotfolder.pipeline import output
from hotfolder.pipeline.publish import Draw, Drawn
from hotfolder.pipeline.work import Work
from hotfolder.store import atomic
from hotfolder.store.names import rendition_path
from hotfolder.store.staging import Staging


class Changed(Exception):
    """What was to be copied has just changed: the source is decoded like any other."""


def find(index: Database, work: Work) -> tuple[dict[str, str], Draw] | None:
    """What to make (preset → plan) and how, where another source of the watch has the same bytes and is complete."""
    site = work.site
    for row in sources.same_content(index.read(), site.id, work.at):
        if row.state is not State.DONE or row.made != site.want or not _named_alike(row.name, work.name):
            continue
        folder = folders.path_of(index.read(), row.folder_id)
        if row.name == work.name and folder == work.folder:
            continue
        made = [each for each in renditions.of(index.read(), row.id) if not each.ordered]
        now = sources.find(index.read(), site.id, join(folder, row.name))
        if now is None or now.id != row.id or now.version.hash != work.at.hash:
            continue  # it was made of other bytes between the two reads
        if all(each.present for each in made) and {each.preset for each in made} == site.signatures.keys():
            return {each.preset: each.plan for each in made}, _copying(index, work, row, folder, made)
    return None


def _named_alike(one: bytes, other: bytes) -> bool:
    """Names of renditions, and the format of the optimized copy, follow from the extension."""
    return os.path.splitext(one)[1].lower() == os.path.splitext(other)[1].lower()


def _copying(index: Database, work: Work, row: Row, folder: bytes, made: list[Made]) -> Draw:
    site = work.site

    def draw(staging: Staging) -> Drawn:
        targets = site.targets(work.name)
        with output.opened(site) as output_fd:
            for each in made:
                if each.note != "kept":
                    path = rendition_path(folder, each.area, each.name)
                    _copy(output_fd, path, each, staging.create(targets[each.preset]))
        record = analyses.of(index.read(), row.id, site.analyze.signature) if site.analyze else None
        return Drawn(tuple(made), sources.facts(index.read(), row.id), record=record)

    return draw


def _copy(output_fd: int, path: bytes, made: Made, target: BinaryIO) -> None:
    try:
        fd = atomic.open_source(output_fd, path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Changed from error
    with os.fdopen(fd, "rb") as source:
        stat = os.fstat(fd)
        if (stat.st_size, stat.st_mtime_ns) != (made.bytes, made.mtime_ns):
            raise Changed
        shutil.copyfileobj(source, target, 1 << 20)
    if target.tell() != made.bytes:
        raise Changed


def adopted(work: Work, sizes: Mapping[str, tuple[int, int]]) -> dict[str, Made]:
    """Renditions that lie where they belong, have the size in pixels that they should have and are not older than
    their source, by preset."""
    site = work.site
    found = {}
    with output.opened(site) as output_fd:
        for preset, target in site.targets(work.name).items():
            path = rendition_path(work.folder, target.area, target.name)
            if file := _adopt(output_fd, path, sizes[preset], work.at.mtime_ns):
                (width, height), (size, mtime_ns) = sizes[preset], file
                found[preset] = Made(
                    preset=preset,
                    signature=site.signatures[preset],
                    plan=site.plan_spec,
                    area=target.area,
                    name=target.name,
                    width=width,
                    height=height,
                    bytes=size,
                    mtime_ns=mtime_ns,
                    present=True,
                    note="",
                )
    return found


def _adopt(output_fd: int, path: bytes, size: tuple[int, int], not_before: int) -> tuple[int, int] | None:
    try:
        fd = atomic.open_source(output_fd, path)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        stat = os.fstat(fd)
        fits = imaging.stated_size(file) == size
    return (stat.st_size, stat.st_mtime_ns) if fits and stat.st_mtime_ns >= not_before else None
