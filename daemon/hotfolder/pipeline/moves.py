"""A source that is new at its path may be one that lay elsewhere: then its renditions are renamed, nothing is decoded.

Its bytes decide. A rename that an event announced only shows where to look first: who writes, puts the old times back
and renames leaves the size, the times and the inode as they were, and the rename itself sets the ctime that would tell.
The old path has to be gone for certain, and is kept out of work meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from hotfolder import paths
from hotfolder.errors import Reason, SourceError
from hotfolder.index import renditions, sources
from hotfolder.index.database import Database
from hotfolder.index.renditions import Made
from hotfolder.index.sources import Row
from hotfolder.model import Job, Result, State, Version
from hotfolder.outcome import Outcome
from hotfolder.paths import show
from hotfolder.pipeline import changes, files, judge, output
from hotfolder.pipeline.claims import Claims, check_names
from hotfolder.pipeline.judge import Verdict
from hotfolder.queue.queue import JobQueue
from hotfolder.watches import wants
from hotfolder.watches.site import Site


class Moves:
    """Gives the outcome, already committed, or None: then the source is made like any new one."""

    def __init__(self, index: Database, queue: JobQueue, claims: Claims, epoch: Callable[[], int]) -> None:
        self._index = index
        self._queue = queue
        self._claims = claims
        self._epoch = epoch

    def follow(self, site: Site, job: Job, version: Version) -> Outcome | None:
        """It has the bytes of one that is not there any more: that was renamed to it. `version` carries its hash."""
        connection = self._index.read()
        announced = None if job.hint is None else sources.find(connection, site.id, job.hint)
        alike = sources.same_content(connection, site.id, version)
        if announced is not None and announced.version.hash == version.hash:
            alike = [announced, *(each for each in alike if each.id != announced.id)]
        for former in alike:
            old = changes.path_of(self._index.read(), former)
            if found := self._follow(site, job, former, old, version):
                return found
        return None

    def _follow(self, site: Site, job: Job, former: Row, old: bytes, version: Version) -> Outcome | None:
        if old == job.path or former.state not in (State.DONE, State.PENDING):
            return None  # PENDING: its removal, or another look at it, was put off
        if judge.source(site.root, old, former) is not Verdict.GONE:
            return None
        if not self._queue.claim(site.name, old):
            raise SourceError(Reason.BUSY, f"{show(old)}, which it was renamed from, is being worked on")
        try:
            now = sources.find(self._index.read(), site.id, old)
            if now is None or now.id != former.id or now.version.hash != version.hash:
                return None  # its last job ended between the look at its row and the claim
            return self._move(site, job, now, old, version)
        finally:
            self._queue.release(site.name, old)

    def _move(self, site: Site, job: Job, former: Row, old: bytes, version: Version) -> Outcome | None:
        folder, name = paths.split(job.path)
        targets = site.targets(name).values()
        made = renditions.of(self._index.read(), former.id)
        claim = self._claims.take(site, folder, targets)
        if claim is None:
            return None
        with contextlib.ExitStack() as ends:
            ends.callback(claim.release)
            check_names(self._index, site, folder, targets, former.id)
            output_fd = ends.enter_context(output.opened(site))
            barred = [each for each in made if each.ordered and self._is_taken(site, job.path, each, former.id)]
            follow = [each for each in made if each not in barred]
            followed, left = files.rename(site, output_fd, old, job.path, follow)
            epoch = self._epoch()  # not before: one that closes meanwhile was synced without these names
            gone = [each for each in (*left, *barred) if each.present]
            files.remove(site, output_fd, paths.parent(old), gone)
            whole = former.made == site.want
            change = changes.Moved(site, former.id, old, job.path, version, tuple(followed), whole, epoch)
            # Committed here: the old path may be claimed by others as soon as this returns.
            self._index.write(change).result()
        return Outcome(Result.REUSED, tuple(followed), old_path=old, source_id=former.id)

    def _is_taken(self, site: Site, path: bytes, made: Made, source_id: int) -> bool:
        """Whether what an order made cannot follow, since another source has its new name."""
        folder, name = paths.split(path)
        target = wants.target(site, made, name)
        if target is None:
            return True
        try:
            check_names(self._index, site, folder, [target], source_id)
        except SourceError:
            return True
        return False
