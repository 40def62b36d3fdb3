"""What an optimized copy may carry of its source's metadata, and the rewriting of a file without touching its pixels.

`safe` goes by a list of what may stay (copyright, camera, dates, exposure, colour profile): what is not on it, such as
positions, serial numbers, names, maker notes and embedded thumbnails, goes. Tags are those of Exif 2.32 (CIPA DC-008).
"""

from __future__ import annotations

import struct
from dataclasses import replace

from PIL import Image

from hotfolder.imaging.containers import Endless, chunks
from hotfolder.imaging.decoding.decode import Opened
from hotfolder.imaging.formats import Carried, Format
from hotfolder.imaging.formats.values import UPRIGHT
from hotfolder.imaging.metadata import blocks, claims, credits, gainmap, patching
from hotfolder.imaging.metadata.claims import Truth
from hotfolder.imaging.metadata.gainmap import Behind
from hotfolder.presets import MetadataRule

COMMENT_MAX = 65_000
SAFE_TAGS = frozenset(
    (0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x8298)
)  # description, make, model, resolution, software, date, artist, copyright
_EXPOSURE = (0x829A, 0x829D, 0x8822, 0x8827, 0x8830, 0x9201, 0x9202, 0x9203, 0x9204, 0x9205)
_TIMES = (0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9290, 0x9291, 0x9292)
_LIGHT_AND_LENS = (0x9207, 0x9208, 0x9209, 0x920A, 0xA405, 0xA432, 0xA433, 0xA434)
_SHOWN = (0x9000, 0xA001, 0xA402, 0xA403, 0xA406)
"""Version, colour space, modes of exposure, white balance and scene."""
SAFE_EXIF_TAGS = frozenset((*_EXPOSURE, *_TIMES, *_LIGHT_AND_LENS, *_SHOWN))


def carried(
    opened: Opened, rule: MetadataRule, goal: Format, size: tuple[int, int], gain: Behind | None = None
) -> Carried:
    """All that an upright copy of this size, encoded anew in a format, may carry; `gain`: with this gain map."""
    same = rule == "keep" and goal.name == opened.format
    turned = opened.orientation != UPRIGHT
    whole = same and not turned and (gain is None or gain.found.listed)
    behind, exchanged = _behind(opened, gain) if whole else (b"", None)
    truth = Truth(
        size,
        resized=size != _stored(opened) or opened.kind.is_upright(opened.image),
        turned=turned,
        behind=bool(behind),
        extended=same,
    )
    density = opened.kind.density(opened.data)
    found = Carried(
        exif=_exif(opened, rule, goal, truth),
        icc=icc_of(opened.image),
        xmp=_xmp(opened.image, rule, goal, truth),
        density=density.turned() if density and opened.orientation >= 5 else density,
        source=opened.data if same else b"",
        behind=behind,
        turned=turned,
        exchanged=exchanged,
    )
    if not same:
        found = replace(found, comment=_comment(opened.image, rule), iptc=_iptc(opened.image, rule))
    if gain is None:
        return found
    if not whole:
        return with_gain_map(found, gain, goal)
    return replace(found, xmp=gainmap.measured(found.xmp, len(gain.data)))


def with_gain_map(carried: Carried, gain: Behind, goal: Format) -> Carried:
    """The same with this gain map, which is all that lies behind the picture."""
    xmp = gainmap.announced(carried.xmp, gain, goal)
    return replace(carried, xmp=xmp, behind=gain.data, marker=gain.found.announced, indexed=True)


def _behind(opened: Opened, gain: Behind | None) -> tuple[bytes | memoryview, tuple[int, int, int] | None]:
    """All that lies behind the source, with the gain map as it is to be, and what that stands in place of. Nothing
    where a gain map is announced that there is not."""
    behind = opened.kind.behind(opened.data)
    if gain is None:
        return (b"" if opened.kind.announces_gain_map(opened.data) else behind), None
    at, length = gain.found.at - (len(opened.data) - len(behind)), len(gain.found.data)
    return b"".join([behind[:at], gain.data, behind[at + length :]]), (gain.found.at, length, len(gain.data))


