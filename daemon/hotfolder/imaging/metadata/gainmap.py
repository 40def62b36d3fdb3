"""What XMP says of a gain map, in the picture that has one and in the map itself (Ultra HDR 1.1; GContainer).

The picture's packet names the version and lists the files behind it with their lengths; the map's says what its numbers
mean.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass, replace

from hotfolder.imaging.formats import Format
from hotfolder.imaging.formats.values import GainMap
from hotfolder.imaging.metadata import claims, credits, xmp
from hotfolder.imaging.metadata.credits import RDF

SPACE, CONTAINER, ITEM = claims.GAIN_MAP[0], claims.CONTAINER, claims.ITEM
_NUMBER = re.compile(r"[-+]?(?:\d{1,30}\.?|\d{0,30}\.\d{1,30})(?:[eE][-+]?\d{1,3})?")
_NUMBERS = (
    "Version",
    "GainMapMin",
    "GainMapMax",
    "Gamma",
    "OffsetSDR",
    "OffsetHDR",
    "HDRCapacityMin",
    "HDRCapacityMax",
)
"""Properties of a map: a number, or three, for red, green and blue. All but the version have a default."""
_SWITCH = "BaseRenditionIsHDR"
_END = re.compile(rb"</[\w.-]+:RDF\s*>")
_MARK = b"urn:iso:std:iso:ts:21496:-1\0"
_PARTS = 1_000_000
_IN_COLOURS_OF_BASE = 0x40
_WRAPPER = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">', "</rdf:RDF></x:xmpmeta>"


@dataclass(frozen=True, slots=True)
class Behind:
    """A gain map as it is to lie behind a picture: the one `found` in the source, and its bytes now."""

    found: GainMap
    data: bytes


def translated(found: GainMap) -> GainMap:
    """One of Apple's as one whose numbers are the logarithm of what they multiply light by, from 0 to that of its
    headroom: the same at every pixel (ISO 21496-1, without offsets)."""
    stops = math.log2(found.headroom)
    stated = {"Version": "1.0", "GainMapMin": "0", "GainMapMax": f"{stops:.6f}", "Gamma": "1"}
    stated |= {"OffsetSDR": "0", "OffsetHDR": "0", "HDRCapacityMin": "0", "HDRCapacityMax": f"{stops:.6f}"}
    told = "".join(f' hdrgm:{name}="{value}"' for name, value in (*stated.items(), (_SWITCH, "False")))
    packet = f'<rdf:Description rdf:about="" xmlns:hdrgm="{SPACE}"{told}/>'.join(_WRAPPER).encode()
    most = (round(stops * _PARTS), _PARTS)
    body = struct.pack(">HHB4I", 0, 0, _IN_COLOURS_OF_BASE, 0, 1, *most)  # versions, headroom of the base and with it
    body += struct.pack(">iIiIIIiIiI", 0, 1, *most, 1, 1, 0, 1, 0, 1)  # least, most, gamma, offsets
    return replace(found, xmp=packet, marker=_MARK + body, announced=_MARK + body[:4])


def logarithms(headroom: float) -> list[int]:
    """What becomes of each of Apple's numbers, which are by the curve of BT.709: where `translated` has it."""
    codes = [code / 255 for code in range(256)]
    light = [code / 4.5 if code < 0.081 else ((code + 0.099) / 1.099) ** (1 / 0.45) for code in codes]
    return [round(255 * math.log2(1 + (headroom - 1) * each) / math.log2(headroom)) for each in light]


def numbers(packet: bytes) -> dict[str, list[str]]:
    """What a map's numbers mean, as its packet states it; empty where that is missing, or not right."""
    root = credits.parsed(packet)
    if root is None:
        return {}
    texts = {name: credits.texts(root, f"{{{SPACE}}}{name}") for name in (*_NUMBERS, _SWITCH)}
    found = {name: values for name, values in texts.items() if values}
    for name, values in found.items():
        right = all(_NUMBER.fullmatch(each) for each in values) and len(values) in (1, 3)
        if not (right if name != _SWITCH else values[0] in ("True", "False")):
            return {}
    return found if "Version" in found else {}


def alone(packet: bytes) -> bytes:
    """A map's packet with what its numbers mean, and nothing else; empty where it does not say that."""
    found = numbers(packet)
    single = "".join(f' hdrgm:{name}="{values[0]}"' for name, values in found.items() if len(values) == 1)
    lists = "".join(
        f"<hdrgm:{name}><rdf:Seq>{''.join(f'<rdf:li>{each}</rdf:li>' for each in values)}</rdf:Seq></hdrgm:{name}>"
        for name, values in found.items()
        if len(values) > 1
    )
    said = f'<rdf:Description rdf:about="" xmlns:hdrgm="{SPACE}"{single}>{lists}</rdf:Description>'
    return said.join(_WRAPPER).encode() if found else b""


def announced(packet: bytes, behind: Behind, goal: Format) -> bytes:
    """A picture's packet that says that this map is all that lies behind it; `packet` says nothing of the kind, and
    may be empty. The same where the map is told by ISO 21496-1 alone."""
    version = numbers(behind.found.xmp).get("Version")
    if not version:
        return packet
    items = "".join(
        f'<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="{goal.media_type}" {stated}/></rdf:li>'
        for stated in ('Item:Semantic="Primary"', f'Item:Semantic="GainMap" Item:Length="{len(behind.data)}"')
    )
    said = (
        f'<rdf:Description rdf:about="" xmlns:rdf="{RDF}" xmlns:hdrgm="{SPACE}" xmlns:Container="{CONTAINER}"'
        f' xmlns:Item="{ITEM}" hdrgm:Version="{version[0]}"><Container:Directory><rdf:Seq>{items}</rdf:Seq>'
        "</Container:Directory></rdf:Description>"
    )
    properties = xmp.packet_in(packet)
    ends = list(_END.finditer(properties))
    if not ends or len(packet) + len(said) > goal.xmp_most:
        return said.join(_WRAPPER).encode()
    at = ends[-1].start()
    return packet.replace(properties, properties[:at] + said.encode() + properties[at:], 1)


def measured(packet: bytes, length: int) -> bytes:
    """A picture's packet with this length of its gain map, wherever that stands."""
    count, right, last, is_map = 0, -1, -1, False

    def look(space: str, name: str, value: str) -> str:
        nonlocal count, right, last, is_map
        if (space, name) == (ITEM, "Length"):
            last, count = count, count + 1
        elif (space, name) == (ITEM, "Semantic"):
            is_map = value.strip() == "GainMap"
        elif (space, name) == (CONTAINER, "Item"):
            right = last if is_map and right < 0 else right
            last, is_map = -1, False
        return value

    xmp.changed(packet, look)
    places = iter(range(count))

    def change(space: str, name: str, value: str) -> str:
        return str(length) if (space, name) == (ITEM, "Length") and next(places) == right else value

    return xmp.changed(packet, change) or packet
