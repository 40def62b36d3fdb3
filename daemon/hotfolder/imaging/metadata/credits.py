"""Whose picture it is, and when it was taken: what of XMP and IPTC an optimized copy may carry when the rest must go.

XMP (ISO 16684-1) and IPTC-IIM 4 hold captions, places, names, serial numbers and histories in free form; so a new
packet is written from the few fields below, as plain text. Of HDR gain maps only the traces are removed.
"""

from __future__ import annotations

import html
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
PREFIXES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}
FIELDS: dict[str, str] = {
    "dc:rights": "Alt",
    "dc:creator": "Seq",
    "xmpRights:Marked": "",
    "xmpRights:WebStatement": "",
    "xmpRights:UsageTerms": "Alt",
    "photoshop:Credit": "",
    "photoshop:DateCreated": "",
    "xmp:CreateDate": "",
}
"""XMP properties that stay, and the kind of list that each is."""
GAIN_MAP = (
    "http://ns.adobe.com/hdr-gain-map/1.0/",
    "http://ns.google.com/photos/1.0/container/",
    "http://ns.google.com/photos/1.0/container/item/",
    "http://ns.apple.com/HDRGainMap/1.0/",
)
"""Namespaces that speak of a second image behind the picture (Ultra HDR, Apple)."""
IPTC_FIELDS = frozenset({(1, 90), (2, 0), (2, 55), (2, 60), (2, 80), (2, 110), (2, 116)})
"""Character set, record version, date and time created, by-line, credit, copyright notice."""
_IPTC_FRAME = frozenset({(1, 90), (2, 0)})
PHOTOSHOP = b"Photoshop 3.0\0"
TEXT_MOST = 2000
_IPTC_RESOURCE = 0x0404


def of_xmp(packet: bytes) -> bytes:
    """A packet of FIELDS alone; empty where none is there or the packet cannot be read."""
    root = _parsed(packet)
    found = {name: texts for name in FIELDS if root is not None and (texts := _texts(root, name))}
    if not found:
        return b""
    spaces = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in PREFIXES.items())
    body = "".join(_property(name, texts) for name, texts in found.items())
    text = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about=""{spaces}>'
        f"{body}</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    return text.encode()


def compact(packet: bytes) -> bytes:
    """A packet of `of_xmp` without the namespaces that it does not use."""
    for prefix, uri in PREFIXES.items():
        if f"<{prefix}:".encode() not in packet:
            packet = packet.replace(f' xmlns:{prefix}="{uri}"'.encode(), b"")
    return packet


def without_gain_map(packet: bytes) -> bytes:
    """The packet without its claims of a gain map, which is not written; empty where they cannot be taken out."""
    if not any(space.encode() in packet for space in GAIN_MAP):
        return packet
    root = _parsed(packet)
    if root is None:
        return b""
    from xml.etree import ElementTree

    claims = tuple(f"{{{space}}}" for space in GAIN_MAP)
    for element in root.iter():
        for name in [name for name in element.attrib if name.startswith(claims)]:
            del element.attrib[name]
        for child in [child for child in element if child.tag.startswith(claims)]:
            element.remove(child)
    left: bytes = ElementTree.tostring(root, encoding="utf-8")
    return left


def _parsed(packet: bytes) -> Element | None:
    """None for what is not plain UTF-8 XML: declarations of entities are refused before a parser could expand them."""
    from xml.etree import ElementTree

    try:
        text = packet.decode().strip("\0 \r\n\t\ufeff")
        start, end = text.find("<x:xmpmeta"), text.rfind("</x:xmpmeta>")
        if start < 0 or end < 0 or "<!" in text[start:end]:
            return None
        return ElementTree.fromstring(text[start : end + len("</x:xmpmeta>")])  # noqa: S314 - no DTD can be in it
    except (UnicodeDecodeError, ElementTree.ParseError):
        return None


def _texts(root: Element, name: str) -> list[str]:
    prefix, _, local = name.partition(":")
    tag = f"{{{PREFIXES[prefix]}}}{local}"
    found = []
    for description in root.iter(f"{{{RDF}}}Description"):
        found += [description.attrib[tag]] if tag in description.attrib else []
        for element in description.findall(tag):
            listed = list(element.iter(f"{{{RDF}}}li"))
            found += [each.text or "" for each in listed or [element]]
    return [text.strip()[:TEXT_MOST] for text in found if text.strip()][:20]


def _property(name: str, texts: list[str]) -> str:
    kind = FIELDS[name]
    escaped = [html.escape(text, quote=False) for text in texts]
    if not kind:
        return f"<{name}>{escaped[0]}</{name}>"
    language = ' xml:lang="x-default"' if kind == "Alt" else ""
    items = "".join(f"<rdf:li{language}>{text}</rdf:li>" for text in (escaped[:1] if kind == "Alt" else escaped))
    return f"<{name}><rdf:{kind}>{items}</rdf:{kind}></{name}>"


def of_iptc(segment: bytes) -> bytes:
    """A Photoshop segment with IPTC_FIELDS alone; empty where none is there."""
    kept = [
        (record, dataset, value)
        for block in _resources(segment)
        for record, dataset, value in _datasets(block)
        if (record, dataset) in IPTC_FIELDS and len(value) <= TEXT_MOST
    ]
    if not any((record, dataset) not in _IPTC_FRAME for record, dataset, _ in kept):
        return b""
    body = b"".join(struct.pack(">BBBH", 0x1C, record, dataset, len(value)) + value for record, dataset, value in kept)
    return PHOTOSHOP + struct.pack(">4sHHI", b"8BIM", _IPTC_RESOURCE, 0, len(body)) + body + b"\0" * (len(body) & 1)


def _resources(segment: bytes) -> Iterator[bytes]:
    """The IPTC blocks among Photoshop's image resources."""
    at = len(PHOTOSHOP)
    while segment[at : at + 4] == b"8BIM" and at + 12 <= len(segment):
        (number,) = struct.unpack_from(">H", segment, at + 4)
        at += 6 + (segment[at + 6] + 2 & ~1)  # a Pascal string, padded
        if at + 4 > len(segment):
            return
        (length,) = struct.unpack_from(">I", segment, at)
        if number == _IPTC_RESOURCE:
            yield segment[at + 4 : at + 4 + length]
        at += 4 + length + (length & 1)


def _datasets(block: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + 5 <= len(block) and block[at] == 0x1C:
        record, dataset, length = struct.unpack_from(">BBH", block, at + 1)
        if length & 0x8000 or at + 5 + length > len(block):
            return
        yield record, dataset, block[at + 5 : at + 5 + length]
        at += 5 + length
