"""Whether the renditions of given sources are there, looked at again and again by who waits for them.

Whoever waits wants them: what nobody would make before the next reconcile (cleared, removed by somebody) is made on
this demand.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from typing import Any, Literal

from hotfolder import paths
from hotfolder.engine import Engine
from hotfolder.errors import SourceError
from hotfolder.hooks import facts
from hotfolder.index import listing, renditions, sources
from hotfolder.index.sources import Row
from hotfolder.model import Job, Lane, State, Version
from hotfolder.pipeline import files, output
from hotfolder.services import hindrance, naming
from hotfolder.services.answers import AbsentText, Answer, Error, Place
from hotfolder.services.errors import Invalid
from hotfolder.services.naming import Named
from hotfolder.watcher import condition
from hotfolder.watcher.watcher import Watcher


class ReadyRendition(Answer):
    """A rendition with its absolute path; null where none can be made of this format."""

    preset: str
    width: int
    height: int
    bytes: int
    path: str | None
    path_b64: AbsentText = None
    note: str | None


class Awaited(Place):
    """An image that somebody waits for. `waits_for`: what stands in the way; null: it is its turn soon."""

    watch: str
    state: Literal["ready", "waiting", "failed"]
    error: Error | None
    waits_for: str | None
    renditions: list[ReadyRendition]


class Waiting:
    """One question, until none of its images waits. `look` touches files, and runs on any thread, one at a time."""

    def __init__(self, engine: Engine, wanted: Sequence[str]) -> None:
        """Raises Invalid where nothing is wanted."""
        if not wanted:
            raise Invalid("paths", "is empty; give at least one")
        self._engine = engine
        self._wanted = wanted
        self._open = list(dict.fromkeys(wanted))
        self._demanded: set[str] = set()
        self._found: dict[str, Awaited] = {}

    def look(self) -> bool:
        """Look at those that wait; returns whether any still does. Raises Invalid, Outside."""
        named = [naming.resolve(self._engine, text, f"paths.{n}") for n, text in enumerate(self._open)]
        for each in named:
            self._found[each.name], wanting = _look(self._engine, each.watcher, each.path)
            if wanting:
                self._demand(each)
        self._open = [text for text in self._open if self._found[text].state == "waiting"]
        return bool(self._open)

    @property
    def answers(self) -> list[Awaited]:
        """As of the last look, in the order of the paths."""
        return [self._found[text] for text in self._wanted]

    def _demand(self, each: Named) -> None:
        """Once: else it would be made again and again while something takes it away."""
        if each.name not in self._demanded:
            self._demanded.add(each.name)
            now = time.monotonic()
            each.watcher.look_at(Job(each.watcher.config.name, each.path, Lane.FRESH, now, now))


def _look(engine: Engine, watcher: Watcher, path: bytes) -> tuple[Awaited, bool]:
    """What is so, and whether nobody is about to change it though something is missing."""
    if (trouble := hindrance.of_watch(watcher, condition.ROOT)) is not None:
        return _waiting(watcher, path, trouble), False
    there = _there(watcher, path)
    if isinstance(there, Error):
        return _failed(watcher, path, there.reason, there.message), False
    known = watcher.outstanding.knows(path)
    connection = engine.index.read()
    row = sources.find(connection, watcher.site.id, path)
    if known or row is None or not _is_of(row, there):
        wanting = not known and (row is None or row.state is not State.PENDING)
        return _waiting(watcher, path, hindrance.of(engine, watcher, path, row)), wanting
    if row.state is State.FAILED:
        listed = listing.one(connection, row.id)
        if listed is None or listed.failure is None:  # it has changed meanwhile
            return _waiting(watcher, path, None), False
        return _failed(watcher, path, listed.failure.reason, listed.failure.message), False
    if row.state is State.SKIPPED:
        return _failed(watcher, path, "skipped", f"it needs the extra '{row.extra}'"), False
    try:
        if not row.complete(watcher.site.want) or _lost(engine, watcher, path, row):
            return _waiting(watcher, path, None), True
    except SourceError as error:
        return _waiting(watcher, path, error.message), False
    made = facts.described(connection, watcher.site, row.id, path)["renditions"]
    return _awaited(watcher, path, state="ready", renditions=[ReadyRendition(**each) for each in made]), False


def _awaited(watcher: Watcher, path: bytes, **values: Any) -> Awaited:
    nothing: dict[str, Any] = {"error": None, "waits_for": None, "renditions": []}
    place = paths.named(watcher.config.path, path)
    return Awaited(**place, watch=watcher.config.name, **(nothing | values))


def _waiting(watcher: Watcher, path: bytes, waits_for: str | None) -> Awaited:
    return _awaited(watcher, path, state="waiting", waits_for=waits_for)


def _failed(watcher: Watcher, path: bytes, reason: str, message: str) -> Awaited:
    return _awaited(watcher, path, state="failed", error=Error(reason=reason, message=message))


def _there(watcher: Watcher, path: bytes) -> Version | Error:
    """The version that lies there, or why there is no image."""
    if rule := watcher.rules.why_not(path):
        return Error(reason="ignored", message=f"ignored: {rule}")
    try:
        there = os.lstat(os.path.join(os.fsencode(watcher.config.path), path))
    except (FileNotFoundError, NotADirectoryError):
        return Error(reason="not_found", message="there is no such file")
    except OSError as error:
        return Error(reason="io_error", message=os.strerror(error.errno or 0))
    if not stat.S_ISREG(there.st_mode):
        return Error(reason="not_an_image", message="it is no regular file")
    return Version.of(there)


def _lost(engine: Engine, watcher: Watcher, path: bytes, row: Row) -> bool:
    """Whether renditions that the index has are not there any more as they were made; noted in the index.

    Raises SourceError where the output is away.
    """
    made = [each for each in renditions.of(engine.index.read(), row.id) if each.present]
    with output.opened(watcher.site) as output_fd:
        folder = paths.parent(path)
        lost = [each.preset for each in made if not files.is_as_made(output_fd, folder, each)]
    if lost:
        engine.index.write(lambda c: renditions.miss(c, row.id, lost)).result()
    return bool(lost)


def _is_of(row: Row, version: Version) -> bool:
    """The row speaks of the file as it is; of one that could not even be seen any row does."""
    return row.state is not State.PENDING and (row.version.size == -1 or row.version.same_stat(version))
