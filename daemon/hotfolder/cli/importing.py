"""How commands import what is heavy: quickly, only where they need it, and so that Ctrl-C ends them at once."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130


def leave_at_once() -> None:
    """Until a command has begun, Ctrl-C has nothing to put in order; an exception could be lost in an import."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))


@contextmanager
def importing() -> Iterator[None]:
    """Around imports: they make many objects and no garbage, so looking for some would be a tenth of the time.

    What they made stays to the end; the collector never looks at it again.
    """
    ours = threading.current_thread() is threading.main_thread()
    former = signal.getsignal(signal.SIGINT)
    if ours:
        leave_at_once()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        if ours and former is not None:
            signal.signal(signal.SIGINT, former)
