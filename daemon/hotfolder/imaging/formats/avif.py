"""AVIF: AV1 in an ISO base media file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from hotfolder.imaging.containers import boxes
from hotfolder.imaging.formats.format import Format
from hotfolder.imaging.formats.values import Carried, Dial, Memory, Settings

if TYPE_CHECKING:
    from PIL import Image

    from hotfolder.imaging.colour.signals import Cicp

SPEED = 7


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
    tells_metadata = True
    dial = Dial(1, 100, start=80, gain=0.45)
    mark = b"\0\0\0\x0cfreehotf"

    def cut_short(self, data: bytes) -> bool:
        return boxes.cut(data)

    def cicp(self, data: bytes) -> Cicp | None:
        from hotfolder.imaging.colour.signals import of_primary_item

        return of_primary_item(data)

    def codes(self, data: bytes) -> Any:
        """OpenCV hands out 10 or 12 bits as they lie."""
        from hotfolder.imaging.colour import deep

        codes = deep.by_opencv(data)
        return codes if codes is None or codes.dtype.itemsize != 2 else deep.full_scale(codes)

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


FORMAT = Avif()
