"""AVIF: AV1 in an ISO base media file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging.containers import boxes, exchange, items, moves, tracks
from hotfolder.imaging.containers.boxes import Box
from hotfolder.imaging.formats.format import Format
from hotfolder.imaging.formats.values import Carried, Dial, Memory, Settings

if TYPE_CHECKING:
    from PIL import Image

    from hotfolder.imaging.colour.signals import Cicp
    from hotfolder.imaging.formats.opening import Found

SPEED = 7
PIXELS_MOST, SIDE_MOST = 16_384 * 16_384, 32_768
"""What libavif decodes (`imageSizeLimit`, `imageDimensionLimit`)."""


class Avif(Format):
    """The smallest that is written."""

    name = "avif"
    brands = (b"avif", b"avis")
    extensions = ("avif",)
    also_named = ("heif",)
    media_type = "image/avif"
    plugins = ("AVIF",)
    is_risky = True
    memory = Memory(decoding=7, encoding=50.0, encoding_alpha=60.0)  # half of it for a photo

    is_written = True
    longest_side = 65_536
    is_rewritten = True
    is_overwritten = True
    dial = Dial(1, 100, start=80, gain=0.45)
    mark = b"\0\0\0\x0cfreehotf"

    def cut_short(self, data: bytes) -> bool:
        return boxes.cut(data)

    def claimed(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Its decoder refuses what is beyond its own limits without saying why."""
        return items.claimed(data)

    def open(self, data: bytes) -> Found:
        try:
            found = super().open(data)
        except OSError as error:
            for wide, high in self.claimed(data):
                if wide * high > PIXELS_MOST or max(wide, high) > SIDE_MOST:
                    most = f"more than its decoder reads: {PIXELS_MOST}, or a side of {SIDE_MOST}"
                    message = f"it has {wide}×{high} = {wide * high} pixels, {most}"
                    raise SourceError(Reason.TOO_MANY_PIXELS, message, decoder=self.decoder) from error
            raise
        said = _said(data)
        if not said:
            return found
        (left, upper, right, lower), orientation = moves.moved(data, said, found.size)
        size = (right - left, lower - upper)
        if size == found.size:
            return replace(found, orientation=orientation)

        def cropped() -> Image.Image:
            picture = found.image if found.pixels is None else found.pixels()
            return picture.crop((left, upper, right, lower))

        return replace(found, size=size, orientation=orientation, pixels=cropped)

    def cicp(self, data: bytes) -> Cicp | None:
        from hotfolder.imaging.colour.signals import of_properties

        return of_properties(data, _said(data))

    def codes(self, data: bytes) -> Any:
        """OpenCV hands out 10 or 12 bits as they lie; grey in the range that it is coded in."""
        from hotfolder.imaging.colour import deep, signals

        codes = deep.by_opencv(data)
        if codes is None or codes.dtype.itemsize != 2:
            return codes
        video = codes.ndim == 2 and signals.is_video_range(data, _said(data))
        return deep.full_scale(codes, _bits(data), video=video)

    def write(self, image: Image.Image, file: BinaryIO, settings: Settings, carried: Carried) -> None:
        from hotfolder.imaging.formats import opening

        options = {"xmp": carried.xmp} if carried.xmp else {}
        image.save(
            file,
            "AVIF",
            quality=settings.quality,
            speed=SPEED,
            max_threads=1,
            icc_profile=carried.icc or b"",
            exif=opening.Block(carried.exif),
            **options,
        )

    def rewrite(self, data: bytes, carried: Carried) -> bytes:
        found = exchange.exchanged(data, carried.exif.removeprefix(b"Exif\0\0"), carried.xmp)
        ours = len(self.mark) if data.endswith(self.mark) else 0
        return found[: len(found) - ours] + self.mark[:ours]


def _said(data: bytes) -> list[Box]:
    """Of the picture that its decoder takes: that of a track, where there is one and the file is not called a still."""
    still = boxes.brands(data)[:1] == [b"avif"]
    return ([] if still else tracks.said(data, b"av01")) or items.said(data)


def _bits(data: bytes) -> int:
    """A sample, as the configuration of its decoder says (AV1 in ISOBMFF, 2.3.3); a grid has none but that of its
    tiles."""
    for each in (*_said(data), *items.said_of_all(data)):
        if each.kind == b"av1C" and each.body + 3 <= each.end:
            return 12 if data[each.body + 2] & 0x20 else 10
    return 10


FORMAT = Avif()
