"""The known sources of one watch that lie on what is not there now."""

from __future__ import annotations

import os
from collections.abc import Mapping

from hotfolder.paths import show
from hotfolder.watcher import condition
from hotfolder.watcher.watched import Watched


class Away:
    """How many they are, by the place where that begins; reported as a trouble of the watch."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._places: dict[bytes, int] = {}

    def walked(self, folder: bytes, found: Mapping[bytes, int]) -> None:
        """A walk of this folder has found them in these places, and no others below it."""
        prefix = folder + b"/" if folder else b""
        others = {place: n for place, n in self._places.items() if place != folder and not place.startswith(prefix)}
        self._places = others | dict(found)
        self._watched.condition.set(condition.AWAY, self._text() if self._places else None)

    def _text(self) -> str:
        root, place = os.fsencode(self._watched.config.path), min(self._places)
        first = show(root + b"/" + place if place else root)
        more = f" and {len(self._places) - 1} more folders" if len(self._places) > 1 else ""
        return (
            f"{first}{more}: {sum(self._places.values())} known images lie on another file system, or below another "
            "root folder, than what is there now; they are kept until it is back, or "
            f"`hotfolder scan --confirm-deletes {first}`"
        )
