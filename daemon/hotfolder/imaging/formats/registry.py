"""Which format is it? Told by the first bytes alone; the name counts only where a format has no mark of its own.

Only the decoders in `PILLOW` are ever asked: none that runs a program or opens another file.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from hotfolder.errors import HotfolderError, Reason, SourceError
from hotfolder.imaging.containers import directories as tiff

PILLOW: dict[str, tuple[str, ...]] = {
    "jpeg": ("JPEG",),  # finds MPO by itself
    "png": ("PNG",),
    "webp": ("WEBP",),
    "avif": ("AVIF",),
    "gif": ("GIF",),
    "bmp": ("BMP", "DIB"),
    "tiff": ("TIFF",),
    "ico": ("ICO",),
    "ppm": ("PPM",),
    "tga": ("TGA",),
    "heif": ("HEIF",),
    "jxl": ("JXL",),
}
EXTRAS = {"heif": ("heif", "pillow_heif"), "jxl": ("jxl", "pillow_jxl"), "raw": ("raw", "rawpy")}
"""Formats that an extra decodes: the extra's name, and the module that it brings."""
DISTRIBUTIONS = {
    "heif": "pillow-heif", "jxl": "pillow-jxl-plugin", "raw": "rawpy", "deep": "opencv-python-headless",
}  # fmt: skip
"""What decodes a format where that is not Pillow; `deep` stands for what deep.py reads."""

HOLLOW = 512
SAID_MOST = 160
"""Characters of a decoder's own message that are kept; it may quote the file."""
RAW_EXTENSIONS = (b".dng", b".cr2", b".cr3", b".nef", b".arw", b".orf", b".rw2", b".raf")

EXTENSIONS: dict[str, tuple[str, ...]] = {
    "jpg": ("jpeg",), "jpeg": ("jpeg",), "jpe": ("jpeg",), "jfif": ("jpeg",), "png": ("png",), "apng": ("png",),
    "webp": ("webp",), "avif": ("avif",), "heic": ("heif",), "heif": ("heif", "avif"), "hif": ("heif",),
    "gif": ("gif",), "bmp": ("bmp",), "tif": ("tiff",), "tiff": ("tiff",), "ico": ("ico",), "ppm": ("ppm",),
    "pgm": ("ppm",), "pbm": ("ppm",), "pnm": ("ppm",), "tga": ("tga",), "jxl": ("jxl",),
    **{extension[1:].decode(): ("raw",) for extension in RAW_EXTENSIONS},
}  # fmt: skip
"""What a file of each extension is expected to hold; anything else works, and is counted."""

_MARKS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"\xff\x0a", "jxl"),
    (b"\x00\x00\x00\x0cJXL ", "jxl"),
    (b"FUJIFILMCCD-RAW", "raw"),
    (b"IIRO", "raw"),
    (b"IIRS", "raw"),
    (b"IIU\x00", "raw"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
)
_BRANDS = {
    b"avif": "avif", b"avis": "avif", b"heic": "heif", b"heix": "heif", b"hevc": "heif", b"hevx": "heif",
    b"heim": "heif", b"heis": "heif", b"mif1": "heif", b"msf1": "heif", b"crx ": "raw",
}  # fmt: skip
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


def sniff(data: bytes, name: bytes = b"") -> str:
    """A key of PILLOW, or ``raw``. Raises SourceError: EMPTY, UNSUPPORTED (a known other kind) or NOT_AN_IMAGE."""
    head = data[:64]
    if not head:
        raise SourceError(Reason.EMPTY, "the file is empty")
    extension = name[name.rfind(b".") :].lower() if b"." in name else b""
    for mark, found in _MARKS:
        if head.startswith(mark):
            return "raw" if found == "tiff" and (extension in RAW_EXTENSIONS or _is_raw(data)) else found
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in b" \t\r\n":
        return "ppm"
    if head[4:8] == b"ftyp" and (brand := _brand(data)):
        return brand
    if extension == b".tga" and _may_be_tga(head):
        return "tga"
    raise _not_ours(head)


def misnamed(format_name: str, name: bytes) -> bool:
    """Whether the name's extension speaks of another format than the content is."""
    extension = name[name.rfind(b".") + 1 :].lower().decode("ascii", "replace") if b"." in name else ""
    return extension in EXTENSIONS and format_name not in EXTENSIONS[extension]


def _is_raw(data: bytes) -> bool:
    """Whether a TIFF says itself that it is a camera RAW: CR2, or DNG by its version."""
    page = None if data[8:10] == b"CR" else tiff.first_page(data)
    return page.is_dng if page else data[8:10] == b"CR"


def _brand(data: bytes) -> str | None:
    """The kind of an ISO base media file: its major brand, where that is a general one its compatible ones."""
    length = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, length, 4))]
    if brands[0] in (b"mif1", b"msf1") and b"avif" in brands:
        return "avif"
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)


