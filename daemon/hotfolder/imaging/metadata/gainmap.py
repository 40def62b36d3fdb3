"""What XMP says of a gain map, in the picture that has one and in the map itself (Ultra HDR 1.1; GContainer).

The picture's packet names the version and lists the files behind it with their lengths; the map's says what its numbers
mean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
_WRAPPER = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">', "</rdf:RDF></x:xmpmeta>"


@dataclass(frozen=True, slots=True)
class Behind:
    """A gain map as it is to lie behind a picture: the one `found` in the source, and its bytes now."""

    found: GainMap
    data: bytes


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
