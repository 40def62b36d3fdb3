"""WebP, lossy and lossless, animated ones among them, of which the first frame counts."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from hotfolder.imaging.containers import riff
from hotfolder.imaging.formats.format import Format
from hotfolder.imaging.formats.values import Carried, Dial, Memory, Samples, Settings

if TYPE_CHECKING:
    from PIL import Image

METHOD = 4
METADATA = (b"EXIF", b"XMP ", b"ICCP")
KEPT = frozenset((b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
"""Chunks that stay when the metadata go."""
_HAS_EXIF, _HAS_XMP = 0x08, 0x04


class Webp(Format):
    """What browsers like."""

    name = "webp"
    extensions = ("webp",)
    media_type = "image/webp"
    plugins = ("WEBP",)
    is_photo = True
    memory = Memory(decoding=16, kept=8, encoding=9.0, encoding_alpha=46.0)

    is_written = True
    longest_side = 16_383
    is_rewritten = True
    dial = Dial(1, 100, start=92, gain=0.9)
    mark = b"hotf\x04\0\0\0auto"

    def recognises(self, data: bytes, extension: bytes) -> bool:
        return data[:4] == b"RIFF" and data[8:12] == b"WEBP"

    def cut_short(self, data: bytes) -> bool:
        return len(data) < 12 or riff.end(data) > len(data)

    def claimed(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Pillow takes the canvas when it opens the file."""
        if data[12:16] == b"VP8X" and len(data) >= 30:
            yield int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
        elif data[12:16] == b"VP8L" and len(data) >= 25:
            bits = int.from_bytes(data[21:25], "little")
            yield (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        elif len(data) >= 30:
            yield int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF

    def pieces(self, data: bytes) -> Iterator[int]:
        return (
            min(chunk.stop - chunk.body, len(data) - chunk.start) for chunk in riff.walk(data) if chunk.kind in METADATA
        )

    def samples(self, data: bytes, size: tuple[int, int], scale: int, look: Callable[[], None]) -> Samples | None:
        from hotfolder.imaging.formats import shrinking

        return shrinking.samples(data, size, scale, look)

    def write(self, image: Image.Image, file: BinaryIO, settings: Settings, carried: Carried) -> None:
        options = {"xmp": carried.xmp} if carried.xmp else {}
        image.save(
            file,
            "WEBP",
            quality=settings.quality,
            method=METHOD,
            lossless=settings.exact,
            exact=settings.exact,
            icc_profile=carried.icc or b"",
            exif=carried.exif,
            **options,
        )

    def rewrite(self, data: bytes, carried: Carried) -> bytes:
        kept = [(chunk.kind, data[chunk.body : chunk.stop]) for chunk in riff.walk(data) if chunk.kind in KEPT]
        if kept and kept[0][0] == b"VP8X":  # without it there is no place for metadata
            flags = kept[0][1][0] & ~(_HAS_EXIF | _HAS_XMP)
            if carried.exif:
                flags |= _HAS_EXIF
                kept.append((b"EXIF", carried.exif.removeprefix(b"Exif\0\0")))
            if carried.xmp:
                flags |= _HAS_XMP
                kept.append((b"XMP ", carried.xmp))
            kept[0] = (b"VP8X", bytes([flags]) + kept[0][1][1:])
        return riff.written(b"WEBP", kept)

    def smaller(self, data: bytes, pixels: int) -> bytes:
        """Lossless ones only, by libwebp: the coefficients of a lossy one cannot be coded anew."""
        if b"VP8L" not in data[12:16] or len(data) < 30:
            return data  # lossy, animated, or with metadata around it
        from PIL import Image

        file = io.BytesIO()
        try:
            with Image.open(io.BytesIO(data), formats=self.plugins) as image:
                image.save(file, "WEBP", lossless=True, quality=100, method=6, exact=True)
        except OSError:
            return data
        return file.getvalue()

    def marked(self, file: BinaryIO, size: int) -> int:
        size = super().marked(file, size)
        file.seek(4)
        file.write((size - 8).to_bytes(4, "little"))  # the container states its length
        return size


FORMAT = Webp()
