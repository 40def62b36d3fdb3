"""The scans of a JPEG: whether they make a whole picture, although the file lacks the marker of its end.

Senders that stop two bytes early are common, and nothing of the picture is lost. That the scans are complete is seen by
what follows them: the same picture whatever follows means that nothing was missing.
"""

from __future__ import annotations

import hashlib
import io
from typing import cast

from PIL import Image, ImageFile

from hotfolder.imaging.containers import Endless, segments

END = b"\xff\xd9"
BLOCK = 64
"""Coefficients."""
_PROGRESSIVE = (0xC2, 0xCA)
STRIP = 256
"""Rows that are compared at a time: a copy of the whole would double what is held."""
_FOLLOWING = (b"\x55" * BLOCK, b"\xaa" * BLOCK, b"\x6d\xb6\xdb" * BLOCK, b"\xff\0" * BLOCK)
"""Bits that read as other coefficients than the zeros which a decoder puts in place of missing ones."""


def lack_only_their_end(data: bytes) -> bool:
    """Whether every coefficient has a scan down to its last bit, and no end of the picture follows the last one.
    Whether that last scan is there to its end, only decoding it tells."""
    left: dict[int, list[int]] = {}  # bits of each coefficient that are still to come, by component
    frame = 0
    try:
        for marker, _, body, end in segments.walk(data):
            if marker == segments.EOI or end > len(data):
                return False
            if marker in segments.FRAMES and end - body >= 6:
                frame = marker
                left = {number: [BLOCK] * BLOCK for number in data[body + 6 : end : 3]}
            elif marker == segments.SOS and end - body >= 6:
                first, last, bits = data[end - 3], data[end - 2], data[end - 1] & 15
                for number in data[body + 1 : end - 3 : 2]:
                    if frame not in _PROGRESSIVE:
                        first, last, bits = 0, BLOCK - 1, 0
                    left.get(number, [])[first : last + 1] = [bits] * (min(last, BLOCK - 1) + 1 - first)
    except Endless:
        return False
    # Zeros may be room that was made and is not filled: they read as a dull rest of the picture.
    return bool(left) and not any(any(each) for each in left.values()) and not data.endswith(b"\0\0")


def whole(data: bytes, plugins: tuple[str, ...]) -> Image.Image:
    """The picture. Raises OSError where its last scan ends too early, unless what there is may be shown."""
    data = data.rstrip(b"\xff")  # half of the end
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        return _decoded(data, plugins)
    seen = {_digest(_decoded(data + following, plugins)) for following in _FOLLOWING}
    picture = _decoded(data, plugins)
    if seen != {_digest(picture)}:
        raise OSError("truncated: its last scan is cut short")
    return picture


def _decoded(data: bytes, plugins: tuple[str, ...]) -> Image.Image:
    image = Image.open(io.BytesIO(data + END), formats=plugins)
    at_once(image, len(data) + len(END))
    image.load()
    return image


def at_once(image: Image.Image, size: int) -> None:
    """The decoder is given all of that many bytes, not block by block: libjpeg cannot wait within arithmetic codes."""
    cast("ImageFile.ImageFile", image).decodermaxblock = size


def _digest(picture: Image.Image) -> bytes:
    digest = hashlib.sha256()
    for top in range(0, picture.height, STRIP):
        digest.update(picture.crop((0, top, picture.width, min(top + STRIP, picture.height))).tobytes())
    return digest.digest()