def as_srgb(carried: Carried) -> Carried:
    """The same for a picture whose inks were converted to sRGB."""
    return replace(carried, icc=None, exif=patching.as_srgb(carried.exif))


def _stored(opened: Opened) -> tuple[int, int]:
    """Its size as it lies in the file."""
    return opened.size if opened.orientation < 5 else (opened.height, opened.width)


def stored_exif(opened: Opened, rule: MetadataRule) -> bytes:
    """The EXIF block beside pixels that lie as they lay; `rule` is another than keep."""
    orientation = UPRIGHT if opened.kind.is_overwritten else opened.orientation  # told by its boxes alone
    return blocks.only_orientation(orientation) if rule == "strip" else _safe_exif(opened, orientation)


def _safe_exif(opened: Opened, orientation: int) -> bytes:
    try:
        return blocks.of_tags(opened, SAFE_TAGS, SAFE_EXIF_TAGS, orientation)
    except Endless:
        return blocks.only_orientation(orientation)


def _exif(opened: Opened, rule: MetadataRule, goal: Format, truth: Truth) -> bytes:
    if rule == "strip":
        return b""
    if rule == "keep":
        try:
            found = blocks.block(opened.image)
            if found:
                kept = patching.patched(found, opened.size, truth.size, resized=truth.resized)
            else:
                kept = blocks.of_directories(opened)
        except Endless:
            kept = b""
        if len(kept) <= goal.exif_most or truth.extended:  # there it may take several parts
            return kept
    return _safe_exif(opened, UPRIGHT)


def icc_of(image: Image.Image, limit: int = 4_000_000) -> bytes | None:
    """The colour profile. It stays under every rule: without it the colours would be others."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and 0 < len(profile) <= limit else None


def _xmp(image: Image.Image, rule: MetadataRule, goal: Format, truth: Truth) -> bytes:
    """The XMP packet as it stands, but true; under `safe`, and where the format has no room for it, the credits."""
    packet = image.info.get("xmp") or image.info.get(chunks.XMP)
    if isinstance(packet, str):
        packet = packet.encode()
    if rule == "strip" or not isinstance(packet, bytes):
        return b""
    kept = claims.made_true(packet, truth) if rule == "keep" else None
    if kept is None or len(kept) > goal.xmp_most:
        kept = credits.of_xmp(packet, claims.panorama(packet, truth))
    return kept if len(kept) <= goal.xmp_most else b""


def _iptc(image: Image.Image, rule: MetadataRule) -> bytes:
    """The Photoshop segment of a JPEG, which holds captions and keywords (IPTC), with the credits alone."""
    segments: list[tuple[str, bytes]] = getattr(image, "applist", [])
    try:
        return credits.of_iptc([body for name, body in segments if name == "APP13"]) if rule == "safe" else b""
    except Endless:
        return b""


def _comment(image: Image.Image, rule: MetadataRule) -> bytes:
    """The comment, which stays where everything is kept."""
    comment = image.info.get("comment", b"")
    return comment if rule == "keep" and isinstance(comment, bytes) and len(comment) < COMMENT_MAX else b""


def rewrite(opened: Opened, rule: MetadataRule, gain: Behind | None = None) -> bytes | None:
    """The same picture, bit for bit, with the metadata that the rule allows; None where that cannot be done.

    What lies behind the picture (a second image, a video) goes unless everything is kept; but for this gain map.
    """
    if rule == "keep":
        return opened.data
    if not opened.kind.is_rewritten:
        return None
    kept = Carried(
        exif=stored_exif(opened, rule),
        icc=icc_of(opened.image),
        xmp=_xmp(opened.image, rule, opened.kind, Truth(_stored(opened))),
        iptc=_iptc(opened.image, rule),
    )
    kept = kept if gain is None else with_gain_map(kept, gain, opened.kind)
    if opened.kind.is_overwritten:
        kept = replace(kept, xmp=credits.compact(kept.xmp))  # so that it finds room where the source's was
    try:
        return opened.kind.rewrite(opened.data, kept)
    except (struct.error, IndexError, ValueError):
        return None
