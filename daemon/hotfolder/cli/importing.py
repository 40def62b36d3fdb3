"""How commands import what is heavy: quickly, and only where they need it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Around imports: they make many objects and no garbage, so looking for some would be a tenth of the time.

    What they made stays to the end; the collector never looks at it again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
