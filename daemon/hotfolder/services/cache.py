"""The care of what was made: figures, verify, collect, clear; of all watches together.

Removes only files that the index made and that still are as it made them; everything else is counted and left.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from hotfolder.index import folders, listing, plans, renditions, report, watches
from hotfolder.index.database import Database
from hotfolder.index.renditions import Made
from hotfolder.index.watches import Known
from hotfolder.pipeline import files, output
from hotfolder.services import naming
from hotfolder.services.answers import AbsentCount, Answer
from hotfolder.services.offline import Knowing
from hotfolder.store import atomic
from hotfolder.store.layouts import mirror
from hotfolder.store.outputs import Habits
from hotfolder.watches.site import Site

PAGE = 500


class PresetCache(Answer):
    """Renditions of one preset. `saved_bytes`: how much smaller optimized copies are than their sources."""

    entries: int
    bytes: int
    saved_bytes: AbsentCount = None


class CacheStats(Answer):
    """Renditions that are there. A hit found a rendition current; `hit_ratio` from 0 to 1."""

    entries: int
    sources: int
    bytes: int
    hits: int
    misses: int
    hit_ratio: float
    by_preset: dict[str, PresetCache]


class Verified(Answer):
    """Renditions that were looked at, and how many of them are not as they were made."""

    checked: int
    missing: int


class Cleared(Answer):
    """Renditions that were removed, their bytes, and how many were left since others changed them."""

    removed: int
    bytes: int
    left: int


class Collected(Cleared):
    """The same, and how many watches were forgotten."""

    watches: int


NOTHING = Cleared(removed=0, bytes=0, left=0)


class Cache:
    """Answers when it is done; touches outputs."""

    def __init__(self, known: Knowing) -> None:
        self._known = known

    def stats(self) -> CacheStats:
        found = report.cache_stats(self._known.index.read())
        hits = int(self._known.metrics.value("hotfolder_cache_requests_total", result="hit"))
        misses = int(self._known.metrics.value("hotfolder_cache_requests_total", result="miss"))
        return CacheStats(
            entries=found.entries,
            sources=found.sources,
            bytes=found.bytes,
            hits=hits,
            misses=misses,
            hit_ratio=hits / (hits + misses) if hits + misses else 0.0,
            by_preset={name: PresetCache(**each) for name, each in found.by_preset.items()},
        )

    def verify(self, *, note: bool = True) -> Verified:
        """Look whether every rendition is still as it was made; what is not is made again at the next reconcile.

        Without `note` it is only looked at.
        """
        parts = [_verify(self._known.index, site, note=note) for site in self._sites()]
        return Verified(checked=sum(part.checked for part in parts), missing=sum(part.missing for part in parts))

    def collect(self) -> Collected:
        """Remove renditions of watches that are no longer configured, and forget these watches."""
        return _collect(self._known.index, {site.id for site in self._sites()})

    def clear(self, watch: str | None = None, preset: str | None = None) -> Cleared:
        """Remove renditions, all or of one watch or preset. Raises NotFound for an unknown watch."""
        sites = self._sites() if watch is None else [naming.watcher(self._known, watch).site]
        return _sum(*[_clear(self._known.index, site, preset) for site in sites])

    def _sites(self) -> list[Site]:
        known = [watcher.site for watcher in list(self._known.watchers.values())]
        return [site for site in known if site.id]  # without a daemon: those that the index does not know have nothing


def _made(index: Database, watch_id: int) -> Iterator[tuple[int, bytes, list[Made]]]:
    """Each source of a watch: its id, its folder, and the renditions that are files."""
    after = 0
    while rows := listing.ids(index.read(), watch_id, after, PAGE):
        after = rows[-1][0]
        for source_id, folder_id in rows:
            made = [each for each in renditions.of(index.read(), source_id) if each.note != "kept"]
            yield source_id, folders.path_of(index.read(), folder_id), made


def _miss(index: Database, source_id: int, presets: list[str]) -> None:
    if presets:
        index.write(lambda c: renditions.miss(c, source_id, presets))


def _verify(index: Database, site: Site, *, note: bool) -> Verified:
    checked = lost = 0
    with output.opened(site) as output_fd:
        for source_id, folder, made in _made(index, site.id):
            missing = [m.preset for m in made if not (m.present and files.is_as_made(output_fd, folder, m))]
            checked += len(made)
            lost += len(missing)
            if note:
                _miss(index, source_id, missing)
    if note:
        index.flush()
    return Verified(checked=checked, missing=lost)


def _clear(index: Database, site: Site, preset: str | None) -> Cleared:
    total = NOTHING
    with output.opened(site) as output_fd:
        for source_id, folder, made in _made(index, site.id):
            wanted = [each for each in made if each.present and preset in (None, each.preset)]
            gone = files.remove(site, output_fd, folder, wanted)
            total = _sum(total, _cleared(wanted, gone))
            _miss(index, source_id, [each.preset for each in gone])
    index.flush()
    return total


def _cleared(made: list[Made], gone: tuple[Made, ...]) -> Cleared:
    return Cleared(removed=len(gone), bytes=sum(each.bytes for each in gone), left=len(made) - len(gone))


def _sum(*parts: Cleared) -> Cleared:
    return Cleared(
        removed=sum(part.removed for part in parts),
        bytes=sum(part.bytes for part in parts),
        left=sum(part.left for part in parts),
    )


def _collect(index: Database, configured: set[int]) -> Collected:
    parts = []
    for watch in watches.known(index.read()):
        if watch.id not in configured:
            parts.append(_remove_all(index, watch))
            index.write(lambda c, id_=watch.id: watches.forget(c, id_)).result()  # type: ignore[misc]
    index.write(plans.prune).result()
    return Collected(**dict(_sum(*parts)), watches=len(parts))


def _remove_all(index: Database, watch: Known) -> Cleared:
    try:
        output_fd = atomic.open_root(watch.output)
    except OSError:
        return NOTHING  # the output went with the watch
    site = Site(
        name="",
        id=watch.id,
        root="",
        output=watch.output,
        presets=(),
        optimize=None,
        analyze=None,
        layout=mirror.LAYOUT,  # no matter which: nothing is named any more
        mode=0o644,
        dir_mode=0o755,
        source_times=True,
        keep_deleted=False,
        habits=Habits(),
    )
    total = NOTHING
    try:
        for _, folder, made in _made(index, watch.id):
            total = _sum(total, _cleared(made, files.remove(site, output_fd, folder, made)))
    finally:
        os.close(output_fd)
    return total
