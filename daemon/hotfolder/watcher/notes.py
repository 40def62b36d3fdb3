"""The notes of one watch, one a path, and which of them are due. Whoever uses them holds a lock."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable

from hotfolder.watcher.settle import TWICE_SECONDS, Note

HEAP_MORE = 1000
CLOSES_MAX = 10_000


class Notes:
    """By path, and by when they are due."""

    def __init__(self) -> None:
        self._notes: dict[bytes, Note] = {}
        self._heap: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        return len(self._notes)

    def __contains__(self, path: bytes) -> bool:
        return path in self._notes

    def get(self, path: bytes) -> Note | None:
        return self._notes.get(path)

    def deleted(self) -> list[bytes]:
        """The paths of which the last news is that they were deleted."""
        return [note.path for note in self._notes.values() if note.deleted]

    def drop_deletion(self, path: bytes) -> None:
        """Whether it was deleted will be found in another way."""
        if (note := self._notes.get(path)) is not None and note.deleted:
            del self._notes[path]

    def put(self, note: Note) -> None:
        """Keep it, new or with a new due time."""
        self._notes[note.path] = note
        heapq.heappush(self._heap, (note.due, note.path))
        if len(self._heap) > 2 * len(self._notes) + HEAP_MORE:  # a file that is written on and on adds one each time
            self._heap = [(each.due, each.path) for each in self._notes.values()]
            heapq.heapify(self._heap)

    @property
    def next_due(self) -> float | None:
        """When the first is due, or was before it was put off; None where there is none."""
        return self._heap[0][0] if self._heap else None

    def take(self, now: float, later: Callable[[Note], float | None]) -> list[Note]:
        """Remove and return what is due. One for which `later` returns a time is put off until then."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            due, path = heapq.heappop(self._heap)
            note = self._notes.get(path)
            if note is None or note.due > due:
                continue  # it was put off, and stands in the heap again
            if (put_off := later(note)) is not None:
                note.due = put_off
                heapq.heappush(self._heap, (note.due, path))
                continue
            found.append(self._notes.pop(path))
        return found


class Closes:
    """When paths were closed lately: at most CLOSES_MAX of them, and none longer ago than counts."""

    def __init__(self) -> None:
        self._closes: OrderedDict[bytes, float] = OrderedDict()

    def last(self, path: bytes) -> float | None:
        return self._closes.get(path)

    def note(self, path: bytes, now: float) -> None:
        self._closes[path] = now
        self._closes.move_to_end(path)
        while self._closes:
            oldest = next(iter(self._closes))
            if len(self._closes) <= CLOSES_MAX and now - self._closes[oldest] < TWICE_SECONDS:
                return
            del self._closes[oldest]
