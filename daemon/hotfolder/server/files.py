"""One open file as an answer: conditional requests and ranges of RFC 9110, read in threads of its own.

A file on a mount that hangs costs one of these threads, not those that answer everything else.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from email.utils import formatdate, parsedate_to_datetime
from typing import BinaryIO, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from fastapi import Response
from fastapi.responses import StreamingResponse

T = TypeVar("T")

CHUNK = 1 << 18
THREADS = 16
"""For each of the two listeners."""
_limiter: RunVar[CapacityLimiter] = RunVar("hotfolder-files")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


async def in_thread(work: Callable[[], T]) -> T:
    """Run what touches a root or an output."""
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = CapacityLimiter(THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(work, limiter=limiter)


def answer(file: BinaryIO, headers: Mapping[str, str], *, etag: str, kind: str) -> Response:
    """The whole file, the range that is asked for, 304 or 416; the file is closed when it has been sent.

    `headers` are those of the request, in any case. Several ranges at once get the whole file, which is allowed.
    """
    found = os.fstat(file.fileno())
    modified = int(found.st_mtime)
    fixed = {
        "etag": etag,
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "x-content-type-options": "nosniff",
        **_last_modified(modified),
    }
    if _is_known(headers, etag, modified):
        file.close()
        return Response(status_code=304, headers=fixed)
    begin, end, status = 0, found.st_size, 200
    wanted = _RANGE.fullmatch(headers.get("range", ""))
    if wanted and wanted.group() != "bytes=-" and _is_same(headers.get("if-range"), etag, modified):
        begin, end = _bounds(wanted[1], wanted[2], found.st_size)
        if begin >= end:
            file.close()
            return Response(status_code=416, headers=fixed | {"content-range": f"bytes */{found.st_size}"})
        status = 206
        fixed["content-range"] = f"bytes {begin}-{end - 1}/{found.st_size}"
    fixed["content-length"] = str(end - begin)
    return StreamingResponse(_pieces(file, begin, end), status, fixed, media_type=kind)


def _last_modified(seconds: int) -> dict[str, str]:
    """The header; none where the file's time is not one of the years 1000 to 9999 that a date of HTTP can name."""
    try:
        date = formatdate(seconds, usegmt=True)
        parsedate_to_datetime(date)
    except (ValueError, OverflowError, OSError):
        return {}
    return {"last-modified": date}


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    """First byte and the one behind the last; empty where the range lies outside."""
    if not first:
        return max(0, size - int(last)), size if int(last) else 0
    return int(first), min(size, int(last) + 1) if last else size


def _is_known(headers: Mapping[str, str], etag: str, modified: int) -> bool:
    if (tags := headers.get("if-none-match")) is not None:
        return tags.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    since = _seconds(headers.get("if-modified-since", ""))
    return since is not None and modified <= since


def _is_same(given: str | None, etag: str, modified: int) -> bool:
    """If-Range: whether the client's part is of this version."""
    return given is None or given.strip() == etag or _seconds(given) == modified


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


async def _pieces(file: BinaryIO, begin: int, end: int) -> AsyncIterator[bytes]:
    try:
        while begin < end:
            piece = await in_thread(lambda at=begin: os.pread(file.fileno(), min(CHUNK, end - at), at))  # type: ignore[misc]
            if not piece:
                return  # it has become shorter while it was sent: the client sees that bytes are missing
            begin += len(piece)
            yield piece
    finally:
        file.close()
