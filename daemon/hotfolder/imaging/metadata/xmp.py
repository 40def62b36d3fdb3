"""XMP packets (ISO 16684-1) changed where they stand: what is not changed stays byte for byte.

Editors write namespaces, wrappers and white space in ways that readers depend on, so a packet is never parsed and
written anew: the parser tells where a property stands, and that place is cut out or filled anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from xml.parsers import expat

EDITED_MOST = 4_000_000
"""Bytes of a packet in which anything is changed."""
_ROOT = re.compile(rb"<((?:[\w.-]+:)?(?:xmpmeta|xapmeta|RDF))[\s>]")
"""What holds all properties: the wrapper under its present name or that of before 2001, or RDF without any."""
_TAG = re.compile(rb"<(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_ATTRIBUTE = re.compile(rb"\s+([^\s=/>]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")

Change = Callable[[str, str, str], str | None]
"""Gets namespace, name and text of a property; gives the text that it is to have, or None for one that goes."""


def packet_in(data: bytes) -> bytes:
    """The properties with what holds them, without padding around; empty for what is no UTF-8 packet, or declares
    entities, which no parser shall expand."""
    found = _ROOT.search(data)
    if found is None:
        return b""
    end = data.rfind(b"</" + found[1])
    stop = data.find(b">", end)
    if end < 0 or stop < 0 or data.find(b"<!DOCTYPE", found.start(), stop) >= 0:
        return b""
    return data[found.start() : stop + 1]


def changed(data: bytes, change: Change) -> bytes:
    """The packet with each property as `change` says; empty where it cannot be read."""
    packet = packet_in(data)
    if not packet or len(packet) > EDITED_MOST:
        return b""
    try:
        cuts = _Walk(packet, change).cuts()
    except expat.ExpatError:
        return b""
    parts, at = [], 0
    for start, stop, text in sorted(cuts, key=lambda cut: (cut[0], -cut[1])):
        if start >= at:  # else it lies within what is gone
            parts += [packet[at:start], text]
            at = stop
    return data.replace(packet, b"".join([*parts, packet[at:]]), 1) if cuts else data


@dataclass(slots=True)
class _Element:
    space: str
    name: str
    start: int
    inside: int
    text: str = ""
    simple: bool = True


class _Walk:
    """One pass over a packet, which notes what is to be cut out and what comes in its place."""

    def __init__(self, packet: bytes, change: Change) -> None:
        self._packet, self._change = packet, change
        self._spaces: dict[str, str] = {}
        self._open: list[_Element] = []
        self._cuts: list[tuple[int, int, bytes]] = []
        self._parser = expat.ParserCreate("utf-8")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text

    def cuts(self) -> list[tuple[int, int, bytes]]:
        self._parser.Parse(self._packet, True)
        return self._cuts

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        at = self._parser.CurrentByteIndex
        for name, value in attributes.items():
            if name.startswith("xmlns:"):
                self._spaces[name[6:]] = value
        if self._open:
            self._open[-1].simple = False
        found = _TAG.match(self._packet, at)
        stop = found.end() if found else at
        self._open.append(_Element(*self._named(tag), at, stop))
        for attribute in _ATTRIBUTE.finditer(self._packet, at, stop):
            self._attribute(attribute)

    def _attribute(self, found: re.Match[bytes]) -> None:
        group = 2 if found[2] is not None else 3
        value = found[group].decode()
        new = self._change(*self._named(found[1].decode()), value)
        if new is None:
            self._cuts.append((found.start(), found.end(), b""))
        elif new != value:
            self._cuts.append((*found.span(group), escape(new).encode()))

    def _text(self, text: str) -> None:
        self._open[-1].text += text

    def _end(self, _: str) -> None:
        element = self._open.pop()
        at = self._parser.CurrentByteIndex
        bare = self._packet[element.inside - 2 : element.inside] == b"/>"
        new = self._change(element.space, element.name, element.text)
        if new is None:
            stop = element.inside if bare else self._packet.index(b">", at) + 1
            self._cuts.append((element.start, stop, b""))
        elif element.simple and not bare and new != element.text:
            self._cuts.append((element.inside, at, escape(new).encode()))

    def _named(self, tag: str) -> tuple[str, str]:
        prefix, _, name = tag.rpartition(":")
        return self._spaces.get(prefix, ""), name
