"""The statistics of everything that was analysed, counted by one caller at a time and kept.

A count reads the index in short pages and keeps two numbers an image. It is kept for a time, longer where it took
longer; who comes while one counts gets the former result.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from hotfolder import times
from hotfolder.collection import Summary, of_index
from hotfolder.engine import Engine
from hotfolder.index import report
from hotfolder.services import state
from hotfolder.services.answers import Answer
from hotfolder.services.state import Performance

KEPT_SECONDS = 10.0
KEPT_TIMES = 20
"""A result is kept for so many times as long as it took: counting takes a twentieth of one processor at the most."""


class FormatCount(Answer):
    """Images of one format, and their bytes."""

    images: int
    bytes: int


class CameraCount(Answer):
    """Images of one kind of camera, and how many of them are likely blurred."""

    images: int
    blurred: int


class Duplicates(Answer):
    """Copies beyond the first, by content and with their bytes; and groups of images that look alike."""

    exact: int
    exact_bytes: int
    near_groups: int
    near: int


class Library(Answer):
    """Everything that was analysed; `sources` counts what was not, too. Units and ranges are in docs/analysis.md.

    `sharpness` and `exposure`: images in each tenth from 0 to 1; `as_of`: when they were counted.
    """

    images: int
    bytes: int
    rendition_bytes: int
    saved_bytes: int
    formats: dict[str, FormatCount]
    resolutions: dict[str, int]
    cameras: dict[str, int]
    lenses: dict[str, int]
    camera_classes: dict[str, CameraCount]
    months: dict[str, int]
    sharpness: list[int]
    exposure: list[int]
    averages: dict[str, float]
    blurred: int
    blank: int
    duplicates: Duplicates
    sources: int
    as_of: str
    performance: Performance


class Overview:
    """One for the application; `summary` is called on any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counting = threading.Lock()
        self._result: dict[str, Any] | None = None
        self._good_until = 0.0

    def summary(self) -> Library:
        """As `analyze --json` has it, with how fast images are made."""
        if self._counting.acquire(blocking=self._result is None):
            try:
                if self._result is None or time.monotonic() >= self._good_until:
                    began = time.monotonic()
                    self._result = self._count()
                    now = time.monotonic()
                    self._good_until = now + max(KEPT_SECONDS, KEPT_TIMES * (now - began))
            finally:
                self._counting.release()
        assert self._result is not None
        return Library(**self._result, performance=state.performance(self._engine))

    def _count(self) -> dict[str, Any]:
        connection = self._engine.index.read()
        roots = {name: watcher.config.path for name, watcher in self._engine.watchers.items()}
        found = Summary()
        for entry in of_index(connection, roots):
            found.add(entry)
        rows = report.states(connection)
        sources = sum(count for (watch, _), count in rows.items() if watch in roots)
        return found.as_dict() | {"sources": sources, "as_of": times.rfc3339(time.time())}
