"""Where the gain map of a JPEG lies, and what says so: Ultra HDR 1.1, ISO 21496-1 annex C.

The picture announces it, in XMP, by a segment of ISO 21496-1, or both; the map is a JPEG behind the picture's end whose
own metadata say what its numbers mean. Lengths that are stated elsewhere are not believed: it ends where it ends.
"""

from __future__ import annotations

from collections.abc import Iterator

from hotfolder.imaging.containers import Endless, segments
from hotfolder.imaging.formats import application
from hotfolder.imaging.formats.format import METADATA_MOST, PIECES_MOST
from hotfolder.imaging.formats.values import GainMap

SPACE = b"http://ns.adobe.com/hdr-gain-map/1.0/"
"""Of what XMP says of gain maps."""
MAP_MOST = METADATA_MOST
"""Bytes of a map."""
IMAGES_MOST = 8
"""Pictures behind the first that are looked at."""
_VERSIONS = 4
"""Bytes of what ISO 21496-1 has in the picture; there are more in the map."""
_MARK = b"\xff\xd8\xff"


def announced(data: bytes) -> bytes | None:
    """The segment of ISO 21496-1 in a picture that says that it has a gain map; empty where XMP alone says so, None
    where nothing does."""
    xmp, marker = _told(data, 0)
    return marker if xmp or marker else None


def find(data: bytes) -> GainMap | None:
    """The first that says what its numbers mean."""
    said = announced(data)
    if said is None:
        return None
    for at, image in _images(data):
        xmp, marker = _told(image, _VERSIONS)
        if xmp or marker:
            short = marker[: len(marker) - len(_content(marker)) + _VERSIONS]
            said = (said or short) if marker else b""  # in the picture the same is said as in its map
            listed = at in application.listed(data)
            return GainMap(image, at, segments.pixels(image, segments.header(image)), xmp, marker, said, listed)
    return None


def _told(image: bytes, more_than: int) -> tuple[bytes, bytes]:
    """The packet that speaks of a gain map, and the body of the segment of ISO 21496-1 with that many bytes."""
    xmp = marker = b""
    for segment in segments.header(image):
        body = image[segment.body : segment.end]
        if segment.marker == application.APP1 and body.startswith(application.XMP) and SPACE in body:
            xmp = xmp or body[len(application.XMP) :]
        if segment.marker == application.APP2 and body.startswith(application.GAIN_MAP):
            marker = marker or (body if len(_content(body)) > more_than else b"")
    return xmp, marker


def _content(marker: bytes) -> bytes:
    return marker.partition(b"\0")[2]


def _images(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Those behind the first, and where each begins: at the places that the index names, and one behind another."""
    first = application.end(data)
    places = [*(place for place in application.listed(data) if place >= first), first] if first else []
    seen: set[int] = set()
    while places and len(seen) < IMAGES_MOST:
        at = places.pop(0)
        if at in seen or not data.startswith(_MARK, at):
            continue
        seen.add(at)
        image = data[at : at + MAP_MOST]
        try:
            length = segments.end(image, PIECES_MOST)
        except Endless:
            continue
        if length:
            yield at, image[:length]
            places.append(at + length)
