"""The bytes of a source, at most as many as were asked for."""

from __future__ import annotations

import os
from collections.abc import Callable

CHUNK = 16 << 20
"""Read at a time: so often somebody who looks for signs of life sees one."""


def read_all(fd: int, size: int, step: Callable[[], None] = lambda: None) -> bytes:
    """`size` bytes from the start; fewer where the file has become shorter. `step` is told of each part that came."""
    chunks: list[bytes] = []
    done = 0
    while done < size and (chunk := os.pread(fd, min(CHUNK, size - done), done)):
        chunks.append(chunk)
        done += len(chunk)
        step()
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
