"""What a file's header claims, read with bounds before any decoder sees it: pixels, bytes of metadata, scans.

Nothing is decoded here, and what is too short or makes no sense is left to the decoder to refuse.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from itertools import islice

from hotfolder.errors import Reason, SourceError

METADATA_MOST = 16_000_000
"""Bytes of EXIF, XMP, ICC, comments … together: cameras write up to some MB; decoders copy them several times, and join
those of a JPEG in quadratic time."""
PIECES_MOST = 20_000
"""Segments, chunks or tags of metadata; a file has some dozens."""
SCANS_MOST = 500
"""Scans of a JPEG, each of which costs a pass over the whole picture; encoders write about ten (libjpeg-turbo's own
fuzzers stop at 500, too)."""

_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_PICTURE = frozenset({273, 279, 324, 325, 288, 289})
"""Tags that say where the picture's own data lies: as many values as it has strips or tiles."""
_TIFF_BELOW = frozenset({34665, 34853})


def claimed(kind: str, data: bytes) -> Iterator[tuple[int, int]]:
    """Sizes that must be known before Pillow opens the file, since there opening decodes or takes the whole canvas."""
    if kind == "webp" and data[12:16] == b"VP8X" and len(data) >= 30:
        yield int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    elif kind == "webp" and data[12:16] == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        yield (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == "webp" and len(data) >= 30:
        yield int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    elif kind == "ico":
        yield from _icons(data)
    elif kind == "jxl":
        yield from _jxl(data)


def _icons(data: bytes) -> Iterator[tuple[int, int]]:
    """The size of each picture in an ICO as that picture itself tells it; the directory's own cannot be believed."""
    (count,) = struct.unpack_from("<H", data.ljust(6, b"\0"), 4)
    for at in range(6, min(6 + 16 * count, len(data) - 15), 16):
        (start,) = struct.unpack_from("<I", data, at + 12)
        head = data[start : start + 24]
        if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) == 24:
            yield struct.unpack(">II", head[16:24])
        elif len(head) >= 12:
            wide, high = struct.unpack("<ii", head[4:12])
            yield abs(wide), abs(high) // 2  # the mask lies below the picture


