"""The care of what was made, of all watches together: asked for over HTTP, and by `hotfolder cache` itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hotfolder.index import report
from hotfolder.services import care
from hotfolder.services.offline import Knowing
from hotfolder.watches.site import Site


class Cache:
    """Answers when it is done; touches outputs."""

    def __init__(self, known: Knowing) -> None:
        self._known = known

    def stats(self) -> dict[str, Any]:
        found = report.cache_stats(self._known.index.read())
        hits = int(self._known.metrics.value("hotfolder_cache_requests_total", result="hit"))
        misses = int(self._known.metrics.value("hotfolder_cache_requests_total", result="miss"))
        return {
            "entries": found.entries,
            "sources": found.sources,
            "bytes": found.bytes,
            "hits": hits,
            "misses": misses,
            "hit_ratio": hits / (hits + misses) if hits + misses else 0.0,
            "by_preset": found.by_preset,
        }

    def verify(self, *, note: bool = True) -> dict[str, int]:
        """Look whether every rendition is still as it was made; what is not is made again at the next reconcile.

        Without `note` it is only looked at.
        """
        parts = [care.verify(self._known.index, site, note=note) for site in self._sites()]
        return _sum({"checked": 0, "missing": 0}, parts)

    def collect(self) -> dict[str, int]:
        """Remove renditions of sources and watches that are gone, and of presets that are no longer made."""
        return care.collect(self._known.index, {site.id for site in self._sites()})

    def clear(self, watch: str | None = None, preset: str | None = None) -> dict[str, int]:
        """Remove renditions, all or of one watch or preset. Raises KeyError for an unknown watch."""
        sites = self._sites() if watch is None else [self._known.watchers[watch].site]
        return _sum(
            {"removed": 0, "bytes": 0, "left": 0}, [care.clear(self._known.index, each, preset) for each in sites]
        )

    def _sites(self) -> list[Site]:
        known = [watcher.site for watcher in list(self._known.watchers.values())]
        return [site for site in known if site.id]  # without a daemon: those that the index does not know have nothing


def _sum(total: dict[str, int], parts: Iterable[dict[str, int]]) -> dict[str, int]:
    for part in parts:
        for key, value in part.items():
            total[key] += value
    return total
