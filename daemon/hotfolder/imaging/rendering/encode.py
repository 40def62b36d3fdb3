"""From pixels to a file in JPEG, PNG, WebP or AVIF. Always into a real file: only then does Pillow give up the GIL."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging.metadata.carried import PNG_XMP
from hotfolder.imaging.native import Picture, Tables
from hotfolder.presets import Format

PNG_LEVEL = 6
WEBP_METHOD = 4
_JFIF = 20
"""Bytes of SOI and JFIF's own segment, which libjpeg writes first."""
_ICC_PART = 65_519
"""Bytes of a profile that one segment carries (ICC.1, annex B.4)."""
_PROBE = 1 << 20
"""Bytes that are tried to learn why a write failed; the file is thrown away afterwards."""
LONGEST_SIDE = {"jpeg": 65_500, "webp": 16_383, "avif": 65_536}
"""Pixels of the largest width or height that libjpeg, WebP and AVIF can carry; PNG has no limit that matters."""


def encode(
    image: Image.Image, file: BinaryIO, format_name: Format, quality: int, *, progressive: bool = True,
    background: str = "#ffffff", exif: bytes = b"", icc: bytes | None = None, xmp: bytes | None = None,
    comment: bytes = b"", iptc: bytes = b"", tables: Tables | None = None, exact: bool = False,
) -> int:  # fmt: skip
    """Write the picture; gives the bytes written. `quality` is 1–100; PNG ignores it.

    JPEG takes quantization `tables` instead of a quality; WebP loses nothing where it is to be `exact`, as PNG does.

    Only the metadata given here is written. Raises OSError (disk full …), and SourceError where the format cannot
    carry so large a picture.
    """
    if not fits(image.size, format_name):
        message = f"{format_name} carries at most {LONGEST_SIDE[format_name]} pixels a side, not {max(image.size)}"
        raise SourceError(Reason.UNSUPPORTED, message)
    # All said outright: what is left out Pillow takes from the source, comments and profiles among it.
    options: dict[str, Any] = {"icc_profile": icc or b"", "exif": exif}
    if xmp and format_name != "png":
        options["xmp"] = xmp
    if format_name == "jpeg":
        image = flattened(image, background)
        if iptc:
            options["extra"] = b"\xff\xed" + (len(iptc) + 2).to_bytes(2, "big") + iptc
        try:
            options |= {"qtables": tables, "subsampling": "4:2:0"} if tables else {"quality": quality}
            image.save(file, "JPEG", progressive=progressive, optimize=True, comment=comment, **options)
        except OSError as error:
            raise _why(file) or error from error
        _check_whole(file)
    elif format_name == "png":
        text = PngInfo()
        if xmp:
            text.add_itxt(PNG_XMP, xmp.decode("utf-8", "replace"))
        image.save(file, "PNG", compress_level=PNG_LEVEL, pnginfo=text, **options)
    elif format_name == "webp":
        _with_alpha(image).save(
            file, "WEBP", quality=quality, method=WEBP_METHOD, lossless=exact, exact=exact, **options
        )  # fmt: skip
    else:
        _with_alpha(image).save(file, "AVIF", quality=quality, speed=7, max_threads=1, **options)
    file.flush()
    return file.seek(0, 2)


def encode_planes(
    picture: Picture, file: BinaryIO, quality: int, *, progressive: bool = True, small: bool = False,
    tables: Tables | None = None,
    exif: bytes = b"", icc: bytes | None = None, xmp: bytes | None = None, comment: bytes = b"", iptc: bytes = b"",
) -> int:  # fmt: skip
    """What `encode` does for JPEG, for a scaled picture that stayed planes. Raises OSError (disk full …).

    `small`: fewer bytes, more time.
    """
    encoded = memoryview(picture.jpeg(quality, progressive=progressive, small=small, tables=tables))
    file.write(encoded[:_JFIF])
    for marker, body in _segments(exif, icc, xmp, comment, iptc):
        file.write(b"\xff" + bytes([marker]) + (len(body) + 2).to_bytes(2, "big") + body)
    file.write(encoded[_JFIF:])
    file.flush()
    return file.seek(0, os.SEEK_END)


def _segments(
    exif: bytes, icc: bytes | None, xmp: bytes | None, comment: bytes, iptc: bytes
) -> Iterator[tuple[int, bytes]]:  # fmt: skip
    """Metadata as JPEG segments (marker, content), in the order that Pillow writes them."""
    if exif:
        yield 0xE1, exif if exif.startswith(b"Exif\0\0") else b"Exif\0\0" + exif
    if xmp:
        yield 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp
    parts = [icc[at : at + _ICC_PART] for at in range(0, len(icc), _ICC_PART)] if icc else []
    for number, part in enumerate(parts, 1):
        yield 0xE2, b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part
    if iptc:
        yield 0xED, iptc
    if comment:
        yield 0xFE, comment


def fits(size: tuple[int, int], format_name: str) -> bool:
    """Whether the format can carry a picture of this size."""
    return max(size) <= LONGEST_SIDE.get(format_name, 2**31 - 1)


def _check_whole(file: BinaryIO) -> None:
    """Pillow takes a short write of a JPEG for success: on a full disk half a picture would count as made."""
    length = file.seek(0, os.SEEK_END)
    if length < 2 or os.pread(file.fileno(), 2, length - 2) != b"\xff\xd9":
        raise _why(file) or OSError(errno.EIO, os.strerror(errno.EIO))


def _why(file: BinaryIO) -> OSError | None:
    """Pillow drops the error number of a failed write; the file system is asked for it once more."""
    try:
        written = os.pwrite(file.fileno(), bytes(_PROBE), os.fstat(file.fileno()).st_size)
    except OSError as error:
        return error
    return None if written == _PROBE else OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def flattened(image: Image.Image, background: str) -> Image.Image:
    """Without alpha, on the background; modes that JPEG can carry stay as they are."""
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    if image.mode != "RGBA":
        image = image.convert("RGBA")
    board = Image.new("RGB", image.size, background)
    board.paste(image, mask=image.getchannel("A"))
    return board


def _with_alpha(image: Image.Image) -> Image.Image:
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGBA" if "A" in image.mode else "RGB")
