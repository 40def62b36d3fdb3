"""PNG (third edition), animated ones among them, of which the first frame counts."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging.containers import Endless, chunks
from hotfolder.imaging.formats.format import METADATA_MOST, Format
from hotfolder.imaging.formats.values import Carried, Density, Lines, Memory, Settings

if TYPE_CHECKING:
    from PIL import Image

    from hotfolder.imaging.colour.signals import Cicp
    from hotfolder.imaging.formats.opening import Found

LEVEL = 6
PICTURE = (b"IDAT", b"fdAT", b"fcTL")
KEPT = frozenset(
    b"cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST tRNS pHYs acTL fcTL fdAT".split(),
)
"""Chunks that stay when the metadata go, beside those that no decoder can do without."""
METADATA = (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME")
UNPACKED_MOST = 1 << 20
"""Bytes of one text or profile that is stored compressed (Pillow's `MAX_TEXT_CHUNK`)."""
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
PHYS = struct.Struct(">IIB")
"""Density: pixels a unit across and down, and whether the unit is a metre or none."""
HEAD_MOST = 1_000
"""Chunks before the picture in which colours are looked for."""
_BITS = 24
"""Where the header tells how many a sample has."""
_EFFORT = ((20_000_000, 2), (80_000_000, 1))
"""Pixels up to which oxipng tries this hard; at 0 it costs about what zlib does. So 100 MP stay within a minute."""


class Png(Format):
    """What loses nothing."""

    name = "png"
    marks = (chunks.SIGNATURE,)
    extensions = ("png", "apng")
    media_type = "image/png"
    plugins = ("PNG",)
    is_photo = True
    memory = Memory(decoding=1, encoding=1.0, encoding_lossless=13.0)  # its lines, filtered in several ways

    is_written = True
    loses_nothing = True
    is_rewritten = True

    def cut_short(self, data: bytes) -> bool:
        return chunks.END not in data[-64:]

    def pieces(self, data: bytes) -> Iterator[int]:
        """All chunks but those of the picture."""
        return (
            min(chunk.stop - chunk.body, len(data) - chunk.start)
            for chunk in chunks.walk(data)
            if chunk.kind not in PICTURE and chunk.kind != chunks.END
        )

    def inspect(self, data: bytes) -> None:
        super().inspect(data)
        if data[12:16] == b"CgBI":
            message = "it is a PNG optimized for iPhones (CgBI), which hotfolder does not read"
            raise SourceError(Reason.UNSUPPORTED, message, decoder=self.decoder)
        total = 0
        for chunk in chunks.walk(data):
            total += (unpacked := chunks.unpacked(data, chunk, UNPACKED_MOST))
            if unpacked > UNPACKED_MOST or total > METADATA_MOST:
                message = f"its texts or its profile unpack to more than {UNPACKED_MOST} bytes, the most that is read"
                raise SourceError(Reason.TOO_MANY_BYTES, message, decoder=self.decoder)

    def late_exif(self, data: bytes) -> bytes:
        """The EXIF may stand behind the picture."""
        return next((data[chunk.body : chunk.stop] for chunk in chunks.walk(data) if chunk.kind == b"eXIf"), b"")

    def cicp(self, data: bytes) -> Cicp | None:
        from hotfolder.imaging.colour.signals import Cicp

        found: dict[bytes, bytes] = {}
        try:
            for chunk in chunks.walk(data, HEAD_MOST):
                if chunk.kind in (b"IDAT", chunks.END):
                    break
                if chunk.kind in (b"cICP", b"cLLI"):
                    found[chunk.kind] = data[chunk.body : min(chunk.stop, chunk.body + 4)]
            else:
                return None  # it ends in its head
        except Endless:
            pass
        code, light = found.get(b"cICP", b""), found.get(b"cLLI", b"")
        if len(code) < 2:
            return None
        return Cicp(code[0], code[1], int.from_bytes(light, "big") / 10_000 or None)

    def open(self, data: bytes) -> Found:
        from hotfolder.imaging.formats import opening

        found = opening.by_pillow(self, data)
        image, colour = found.image, found.image.info.get("transparency")
        if colour is None or found.pixels is not None:
            return found
        if self.is_deep(data):
            return replace(found, pixels=lambda: self._cut_out(data, image))
        if image.mode == "L":  # Pillow brings samples of 2 and 4 bits to the scale of 8, but not this one
            most = (1 << data[_BITS]) - 1
            image.info["transparency"] = (colour & most) * 255 // most
        return found

    def _cut_out(self, data: bytes, image: Image.Image) -> Image.Image:
        """A picture of 16 bits one colour of which is transparent: Pillow compares only a part of them."""
        from hotfolder.imaging.colour import deep

        samples = self.codes(data)
        if samples is not None:
            return deep.integers(samples, linear=False)
        image.load()  # tells what is wrong, or goes as far as it can
        del image.info["transparency"]
        return deep.sixteen(image) if image.mode == "I;16" else image

    def is_deep(self, data: bytes) -> bool:
        return data[_BITS : _BITS + 1] == b"\x10"

    def codes(self, data: bytes) -> Any:
        """OpenCV knows no grey with a transparent colour."""
        from hotfolder.imaging.colour import deep

        samples = deep.by_opencv(data)
        if samples is None or samples.ndim != 2 or samples.dtype.itemsize != 2:
            return samples
        chunk = next((each for each in chunks.walk(data) if each.kind in (b"tRNS", b"IDAT")), None)
        if chunk is None or chunk.kind != b"tRNS":
            return samples
        return deep.without(samples, int.from_bytes(data[chunk.body : chunk.body + 2], "big"))

    def lines(self, data: bytes) -> Lines | None:
        """Whole pictures of 8 bits, without interlacing, animation or transparent colours."""
        from hotfolder.imaging.formats import unpacking

        return unpacking.lines(data)

    def loses_bits(self, data: bytes) -> bool:
        """All of 16 bits, but HDR, which becomes SDR."""
        cicp = self.cicp(data)
        return data[24:25] == b"\x10" and not (cicp is not None and cicp.is_hdr)

    def density(self, data: bytes) -> Density | None:
        found = next((data[each.body : each.stop] for each in chunks.walk(data) if each.kind == b"pHYs"), b"")
        if len(found) != PHYS.size:
            return None
        across, down, unit = PHYS.unpack(found)
        if not across or not down or unit > 1 or (not unit and across == down):
            return None
        return Density(across, down, "metre" if unit else "")

    def write(self, image: Image.Image, file: BinaryIO, settings: Settings, carried: Carried) -> None:
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        if carried.xmp:
            info.add_itxt(chunks.XMP, carried.xmp.decode("utf-8", "replace"))
        for kind, body in _texts(carried.source):
            info.add(kind, body)
        # Makes room for the density; `finish` writes its numbers.
        options = {"dpi": (0.0254, 0.0254)} if carried.density else {}
        image.save(
            file,
            "PNG",
            compress_level=LEVEL,
            pnginfo=info,
            icc_profile=carried.icc or b"",
            exif=carried.exif,
            **options,
        )

    def finish(self, file: BinaryIO, carried: Carried) -> None:
        """Density as it is: the image library knows that of one unit alone."""
        if carried.density is None:
            return
        file.flush()
        head = os.pread(file.fileno(), 2 * METADATA_MOST, 0)
        place = next(chunk for chunk in chunks.walk(head) if chunk.kind == b"pHYs")
        file.seek(place.start)
        file.write(chunks.written(b"pHYs", _stated(carried.density)))
        file.flush()

    def rewrite(self, data: bytes, carried: Carried) -> bytes:
        parts = [chunks.SIGNATURE]
        metadata = b""
        if carried.exif:
            metadata += chunks.written(b"eXIf", carried.exif.removeprefix(b"Exif\0\0"))
        if carried.xmp:
            metadata += chunks.written(b"iTXt", chunks.XMP.encode() + b"\0\0\0\0\0" + carried.xmp)
        for chunk in chunks.walk(data):
            if chunk.end > len(data):
                raise ValueError("a chunk ends behind the file")
            if chunk.kind == b"IDAT":
                parts.append(metadata)
                metadata = b""
            if chunk.kind not in METADATA and (chunk.kind.isupper() or chunk.kind in KEPT):
                parts.append(data[chunk.start : chunk.end])
            if chunk.kind == chunks.END:
                return b"".join(parts)
        raise ValueError("no end of the picture")

    def smaller(self, data: bytes, pixels: int) -> bytes:
        """By oxipng."""
        os.environ.setdefault("RAYON_NUM_THREADS", "1")  # read once, when it starts: the pool has threads enough
        import oxipng

        level = next((level for most, level in _EFFORT if pixels <= most), 0)
        try:
            return bytes(oxipng.optimize_from_memory(data, level=level))
        except oxipng.PngError:
            return data


FORMAT = Png()


def _stated(density: Density) -> bytes:
    sides = (density.across, density.down)
    if density.length == "inch":
        sides = (round(sides[0] / 0.0254), round(sides[1] / 0.0254))
    return PHYS.pack(*sides, bool(density.length))


def _texts(source: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The texts of a file as they stand, but for those that hold what is carried by itself (EXIF, XMP, profile)."""
    for chunk in chunks.walk(source):
        body = source[chunk.body : chunk.stop]
        if chunk.kind in TEXTS and not body.startswith((chunks.XMP.encode() + b"\0", b"Raw profile type ")):
            yield chunk.kind, body
