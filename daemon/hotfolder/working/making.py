"""Making what is missing of one source: names claimed, decoded, rendered, published. Knows no queue and no state.

The order is what makes a crash harmless: temporary files first, then the renames, then (by the caller) the index.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from hotfolder import imaging
from hotfolder.errors import Reason, SourceError
from hotfolder.imaging.plan import Plan
from hotfolder.keeping import atomic, folders, layout, sources
from hotfolder.keeping.atomic import Staging
from hotfolder.keeping.database import Database
from hotfolder.keeping.layout import Target
from hotfolder.keeping.sources import Made
from hotfolder.model import show
from hotfolder.presets import OPTIMIZED
from hotfolder.working.site import AREAS, Site, place_key

Stage = Callable[[str, float], None]
Key = tuple[int, bytes, int, bytes]


class Claims:
    """Rendition paths of jobs in flight: no two of them may write one file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[Key] = set()

    def take(self, site: Site, folder: bytes, targets: Iterable[Target]) -> Claim | None:
        """Hold these paths until released. None, and nothing held, where another job has one of them."""
        where = layout.fold(folder) if site.folds else folder
        keys = frozenset((site.id, where, AREAS.index(t.area), place_key(site, t.name)) for t in targets)
        with self._lock:
            if keys & self._taken:
                return None
            self._taken |= keys
        return Claim(self, keys)

    def release(self, keys: frozenset[Key]) -> None:
        with self._lock:
            self._taken -= keys


@dataclass(frozen=True, slots=True)
class Claim:
    """Rendition paths held by one job."""

    claims: Claims
    keys: frozenset[Key]

    def release(self) -> None:
        """Doing it twice does no harm."""
        self.claims.release(self.keys)


def check_names(index: Database, site: Site, folder: bytes, targets: Iterable[Target], source_id: int) -> None:
    """Raises SourceError(NAME_TAKEN) where the index gives one of the paths to another source."""
    connection = index.read()
    folder_id = folders.find(connection, site.id, folder)
    if folder_id is None and site.folds:
        return  # a twin by case is met by the index's unique key when the row is written
    if folder_id is None:
        return
    place = folders.place(connection, folder_id)
    for target in targets:
        other = sources.owner(connection, place, AREAS.index(target.area), place_key(site, target.name), source_id)
        if other is not None:
            raise SourceError(
                Reason.NAME_TAKEN,
                f"its rendition {show(target.name)} belongs to another source of this folder; rename one of the two",
            )


@dataclass(frozen=True, slots=True)
class Picture:
    """What decoding told of the source, and what was made of it."""

    decoder: str
    format: str
    width: int
    height: int
    made: tuple[Made, ...]
    notes: tuple[str, ...]


def render(
    opened: imaging.Opened, data: bytes, name: bytes, site: Site, wanted: Mapping[str, str], staging: Staging,
    limits: imaging.Limits, stage: Stage,
) -> tuple[imaging.Rendered, dict[str, imaging.Output]]:  # fmt: skip
    """Render `wanted` (preset → plan as JSON) into temporary files; each preset by the whole of its own plan."""
    targets = site.targets(name)

    def create(preset: str) -> BinaryIO:
        return staging.create(targets[preset])

    outputs: dict[str, imaging.Output] = {}
    rendered: imaging.Rendered | None = None
    for spec in sorted(set(wanted.values())):
        if rendered is not None:
            opened = imaging.open_image(data, limits, name)
        plan = site.plan if spec == site.plan_spec else _plan_of(spec, site)
        presets = [preset for preset, its_spec in wanted.items() if its_spec == spec]
        rendered = imaging.render(opened, plan, presets, create, stage)
        outputs.update({output.preset: output for output in rendered.outputs})
    assert rendered is not None
    return rendered, outputs


def _plan_of(spec: str, site: Site) -> Plan:
    """The plan by which a row was made; where it cannot be read any more, today's."""
    try:
        return Plan.from_json(spec)
    except (ValueError, TypeError, KeyError):
        return site.plan


def published(
    site: Site, name: bytes, wanted: Mapping[str, str], outputs: Mapping[str, imaging.Output], staging: Staging,
    mtime_ns: int,
) -> tuple[Made, ...]:  # fmt: skip
    """Give the temporary files their names. Optimized copies carry their source's mtime where the site says so."""
    targets = site.targets(name)
    times = {OPTIMIZED: mtime_ns} if site.source_times else {}
    written = staging.publish(times)
    made = []
    for preset, output in outputs.items():
        size, mtime = written.get(preset, (0, 0))
        target = targets[preset]
        area = AREAS.index(target.area)
        signature, plan = site.signatures[preset], wanted[preset]
        file = (target.name, output.width, output.height, size, mtime, True, output.note)
        made.append(Made(preset, signature, plan, area, *file))
    return tuple(made)


def staging_for(site: Site, output_fd: int, folder: bytes, *, fsync: bool) -> Staging:
    return Staging(output_fd, folder, mode=site.mode, dir_mode=site.dir_mode, fsync=fsync)


@contextmanager
def output_root(site: Site) -> Iterator[int]:
    """The output root's descriptor. Raises OSError where it is away."""
    fd = atomic.open_root(site.output)
    try:
        yield fd
    finally:
        os.close(fd)
