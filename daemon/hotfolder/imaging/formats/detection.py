"""Which format is it? Told by the first bytes alone; the name counts only where a format has no mark of its own."""

from __future__ import annotations

from collections.abc import Iterable

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging.containers import boxes
from hotfolder.imaging.formats.format import Format

HEAD = 64
"""Bytes by which a file that is none of ours is judged."""
_GENERAL = (b"mif1", b"msf1")
"""Brands that say only that it is a picture, or several; compatible ones tell of which kind."""
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (b"<svg", "SVG"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"v/1\x01", "OpenEXR"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1a\x45\xdf\xa3", "a Matroska video"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
)


def detect(formats: Iterable[Format], data: bytes, name: bytes = b"") -> Format:
    """The first of the formats that knows the bytes as its own. Raises SourceError: EMPTY, UNSUPPORTED (a known other
    kind) or NOT_AN_IMAGE."""
    if not data:
        raise SourceError(Reason.EMPTY, "the file is empty")
    extension = name[name.rfind(b".") :].lower() if b"." in name else b""
    for each in formats:
        if each.recognises(data, extension):
            return each
    if (brands := boxes.brands(data)) and (found := _by_brand(formats, brands)):
        return found
    raise _not_ours(data[:HEAD])


def _by_brand(formats: Iterable[Format], brands: list[bytes]) -> Format | None:
    """The kind of an ISO base media file: its major brand, where that is a general one its compatible ones."""
    by_brand = {brand: each for each in formats for brand in each.brands}
    if brands[0] in _GENERAL:
        special = [each for each in formats if any(b in each.brands and b not in _GENERAL for b in brands)]
        if special:
            return special[0]
    return next((by_brand[brand] for brand in brands if brand in by_brand), None)


def _not_ours(head: bytes) -> SourceError:
    for mark, what in _FOREIGN:
        if head.lstrip().startswith(mark):
            return SourceError(Reason.UNSUPPORTED, f"it is {what}, which hotfolder does not read")
    if not head.strip(b"\0"):
        return SourceError(Reason.NOT_AN_IMAGE, "it begins with zeros: perhaps not written yet, or lost in a crash")
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return SourceError(Reason.NOT_AN_IMAGE, "it is text, not an image")
    return SourceError(Reason.NOT_AN_IMAGE, "its first bytes are those of no image format")
