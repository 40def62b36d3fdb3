"""What an optimized copy may carry of its source's metadata, and the rewriting of a file without touching its pixels.

`safe` goes by a list of what may stay (copyright, camera, dates, exposure, colour profile): what is not on it, such as
positions, serial numbers, names, maker notes and embedded thumbnails, goes. Tags are those of Exif 2.32 (CIPA DC-008).
"""

from __future__ import annotations

import re
import struct
from dataclasses import replace

from PIL import Image

from hotfolder.imaging.containers import chunks
from hotfolder.imaging.formats import Carried, Format
from hotfolder.imaging.metadata import credits
from hotfolder.presets import MetadataRule

ORIENTATION = 0x0112
EXIF_IFD = 0x8769
EXIF_MAX = 65_000
SAFE_TAGS = frozenset(
    (0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x8298)
)  # description, make, model, resolution, software, date, artist, copyright
_EXPOSURE = (0x829A, 0x829D, 0x8822, 0x8827, 0x8830, 0x9201, 0x9202, 0x9203, 0x9204, 0x9205)
_TIMES = (0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9290, 0x9291, 0x9292)
_LIGHT_AND_LENS = (0x9207, 0x9208, 0x9209, 0x920A, 0xA405, 0xA432, 0xA433, 0xA434)
_SHOWN = (0x9000, 0xA001, 0xA402, 0xA403, 0xA406)
"""Version, colour space, modes of exposure, white balance and scene."""
SAFE_EXIF_TAGS = frozenset((*_EXPOSURE, *_TIMES, *_LIGHT_AND_LENS, *_SHOWN))

_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:=[\"']|>))[2-8]")


def exif_for(image: Image.Image, rule: MetadataRule, *, orientation: int) -> bytes:
    """The EXIF block that a copy may carry, with this orientation (1: none); empty where there is nothing to say."""
    if rule == "strip":
        return _only_orientation(orientation)
    try:
        found = image.getexif()
        kept = _everything(found) if rule == "keep" else _safe(found)
        if orientation == 1:
            kept.pop(ORIENTATION, None)
        else:
            kept[ORIENTATION] = orientation
        block = kept.tobytes() if len(kept) else b""
    except Exception:  # noqa: BLE001 - broken EXIF is left out: it is never worth a picture
        return _only_orientation(orientation)
    return block if len(block) <= EXIF_MAX else _only_orientation(orientation)


def _everything(found: Image.Exif) -> Image.Exif:
    found.get_ifd(EXIF_IFD)  # loads it, so that it is written again
    return found


def _safe(found: Image.Exif) -> Image.Exif:
    kept = Image.Exif()
    for tag, value in found.items():
        if tag in SAFE_TAGS:
            kept[tag] = value
    inner = {tag: value for tag, value in found.get_ifd(EXIF_IFD).items() if tag in SAFE_EXIF_TAGS}
    if inner:
        kept.get_ifd(EXIF_IFD).update(inner)
        kept[EXIF_IFD] = kept.get_ifd(EXIF_IFD)
    return kept


def _only_orientation(orientation: int) -> bytes:
    if orientation == 1:
        return b""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()


def icc_of(image: Image.Image, limit: int = 4_000_000) -> bytes | None:
    """The colour profile. It stays under every rule: without it the colours would be others."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and 0 < len(profile) <= limit else None


def xmp_of(image: Image.Image, rule: MetadataRule) -> bytes | None:
    """The XMP packet of a picture that is encoded anew: upright (readers without an EXIF orientation go by XMP's), and
    without the gain map that lay behind the source. Under `safe` the credits alone."""
    xmp = image.info.get("xmp") or image.info.get(chunks.XMP)
    if isinstance(xmp, str):
        xmp = xmp.encode()
    if rule == "strip" or not isinstance(xmp, bytes) or len(xmp) >= EXIF_MAX:
        return None
    kept = credits.of_xmp(xmp) if rule == "safe" else credits.without_gain_map(xmp)
    return _XMP_ORIENTATION.sub(rb"\g<1>1", kept) or None


def iptc_of(image: Image.Image, rule: MetadataRule) -> bytes:
    """The Photoshop segment of a JPEG, which holds captions and keywords (IPTC); under `safe` the credits alone."""
    segments: list[tuple[str, bytes]] = getattr(image, "applist", [])
    found = next((body for name, body in segments if name == "APP13" and body.startswith(credits.PHOTOSHOP)), b"")
    if rule == "strip":
        return b""
    return found if rule == "keep" else credits.of_iptc(found)


def comment_of(image: Image.Image, rule: MetadataRule) -> bytes:
    """The comment, which stays where everything is kept."""
    comment = image.info.get("comment", b"")
    return comment if rule == "keep" and isinstance(comment, bytes) and len(comment) < EXIF_MAX else b""


def carried(image: Image.Image, rule: MetadataRule, *, orientation: int) -> Carried:
    """All that a copy may carry, with this orientation."""
    return Carried(
        exif=exif_for(image, rule, orientation=orientation),
        icc=icc_of(image),
        xmp=xmp_of(image, rule) or b"",
        comment=comment_of(image, rule),
        iptc=iptc_of(image, rule),
    )


def rewrite(data: bytes, format: Format, rule: MetadataRule, image: Image.Image, orientation: int) -> bytes | None:
    """The same picture, bit for bit, with the metadata that the rule allows; None where that cannot be done.

    What lies behind the picture (a second image, a video, a gain map) goes unless everything is kept.
    """
    if rule == "keep":
        return data
    if not format.is_rewritten:
        return None
    kept = replace(carried(image, rule, orientation=1 if format.is_overwritten else orientation), comment=b"")
    if format.is_overwritten:
        kept = replace(kept, xmp=credits.compact(kept.xmp))  # so that it finds room where the source's was
    try:
        return format.rewrite(data, kept)
    except (struct.error, IndexError, ValueError):
        return None
