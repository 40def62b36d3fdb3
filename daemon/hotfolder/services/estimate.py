"""What a scan would have to do: walked without changing anything, and costed by the index's own history."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hotfolder import probe
from hotfolder.index import history
from hotfolder.paths import parent
from hotfolder.services import naming
from hotfolder.services.answers import Answer
from hotfolder.services.offline import Knowing
from hotfolder.watcher.findings import Findings
from hotfolder.watcher.options import Options
from hotfolder.watcher.reconcile import Reconcile
from hotfolder.watcher.watcher import Watcher
from hotfolder.watches.grounds import RootAway


class Estimate(Answer):
    """What a scan of one watch would have to do. `bytes_out` and `seconds` are null as long as nothing was made.

    `missing`: sources that are not there any more; `problem`: why the root could not be walked.
    """

    watch: str
    sources: int
    to_make: int
    renditions: int
    bytes_in: int
    bytes_out: int | None
    seconds: float | None
    missing: int
    problem: str | None


def estimate(known: Knowing, watch: str | None, paths: Sequence[str], *, verify: bool, workers: int) -> list[Estimate]:
    """Of all watches, of one, or of those that own the paths; a file among these is looked at with its folder.

    Raises ServiceError.
    """
    if watch is not None:
        naming.watcher(known, watch)
    wanted: dict[str, list[bytes]] = {}
    for n, text in enumerate(paths):
        named = naming.resolve(known, text, f"paths.{n}")
        watcher, path = named.watcher, named.path
        if not os.path.isdir(os.path.join(os.fsencode(watcher.config.path), path)):
            path = parent(path)
        wanted.setdefault(watcher.config.name, []).append(path)
    if not paths:
        wanted = {name: [b""] for name in known.watchers if watch in (None, name)}
    return [_of(known, known.watchers[name], below, verify, workers) for name, below in wanted.items()]


def _of(known: Knowing, watcher: Watcher, below: Sequence[bytes], verify: bool, workers: int) -> Estimate:
    found: list[Findings] = []
    problem = None
    for folder in dict.fromkeys(below):
        walk = Reconcile(known.index, watcher.site, watcher.rules, Options(verify=verify, dry=True))
        try:
            probe.check(watcher.config.path)
            probe.check(watcher.config.output)
            found.append(walk.run(folder))
        except (RootAway, probe.Silent) as error:
            problem = str(error)
    to_make = sum(each.new + each.changed for each in found)
    to_read = sum(each.to_read for each in found)
    connection = known.index.read()
    pace = history.pace(connection)
    seconds = pace.seconds / pace.bytes * to_read / workers if pace and pace.bytes else None
    return Estimate(
        watch=watcher.config.name,
        sources=sum(each.sources for each in found),
        to_make=to_make,
        renditions=to_make * len(watcher.site.signatures),
        bytes_in=to_read,
        bytes_out=history.written(connection, tuple(watcher.site.signatures), to_make, to_read),
        seconds=None if seconds is None else round(seconds, 1),
        missing=sum(each.vanished for each in found),
        problem=problem,
    )
