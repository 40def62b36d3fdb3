"""Whose picture it is, and when it was taken: what of XMP and IPTC an optimized copy may carry when the rest must go.

XMP (ISO 16684-1) and IPTC-IIM 4 hold captions, places, names, serial numbers and histories in free form; so a new
packet is written from the few fields below, as plain text.
"""

from __future__ import annotations

import html
import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING

from hotfolder.imaging.containers import resources
from hotfolder.imaging.metadata import xmp
from hotfolder.imaging.metadata.claims import PANORAMA

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
IPTC_FIELDS = frozenset({(1, 90), (2, 0), (2, 55), (2, 60), (2, 80), (2, 110), (2, 116)})
"""Character set, record version, date and time created, by-line, credit, copyright notice."""
_IPTC_FRAME = frozenset({(1, 90), (2, 0)})
DATASETS_MOST = 200
PHOTOSHOP = b"Photoshop 3.0\0"
XMP_MOST = 1_000_000
"""Bytes of a packet that is looked through."""
TEXT_MOST = 2000
_IPTC_RESOURCE = 0x0404


def of_xmp(packet: bytes, panorama: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """A packet of FIELDS alone, and of these properties of a panorama; empty where none is there or the packet cannot
    be read."""
    root = parsed(packet)
    found = {name: stated for name in FIELDS if root is not None and (stated := _stated(root, name))}
    if not found and not panorama:
        return b""
    prefixes = PREFIXES | ({"GPano": PANORAMA} if panorama else {})
    spaces = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in prefixes.items())
    body = "".join(_property(name, texts) for name, texts in found.items())
    body += "".join(f"<GPano:{name}>{html.escape(text)}</GPano:{name}>" for name, text in panorama.items())
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


def parsed(data: bytes) -> Element | None:
    """None for what is not plain UTF-8 XML: declarations of entities are refused before a parser could expand them."""
    from xml.etree import ElementTree

    packet = xmp.packet_in(data)
    if not packet or len(packet) > XMP_MOST or b"<!" in packet:
        return None
    try:
        return ElementTree.fromstring(packet.decode())  # noqa: S314 - no DTD can be in it
    except (UnicodeDecodeError, ElementTree.ParseError):
        return None


def _stated(root: Element, name: str) -> list[str]:
    prefix, _, local = name.partition(":")
    return texts(root, f"{{{PREFIXES[prefix]}}}{local}")


def texts(root: Element, tag: str) -> list[str]:
    """What a property (``{namespace}name``) says, one text for each item where it is a list."""
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


def of_iptc(segments: Sequence[bytes]) -> bytes:
    """A Photoshop segment with IPTC_FIELDS alone, from all those of a file; empty where none is there.

    Raises Endless."""
    kept = [
        (record, dataset, value)
        for block in _blocks(segments)
        for record, dataset, value in _datasets(block)
        if (record, dataset) in IPTC_FIELDS and len(value) <= TEXT_MOST
    ][:DATASETS_MOST]
    if not any((record, dataset) not in _IPTC_FRAME for record, dataset, _ in kept):
        return b""
    body = b"".join(struct.pack(">BBBH", 0x1C, record, dataset, len(value)) + value for record, dataset, value in kept)
    return PHOTOSHOP + struct.pack(">4sHHI", b"8BIM", _IPTC_RESOURCE, 0, len(body)) + body + b"\0" * (len(body) & 1)


def _blocks(segments: Sequence[bytes]) -> Iterator[bytes]:
    """The IPTC blocks among Photoshop's resources, which may run on from one segment to the next."""
    bodies = [segment.removeprefix(PHOTOSHOP) for segment in segments if segment.startswith(PHOTOSHOP)]
    joined, starts = b"".join(bodies), list(accumulate(len(body) for body in bodies))
    for resource in resources.walk(joined, starts):
        if resource.number == _IPTC_RESOURCE:
            yield joined[resource.body : resource.stop]


def _datasets(block: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + 5 <= len(block) and block[at] == 0x1C:
        record, dataset, length = struct.unpack_from(">BBH", block, at + 1)
        if length & 0x8000 or at + 5 + length > len(block):
            return
        yield record, dataset, block[at + 5 : at + 5 + length]
        at += 5 + length