def _jxl(data: bytes) -> Iterator[tuple[int, int]]:
    """The SizeHeader of a JPEG XL codestream (ISO/IEC 18181-1), bare or in its container."""
    start = 0
    if not data.startswith(b"\xff\x0a"):
        at = 0
        while at + 16 <= len(data):
            length, kind = struct.unpack_from(">I4s", data, at)
            if kind in (b"jxlc", b"jxlp"):
                start = at + (16 if length == 1 else 8) + (4 if kind == b"jxlp" else 0)
                break
            length = struct.unpack_from(">Q", data, at + 8)[0] if length == 1 else length
            if length < 8:
                return
            at += length
    if data[start : start + 2] != b"\xff\x0a":
        return
    bits = int.from_bytes(data[start + 2 : start + 14], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    small = take(1)

    def side() -> int:
        return 8 * (take(5) + 1) if small else take((9, 13, 18, 30)[take(2)]) + 1

    high = side()
    ratio = take(3)
    wide = side() if not ratio else high * _JXL_RATIOS[ratio][0] // _JXL_RATIOS[ratio][1]
    yield wide, high


_JXL_RATIOS = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def check_metadata(kind: str, data: bytes, decoder: str) -> None:
    """Raises SourceError where what is not picture is far more than any camera or editor writes."""
    pieces = _PIECES.get(kind)
    if pieces is None:
        return
    total = count = 0
    for length in islice(pieces(data), PIECES_MOST + 1):
        total += length
        count += 1
    if total > METADATA_MOST:
        message = f"its metadata has {total // 1_000_000} MB or more; at most {METADATA_MOST // 1_000_000} MB are read"
        raise SourceError(Reason.TOO_MANY_BYTES, message, decoder=decoder)
    if count > PIECES_MOST:
        message = f"its metadata has more than {PIECES_MOST} parts"
        raise SourceError(Reason.TOO_MANY_BYTES, message, decoder=decoder)
    if kind == "jpeg" and not in_one_scan(data) and (scans := data.count(b"\xff\xda")) > SCANS_MOST:
        message = f"it has {scans} scans, which would take a decoder for ever; at most {SCANS_MOST} are read"
        raise SourceError(Reason.UNSUPPORTED, message, decoder=decoder)


def refuse(kind: str, data: bytes, decoder: str) -> None:
    """Raises SourceError(UNSUPPORTED) for kinds of a format that no decoder here shows, and says which."""
    if kind == "jpeg" and (frame := _frame(data)):
        process, bits = frame
        if bits != 8:
            message = f"it is a {bits}-bit JPEG; hotfolder reads JPEGs of 8 bits"
            raise SourceError(Reason.UNSUPPORTED, message, decoder=decoder)
        if process in (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF):
            message = "it is a hierarchical JPEG, which hotfolder does not read"
            raise SourceError(Reason.UNSUPPORTED, message, decoder=decoder)
        if process == 0xF7:
            raise SourceError(Reason.UNSUPPORTED, "it is JPEG-LS, which hotfolder does not read", decoder=decoder)


def _frame(data: bytes) -> tuple[int, int] | None:
    """The first frame header's marker and bits a sample."""
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            return marker, data[at + 4]
        if marker in (0xD9, 0xDA):
            return None
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def in_one_scan(data: bytes) -> bool:
    """Whether the first scan of a JPEG has all its components, once and for all: decoders read no other. Most have,
    and counting through a whole file costs a twentieth of its thumbnails."""
    at, components = 2, 0
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in (0xC0, 0xC1):  # baseline, extended: sequential
            components = data[at + 9]
        if marker == 0xDA:
            return data[at + 4] == components > 0
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _jpeg(data: bytes) -> Iterator[int]:
    """Application and comment segments before the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF:  # padding
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xE0 <= data[at + 1] <= 0xEF or data[at + 1] == 0xFE:
            yield length
        at += 2 + length


def png_exif(data: bytes) -> bytes:
    """The EXIF of a PNG, which may stand behind its picture; empty where there is none."""
    return next((data[at + 8 : at + 8 + length] for kind, at, length in _chunks(data) if kind == b"eXIf"), b"")


def _png(data: bytes) -> Iterator[int]:
    """All chunks but those of the picture."""
    picture = (b"IDAT", b"fdAT", b"fcTL")
    return (min(length, len(data) - at) for kind, at, length in _chunks(data) if kind not in picture)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place and length of each chunk of a PNG before its end."""
    at = 8
    while at + 8 <= len(data) and (kind := data[at + 4 : at + 8]) != b"IEND":
        length = int.from_bytes(data[at : at + 4], "big")
        yield kind, at, length
        at += 12 + length


def _webp(data: bytes) -> Iterator[int]:
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] in (b"EXIF", b"XMP ", b"ICCP"):
            yield min(length, len(data) - at)
        at += 8 + length + length % 2


def _gif(data: bytes) -> Iterator[int]:
    """Comments and application blocks before the first picture."""
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0)
    while at + 2 < len(data) and data[at] == 0x21:
        at += 2
        while at < len(data) and data[at]:
            yield data[at] + 1
            at += 1 + data[at]
        at += 1


def _tiff(data: bytes) -> Iterator[int]:
    """The values of the first picture's tags, and of the EXIF and GPS tags that it points to."""
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] not in (b"*\0", b"\0*"):
        return  # BigTIFF: its tags are bounded by the size of the file alone
    waiting = [int.from_bytes(data[4:8], "little" if order == "<" else "big")]
    for start in waiting:
        if len(waiting) > 3 or start + 2 > len(data):
            return
        (count,) = struct.unpack_from(order + "H", data, start)
        for at in range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12):
            tag, kind, number, value = struct.unpack_from(order + "HHII", data, at)
            if tag in _TIFF_BELOW:
                waiting.append(value)
            length = number * _TIFF_SIZES.get(kind, 1)
            if tag not in _TIFF_PICTURE and value + length <= len(data):  # others are passed over by the decoder
                yield length


_PIECES: dict[str, Callable[[bytes], Iterator[int]]] = {
    "jpeg": _jpeg, "png": _png, "webp": _webp, "gif": _gif, "tiff": _tiff,
}  # fmt: skip
