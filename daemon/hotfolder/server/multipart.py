"""The parts of a multipart body (RFC 7578) as they arrive: nothing is kept but the headers of one part."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException

from hotfolder.services.errors import Invalid

HEADERS_MOST = 8192
"""Bytes of the headers of one part."""
FIELD_MOST = 200


class Unreadable(HTTPException):
    """The body is no multipart body, or a broken one."""


class Part:
    """One part of a multipart body, whose bytes come as they arrive."""

    def __init__(self, headers: dict[bytes, bytes]) -> None:
        _, options = parse_options_header(headers.get(b"content-disposition"))
        self.name = options.get(b"name", b"").decode("utf-8", "replace")
        filename = options.get(b"filename")
        self.filename = None if filename is None else filename.decode("utf-8", "replace")
        self.pieces: AsyncIterator[bytes] = _none()


async def _none() -> AsyncIterator[bytes]:
    return
    yield b""


class _Events:
    """What the parser has found so far, as a list: it calls back, and files are written elsewhere."""

    def __init__(self, boundary: bytes) -> None:
        self.found: list[tuple[str, Any]] = []
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self.parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": self._on_name,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
                "on_headers_finished": lambda: self.found.append(("part", Part(dict(self._headers)))),
                "on_part_data": lambda data, start, end: self.found.append(("data", bytes(data[start:end]))),
                "on_part_end": lambda: self.found.append(("end", None)),
                "on_end": lambda: self.found.append(("whole", None)),
            },
        )

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._check()

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check()

    def _check(self) -> None:
        if len(self._name) + len(self._value) > HEADERS_MOST or len(self._headers) > 20:
            raise FormParserError("a part has too many headers")

    def _on_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def take(self) -> list[tuple[str, Any]]:
        found, self.found = self.found, []
        return found


async def _events(request: Request) -> AsyncIterator[tuple[str, Any]]:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Unreadable(415, "send multipart/form-data")
    try:
        events = _Events(options[b"boundary"])
        whole = False
        async for chunk in request.stream():
            if chunk:
                events.parser.write(chunk)
            for event in events.take():
                whole = whole or event[0] == "whole"
                yield event
    except FormParserError as error:
        raise Unreadable(422, f"the multipart body cannot be read: {error}") from error
    if not whole:
        raise Unreadable(422, "the multipart body ends too early")


async def parts(request: Request) -> AsyncIterator[Part]:
    """One after another; what is not read of a part is passed over. Raises Unreadable for a body that is none."""
    events = _events(request)

    async def pieces() -> AsyncIterator[bytes]:
        async for kind, data in events:
            if kind == "end":
                return
            yield data

    async for kind, part in events:
        if kind == "part":
            part.pieces = pieces()
            yield part
            async for _ in part.pieces:
                pass


async def field(part: Part) -> str:
    """The value of a part that is no file. Raises Invalid where it is too long."""
    value = b""
    async for piece in part.pieces:
        value += piece
        if len(value) > FIELD_MOST:
            raise Invalid(part.name, "is too long")
    return value.decode("utf-8", "replace")
