"""What XMP says of the picture's size and position, and of bytes that lie elsewhere: made true, or taken out.

A panorama's sizes follow the picture's. What lies behind a picture (a video, a gain map, a depth map) and what speaks
of it go together, since one without the other misleads readers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hotfolder.imaging.metadata import xmp

Size = tuple[int, int]

PANORAMA = "http://ns.google.com/photos/1.0/panorama/"
_TIFF, _EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
_NOTE = "http://ns.adobe.com/xmp/note/"
GAIN_MAP = (
    "http://ns.adobe.com/hdr-gain-map/1.0/",
    "http://ns.apple.com/HDRGainMap/1.0/",
)
CONTAINER = "http://ns.google.com/photos/1.0/container/"
ITEM = "http://ns.google.com/photos/1.0/container/item/"
BEHIND = (
    *GAIN_MAP,
    CONTAINER,
    ITEM,
    "http://ns.google.com/photos/dd/1.0/",
)
"""How namespaces begin that speak of something behind the picture: gain maps, Google's containers, Dynamic Depth."""
_VIDEO = ("MotionPhoto", "MicroVideo", "VideoLength")
"""How properties begin that speak of a video behind it; makers have them in namespaces of their own."""
_WIDTHS = ((_TIFF, "ImageWidth"), (_EXIF, "PixelXDimension"))
_HEIGHTS = ((_TIFF, "ImageLength"), (_EXIF, "PixelYDimension"))
_REGIONS = "http://www.metadataworkinggroup.com/schemas/regions/"
_LYING = (
    (_REGIONS, "Regions"),
    ("http://ns.microsoft.com/photo/1.2/", "RegionInfo"),
    ("http://ns.adobe.com/xap/1.0/", "Thumbnails"),
)
"""Faces and small pictures, which lie as the source lay."""
_DIMENSIONS = tuple(("http://ns.adobe.com/xap/1.0/sType/Dimensions#", side) for side in "wh")
_ACROSS = ("CroppedAreaImageWidthPixels", "FullPanoWidthPixels", "CroppedAreaLeftPixels")
_DOWN = ("CroppedAreaImageHeightPixels", "FullPanoHeightPixels", "CroppedAreaTopPixels")
_RECTANGLE = ("LargestValidInteriorRectLeft", "LargestValidInteriorRectWidth")
_RECTANGLE_DOWN = ("LargestValidInteriorRectTop", "LargestValidInteriorRectHeight")
_SHOWN = ("PosePitchDegrees", "PoseRollDegrees", "InitialViewPitchDegrees", "InitialViewRollDegrees")
PANORAMA_SAFE = ("ProjectionType", "UsePanoramaViewer", *_ACROSS, *_DOWN, *_SHOWN, "InitialHorizontalFOVDegrees")
"""What a viewer needs to show a panorama; neither where it was taken nor where it looks."""
_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8]")
"""By its usual name, as decoders look for it."""
_PLAIN = re.compile(r"[A-Za-z]{1,30}|[+-]?\d{1,9}(?:\.\d{1,9})?")
_WHOLE = re.compile(r"\d{1,9}(?:\.0*)?")
_OTHER_SHAPE = 0.02
"""Share by which the shape of a panorama may differ from that of the picture, by rounding alone."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What holds for the copy: its size, whether that or its position differ from what the source states, whether what
    lay behind the source lies behind it, and whether all parts of the source come along, in a
    format that can have several."""

    size: Size
    resized: bool = False
    turned: bool = False
    behind: bool = False
    extended: bool = False


def promises(space: str, name: str) -> bool:
    """Whether a property speaks of something behind the picture."""
    return space.startswith(BEHIND) or name.startswith(_VIDEO)


def made_true(packet: bytes, truth: Truth) -> bytes:
    """The packet with what holds for the copy; the very same where nothing has to change, empty where something may
    have to and it cannot be read."""
    panorama = _panorama(packet, truth) if PANORAMA.encode() in packet else {}
    regions = _REGIONS.encode() in packet

    def change(space: str, name: str, value: str) -> str | None:
        if truth.resized and (space, name) in (*_WIDTHS, *_HEIGHTS):
            return str(truth.size[(space, name) in _HEIGHTS])
        if truth.turned and (space, name) in _LYING:
            return None
        if truth.resized and regions and (space, name) in _DIMENSIONS:
            return str(truth.size[name == "h"])
        if space == PANORAMA:
            return None if panorama is None else panorama.get(name, value)
        if not truth.behind and (promises(space, name) or (not space and value.startswith(BEHIND))):
            return None  # as does the declaration of its namespace
        return None if not truth.extended and (space, name) == (_NOTE, "HasExtendedXMP") else value

    found = xmp.changed(packet, change)
    found = found or (b"" if _speaks_of_more(packet) else packet)
    return _ORIENTATION.sub(rb"\g<1>1", found)


def panorama(packet: bytes, truth: Truth) -> dict[str, str]:
    """What a viewer needs to show the copy as a panorama; empty where it is none."""
    found = _panorama(packet, truth) if PANORAMA.encode() in packet else None
    if not found or "ProjectionType" not in found:
        return {}
    return {name: found[name] for name in PANORAMA_SAFE if name in found and _PLAIN.fullmatch(found[name])}


def _panorama(packet: bytes, truth: Truth) -> dict[str, str] | None:
    """A panorama's properties with true sizes; None where the picture is no longer what they describe."""
    found: dict[str, str] = {}

    def note(space: str, name: str, value: str) -> str:
        if space == PANORAMA:
            found.setdefault(name, value.strip())
        return value

    xmp.changed(packet, note)
    if truth.turned:
        return None
    shown = tuple(int(float(found[name])) for name in (_ACROSS[0], _DOWN[0]) if _WHOLE.fullmatch(found.get(name, "")))
    if len(shown) < 2 or shown == truth.size:
        return found
    wide, high = shown
    if not wide or not high or _shaped_otherwise(shown, truth.size):
        return None
    _scale(found, (*_ACROSS, *_RECTANGLE), truth.size[0] / wide)
    _scale(found, (*_DOWN, *_RECTANGLE_DOWN), truth.size[1] / high)
    return found


def _shaped_otherwise(one: tuple[int, ...], other: Size) -> bool:
    wide, high = one[0] * other[1], other[0] * one[1]
    return abs(wide - high) > _OTHER_SHAPE * max(wide, high) + max(one)


def _scale(found: dict[str, str], names: tuple[str, ...], factor: float) -> None:
    """The picture's part of the whole stays within it, however their sizes round."""
    numbers = {name: round(float(found[name]) * factor) for name in names if _WHOLE.fullmatch(found.get(name, ""))}
    part, whole, before = names[:3]
    if whole in numbers:
        numbers[whole] = max(numbers[whole], numbers[part])
        numbers[before] = min(numbers.get(before, 0), numbers[whole] - numbers[part])
    found.update({name: str(number) for name, number in numbers.items() if name in found})


def _speaks_of_more(packet: bytes) -> bool:
    return any(word.encode() in packet for word in (*BEHIND, *_VIDEO, PANORAMA, "HasExtendedXMP"))
