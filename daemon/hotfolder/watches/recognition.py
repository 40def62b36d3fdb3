"""Which of the watches that the index knows a configured one is, whatever of its name, root and output has changed.

Two of the three are enough. Where less agrees, the images that lie at its root decide. Nothing is decoded again for a
watch that was recognised, and nothing is deleted because one was not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hotfolder import probe
from hotfolder.config import Config, Watch
from hotfolder.index import watches
from hotfolder.index.database import Database
from hotfolder.index.watches import Known
from hotfolder.store import atomic
from hotfolder.telemetry import logs
from hotfolder.watches import grounds

log = logs.get("daemon")


@dataclass(frozen=True, slots=True)
class Match:
    """A configured watch and the row that is its own."""

    watch: Watch
    known: Known

    @property
    def differs(self) -> bool:
        watch, known = self.watch, self.known
        return (watch.name, watch.path, watch.output) != (known.name, known.root, known.output)

    @property
    def agreeing(self) -> tuple[bool, bool, bool]:
        """Whether root, output and name are those of before, the strongest first."""
        watch, known = self.watch, self.known
        return (_same(watch.path, known.root), _same(watch.output, known.output), watch.name == known.name)


def _same(path: str, former: str) -> bool:
    return path == former or probe.real_path(path) == probe.real_path(former)


def matches(config: Config, known: list[Known], lies_there: Callable[[Match], bool]) -> list[Match]:
    """Each configured watch that is known, once. `lies_there`: whether the known images are at the root."""
    found = []
    free = [Match(watch, each) for watch in config.watches for each in known]

    def take(fits: Callable[[Match], bool]) -> None:
        nonlocal free
        for match in sorted(free, key=lambda match: (sum(match.agreeing), match.agreeing), reverse=True):
            if match in free and fits(match):
                found.append(match)
                free = [each for each in free if each.watch is not match.watch and each.known is not match.known]

    take(lambda match: not match.differs)
    take(lambda match: sum(match.agreeing) >= 2)
    take(lies_there)
    take(lambda match: match.agreeing[0] or match.agreeing[1])  # a name alone may be given to anything
    return found


def find(index: Database, config: Config) -> list[Match]:
    """Reads the index, and roots where names and places are not enough."""
    return matches(config, watches.known(index.read()), lambda match: _lies_there(index, match))


def _lies_there(index: Database, match: Match) -> bool:
    """False where it does not answer, too."""
    try:
        return probe.ask(match.watch.path, lambda: _look_there(index, match))
    except probe.Silent:
        return False


def _look_there(index: Database, match: Match) -> bool:
    try:
        root_fd = atomic.open_root(match.watch.path)
    except OSError:
        return False
    try:
        return grounds.lies_there(index, match.known.id, root_fd)
    finally:
        os.close(root_fd)


def settle(index: Database, config: Config) -> dict[str, str]:
    """Give the rows of the index the names of the configuration; returns those that have changed, the former first.

    Where only a place has changed the row takes it up with its site (see wiring).
    """
    found = find(index, config)
    changed = [match for match in found if match.differs]
    names = {match.known.id: match.watch.name for match in found}
    taken = {watch.name for watch in config.watches}
    if changed or any(each.name in taken and each.id not in names for each in watches.known(index.read())):
        index.write(lambda c: watches.rename(c, names, taken)).result()
    for match in changed:
        index.write(lambda c, former=match.known: watches.note(c, former)).result()  # type: ignore[misc]
        log.warning("watch_recognised", watch=match.watch.name, **dict(told(match)), next="what lies there is kept")
    for match in found:
        moved = not match.agreeing[0] or watches.has_moved(index.read(), match.known.id)
        if moved and not _lies_there(index, match):
            text = (
                "nothing counts as deleted until they do; if this is the right root: hotfolder scan --confirm-deletes"
            )
            why = f"the images that are known do not lie at {match.watch.path}"
            log.warning("root_unknown", watch=match.watch.name, why=why, next=text)
    return {match.known.name: match.watch.name for match in changed if match.known.name != match.watch.name}


def told(match: Match) -> Iterator[tuple[str, str]]:
    """What it was before, where that is another."""
    watch, known = match.watch, match.known
    pairs = (("name", known.name, watch.name), ("root", known.root, watch.path), ("output", known.output, watch.output))
    for key, former, now in pairs:
        if former != now:
            yield f"former_{key}", former