def _may_be_tga(head: bytes) -> bool:
    return len(head) >= 18 and head[1] in (0, 1) and head[2] in (1, 2, 3, 9, 10, 11) and head[16] in (8, 15, 16, 24, 32)


def _not_ours(head: bytes) -> SourceError:
    for mark, what in _FOREIGN:
        if head.lstrip().startswith(mark):
            return SourceError(Reason.UNSUPPORTED, f"it is {what}, which hotfolder does not read")
    if not head.strip(b"\0"):
        return SourceError(Reason.NOT_AN_IMAGE, "it begins with zeros: perhaps not written yet, or lost in a crash")
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return SourceError(Reason.NOT_AN_IMAGE, "it is text, not an image")
    return SourceError(Reason.NOT_AN_IMAGE, "its first bytes are those of no image format")


@functools.cache
def decoder(format_name: str) -> str:
    """Name and version of what decodes this format, such as ``pillow 13.0.0``; kept with a failure."""
    distribution = DISTRIBUTIONS.get(format_name, "pillow")
    import importlib.metadata  # here, since it costs every start 15 ms

    return f"{distribution} {importlib.metadata.version(distribution)}"


LENIENT = " lenient"
"""Added to the decoder of a failure where it was asked to show what there is, and could not."""


def decoders() -> tuple[str, ...]:
    """All decoders that are installed: a source that an older one refused is tried again."""
    return tuple(sorted({decoder(name) for name in (*PILLOW, "raw", "deep") if has(name)}))


@functools.cache
def has(format_name: str) -> bool:
    """Whether the extra that this format needs is installed; the others need none."""
    if format_name not in EXTRAS:
        return True
    return importlib.util.find_spec(EXTRAS[format_name][1]) is not None


def installed_extras() -> tuple[str, ...]:
    return tuple(extra for name, (extra, _) in EXTRAS.items() if has(name))


def cut_short(data: bytes, format_name: str) -> bool:
    """Whether the file says itself that its end is missing. Cheap; asked only of what a decoder refused."""
    tail = data[-64:].rstrip(b"\0")
    if not tail:
        return False  # zeros to the end: of full length, but not what was once written
    if format_name == "jpeg":
        return not tail.endswith(b"\xff\xd9")
    if format_name == "png":
        return b"IEND" not in tail
    if format_name == "gif":
        return not tail.endswith(b";")
    if format_name == "webp":
        return len(data) < 12 or int.from_bytes(data[4:8], "little") + 8 > len(data)
    if format_name == "bmp":
        return int.from_bytes(data[2:6], "little") > len(data)
    return format_name in ("avif", "heif") and _box_cut(data)


def is_hollow(data: bytes) -> bool:
    """Whether a JPEG runs out into zeros before its end: room that was made for it and is not filled yet.

    Padding behind the end is none of that. libjpeg would show what there is, and grey for the rest.
    """
    if not data.startswith(b"\xff\xd8\xff") or data[-HOLLOW:] != bytes(HOLLOW):
        return False
    return not data.rstrip(b"\0").endswith(b"\xff\xd9")


def _box_cut(data: bytes) -> bool:
    """Whether the outermost boxes of an ISO base media file reach behind its end."""
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        if length < 8:
            return False  # 0: up to the end of the file; other values are damage, not a cut
        at += length
    return at > len(data)


@contextmanager
def guarded(decoder_name: str, data: bytes = b"", format_name: str = "") -> Iterator[None]:
    """Whatever a decoder raises on hostile bytes becomes a SourceError with that decoder's name."""
    try:
        yield
    except HotfolderError:
        raise
    except MemoryError as error:
        raise SourceError(Reason.TOO_MUCH_MEMORY, "decoding it needs more memory than there is") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno and error.strerror and error.filename is None:
            raise  # the disk, not the picture
        text = str(error) or type(error).__name__
        truncated = any(word in text.lower() for word in ("truncated", "broken data stream", "premature"))
        if truncated or (data and cut_short(data, format_name)):
            raise SourceError(Reason.TRUNCATED, "the file ends too early", decoder=decoder_name) from error
        reason = Reason.UNSUPPORTED if text.lower().startswith(_UNSUPPORTED) else Reason.DAMAGED
        raise SourceError(reason, _in_words(reason, decoder_name, text), decoder=decoder_name) from error


_UNSUPPORTED = ("unsupported", "not implemented", "no decoder")
"""How decoders begin what they say of a picture that is whole, but of a kind that they cannot show."""


def _in_words(reason: Reason, decoder_name: str, text: str) -> str:
    """What was found, for the picture's owner; what the decoder said of it stands behind, for who looks closer."""
    found = "it is of a kind that is not read" if reason is Reason.UNSUPPORTED else "it is damaged"
    said = "".join(c if c.isprintable() else " " for c in text)[:SAID_MOST]
    return f"{found} ({decoder_name.partition(' ')[0]}: {said})"
