"""Where a picture is decoded: in the worker's own thread, or in a helper process; and how much memory it may take."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from hotfolder.imaging import formats
from hotfolder.index.suspects import Key
from hotfolder.pool.memory import Held, Reservation
from hotfolder.renderers.child import PictureInChild
from hotfolder.renderers.children import Children
from hotfolder.renderers.picture import Picture, Request
from hotfolder.renderers.suspects import Suspects
from hotfolder.renderers.thread import PictureInThread
from hotfolder.watches.settings import Settings

STUCK_MOST = 8
"""So many threads may hang; while they do, everything is decoded in helpers, which can be ended."""

LARGE = 50_000_000
"""Pixels of a picture in a format that is decoded as a whole, in one call that no thread can be called back from."""


class Renderer:
    """One instance serves all workers."""

    def __init__(self, settings: Settings, memory: Reservation, suspects: Suspects) -> None:
        self._settings = settings
        self._memory = memory
        self.suspects = suspects
        self.children = Children(settings)
        self._given_up: list[threading.Thread] = []

    def give_up(self, thread: threading.Thread) -> None:
        """Its decode hangs; it may still come back."""
        self._given_up = [*self._hung(), thread]

    @property
    def stuck(self) -> int:
        """Threads that were given up and have not ended."""
        return len(self._hung())

    def _hung(self) -> list[threading.Thread]:
        return [thread for thread in self._given_up if thread.is_alive()]

    def reserve(self, amount: int) -> AbstractContextManager[Held]:
        """Wait for `amount` bytes of memory. Raises SourceError(TOO_MUCH_MEMORY), Closed."""
        return self._memory.hold(amount)

    def isolates(self, key: Key, data: bytes, name: bytes) -> bool:
        """Whether a helper decodes this. Raises SourceError for what is no image at all."""
        mode = self._settings.isolate
        if mode != "auto":
            return mode == "always"
        kind = formats.detect(data, name)
        large = any(wide * high > LARGE for wide, high in kind.claimed(data))
        return key in self.suspects or self.stuck >= STUCK_MOST or kind.is_risky or large

    @contextmanager
    def opened(self, request: Request, *, isolated: bool) -> Iterator[Picture]:
        """Read the header. Raises SourceError, MissingExtra; Died where that killed the helper."""
        if not isolated:
            yield PictureInThread(request)
            return
        with self.children.borrow() as child:
            picture = PictureInChild(child, request)
            try:
                yield picture
            finally:
                picture.forget()
