"""The chunks of a RIFF file. They end where its own length ends, as they do for libwebp; odd ones are padded."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hotfolder.imaging.containers import PARTS_MOST, Endless

_HEAD = struct.Struct("<4sI")


class Chunk(NamedTuple):
    """Its kind, its place, and where its body begins and ends; the end may lie behind that of the file."""

    kind: bytes
    start: int
    body: int
    stop: int


def end(data: bytes) -> int:
    """Where the file ends by its own length."""
    return 8 + int.from_bytes(data[4:8], "little")


def walk(data: bytes, most: int = PARTS_MOST) -> Iterator[Chunk]:
    """Each chunk behind the head of the file."""
    at, last = 12, min(len(data), end(data))
    for _ in range(most):
        if at + 8 > last:
            return
        kind, length = _HEAD.unpack_from(data, at)
        yield Chunk(kind, at, at + 8, at + 8 + length)
        at += 8 + length + (length & 1)
    raise Endless(most)


def written(kind: bytes, chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A file of this kind with these chunks."""
    body = b"".join(
        name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) & 1) for name, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + kind + body
