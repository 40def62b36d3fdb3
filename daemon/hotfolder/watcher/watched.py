"""What the rounds of a watch need of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from hotfolder.config import Watch
from hotfolder.watcher.condition import Condition
from hotfolder.watcher.coverage import Coverage
from hotfolder.watcher.intake import Intake
from hotfolder.watcher.rules import Rules
from hotfolder.watches.site import Site


class Watched(Protocol):
    """One watch at work, as its rounds see it."""

    config: Watch
    site: Site
    rules: Rules
    condition: Condition
    coverage: Coverage
    intake: Intake
    clean: Callable[[Site], None]

    def watch_tree(self) -> None:
        """Begin with events, anew where there were some."""

    def root_replaced(self) -> bool:
        """Whether the root's path leads to another folder than the one that is watched."""

    def ensure(self, folder: bytes) -> None:
        """Have the events of this folder from now on. Called before it is listed."""

    def knows(self, path: bytes) -> bool:
        """Whether something happened to it that has not been worked on yet."""

    def queued(self, path: bytes) -> bool:
        """Whether it waits for a worker or is in work."""

    def walked(self, folder: bytes, away: Mapping[bytes, int]) -> None:
        """A walk has ended; `away`: how many sources cannot be seen, by the place where that begins."""

    def missed(self, found: Counter[bytes]) -> None:
        """Changes that no event had announced, by the mount on which they lie."""

    def offline(self) -> None:
        """The root does not answer as it should."""

    def output_failed(self, message: str) -> None:
        """The output cannot be written."""
