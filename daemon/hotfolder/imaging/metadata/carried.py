"""What an optimized copy may carry of its source's metadata, and the rewriting of a file without touching its pixels.

`safe` goes by a list of what may stay (copyright, camera, dates, exposure, colour profile): what is not on it, such as
positions, serial numbers, names, maker notes and embedded thumbnails, goes. Tags are those of Exif 2.32 (CIPA DC-008).
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from hotfolder.imaging.metadata import credits
from hotfolder.presets import MetadataRule

ORIENTATION = 0x0112
EXIF_IFD = 0x8769
EXIF_MAX = 65_000
SAFE_TAGS = frozenset(
    (0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x8298)
)  # description, make, model, resolution, software, date, artist, copyright
SAFE_EXIF_TAGS = frozenset(
    (
        0x829A, 0x829D, 0x8822, 0x8827, 0x8830, 0x9000, 0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9290, 0x9291, 0x9292,
        0x9201, 0x9202, 0x9203, 0x9204, 0x9205, 0x9207, 0x9208, 0x9209, 0x920A, 0xA001, 0xA402, 0xA403, 0xA405, 0xA406,
        0xA432, 0xA433, 0xA434,
    )
)  # fmt: skip

XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
PNG_XMP = "XML:com.adobe.xmp"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
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
    xmp = image.info.get("xmp") or image.info.get(PNG_XMP)
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


def complies(image: Image.Image, format_name: str, rule: MetadataRule) -> bool:
    """Whether the source's bytes may stand as they are in a format that cannot be rewritten here (AVIF)."""
    if rule == "keep":
        return True
    return format_name == "avif" and not any(image.info.get(name) for name in ("exif", "xmp"))


def comment_of(image: Image.Image, rule: MetadataRule) -> bytes:
    comment = image.info.get("comment", b"")
    return comment if rule == "keep" and isinstance(comment, bytes) and len(comment) < EXIF_MAX else b""


def rewrite(data: bytes, format_name: str, rule: MetadataRule, image: Image.Image, orientation: int) -> bytes | None:
    """The same picture, bit for bit, with the metadata that the rule allows; None where that cannot be done.

    What lies behind the picture (a second image, a video, a gain map) goes unless everything is kept.
    """
    if rule == "keep":
        return data
    exif, xmp = exif_for(image, rule, orientation=orientation), xmp_of(image, rule) or b""
    try:
        if format_name == "jpeg":
            return b"".join(_jpeg(data, exif, xmp, iptc_of(image, rule)))
        if format_name == "png":
            return b"".join(_png(data, exif, xmp))
        if format_name == "webp":
            return _webp(data, exif, xmp)
    except (struct.error, IndexError, ValueError):
        return None
    return None


def _jpeg(data: bytes, exif: bytes, xmp: bytes, iptc: bytes) -> Iterator[bytes]:
    """Segments as they are, but for application data and comments; the scans end at the first EOI."""
    yield b"\xff\xd8"
    if exif:
        yield segment(0xE1, exif if exif.startswith(b"Exif\0\0") else b"Exif\0\0" + exif)
    if xmp:
        yield segment(0xE1, XMP_MARK + xmp)
    if iptc:
        yield segment(0xED, iptc)
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("no marker where one must be")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == 0xD9:
            yield b"\xff\xd9"
            return
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if marker == 0xE0 and data[at + 4 : at + 9] == b"JFIF\0":
            yield segment(0xE0, data[at + 4 : at + 16] + b"\0\0")  # without its thumbnail
        elif _stays(marker, data[at + 4 : end]):
            yield data[at:end]
        at = end
        if marker == 0xDA:
            found = _MARKER.search(data, at)
            if found is None:
                raise ValueError("no end of the picture")
            yield data[at : found.start()]
            at = found.start()


def _stays(marker: int, body: bytes) -> bool:
    if marker == 0xE2:
        return body.startswith(b"ICC_PROFILE\0")
    if 0xE0 <= marker <= 0xEF:
        return marker == 0xEE and body.startswith(b"Adobe") and len(body) <= 12  # says which colour model it is
    return marker != 0xFE


def segment(marker: int, body: bytes) -> bytes:
    """A marker segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _png(data: bytes, exif: bytes, xmp: bytes) -> Iterator[bytes]:
    yield data[:8]
    at = 8
    while True:
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            raise ValueError("a chunk ends behind the file")
        if kind == b"IDAT" and exif:
            yield _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
            exif = b""
        if kind == b"IDAT" and xmp:
            yield _chunk(b"iTXt", PNG_XMP.encode() + b"\0\0\0\0\0" + xmp)
            xmp = b""
        if kind not in (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME") and (kind.isupper() or kind in _PNG_CHUNKS):
            yield data[at:end]
        if kind == b"IEND":
            return
        at = end


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


_PNG_CHUNKS = frozenset(
    (b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"bKGD", b"hIST", b"tRNS", b"pHYs",
     b"acTL", b"fcTL", b"fdAT")
)  # fmt: skip


_WEBP_CHUNKS = frozenset((b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))


def _webp(data: bytes, exif: bytes, xmp: bytes) -> bytes:
    chunks: list[tuple[bytes, bytes]] = []
    end = min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    at = 12
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind in _WEBP_CHUNKS:
            chunks.append((kind, data[at + 8 : at + 8 + length]))
        at += 8 + length + (length & 1)
    if chunks and chunks[0][0] == b"VP8X":
        flags = chunks[0][1][0] & ~0x0C
        if exif:
            flags |= 0x08
            chunks.append((b"EXIF", exif.removeprefix(b"Exif\0\0")))
        if xmp:
            flags |= 0x04
            chunks.append((b"XMP ", xmp))
        chunks[0] = (b"VP8X", bytes([flags]) + chunks[0][1][1:])
    body = io.BytesIO()
    for kind, content in chunks:
        body.write(kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) & 1))
    return b"RIFF" + struct.pack("<I", body.tell() + 4) + b"WEBP" + body.getvalue()
