"""How image files are built: one bounded walker for each container, and nothing of what the parts mean.

Walkers step as the decoders do (what those pass over is passed over here), so that what is counted and what is decoded
are the same. They trust no number in the file: no step leads backwards, nothing outside the file is read, and more
parts than any sane file has raise `Endless`, the one exception that a walker raises.
"""

from __future__ import annotations

PARTS_MOST = 1_000_000
"""Parts of one container. A picture of 1 GB in the smallest chunks that encoders write has a tenth of it."""


class Endless(ValueError):
    """A container has more parts than any sane file."""

    def __init__(self, most: int) -> None:
        super().__init__(f"it has more than {most} parts")
