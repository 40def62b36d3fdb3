"""rich's console, whose reader may go: `hotfolder status | head -1` is no failure."""

from __future__ import annotations

import rich.console


class Console(rich.console.Console):
    """As rich's own; a broken pipe stays the exception it is, and `ending` knows what it means."""

    def on_broken_pipe(self) -> None:
        """rich's own ends the process with status 1, which means here that images failed."""
        raise  # noqa: PLE0704  called while it is handled
