"""The quarantine: the images that failed for good, and another try for them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from hotfolder.engine import Engine
from hotfolder.index import backlog, report
from hotfolder.services import naming
from hotfolder.services.answers import Place
from hotfolder.services.offline import Knowing


class Quarantined(Place):
    """An image in quarantine. `tries`: how often it was tried; `decoder`: which gave up, null where none was asked."""

    watch: str
    reason: str
    message: str
    decoder: str | None
    tries: int
    first_at: str
    last_at: str


def failures(known: Knowing, limit: int | None = None) -> list[Quarantined]:
    """At most `limit` of them."""
    roots = {name: watcher.config.path for name, watcher in list(known.watchers.items())}
    found = report.failures(known.index.read(), roots)
    return [Quarantined(**each) for each in islice(found, limit)]


def retry(engine: Engine, paths: Sequence[str]) -> int:
    """Let all of the quarantine wait for work again, or these paths; returns how many. Raises ServiceError."""
    named = [naming.resolve(engine, path, f"paths.{n}") for n, path in enumerate(paths)]
    wanted = [(each.watcher.site.id, each.path) for each in named] if paths else None
    count = engine.index.write(lambda c: backlog.retry_failed(c, wanted)).result()
    engine.feeder.kick()
    return count
