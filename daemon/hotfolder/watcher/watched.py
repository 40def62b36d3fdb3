"""One watch, as the parts of its watcher see it."""

from __future__ import annotations

from dataclasses import dataclass

from hotfolder.config import Watch
from hotfolder.model import WatchState
from hotfolder.watcher.condition import Condition
from hotfolder.watcher.rules import Rules
from hotfolder.watches.site import Site


@dataclass
class Watched:
    """`site` is another one after its hooks have changed; who needs it reads it here each time."""

    config: Watch
    site: Site
    rules: Rules
    condition: Condition
    live: bool = False
    """With events, polls and rescans (the daemon); otherwise it reconciles only when asked (scan)."""

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def stands(self) -> bool:
        """Whether its root is there and its output prepared: only then is anything done."""
        return self.condition.state != WatchState.OFFLINE and self.site.habits.ready
