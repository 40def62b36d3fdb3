"""TIFF and BigTIFF, of which the first page counts. Its directory decides which decoder shows it right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging.containers import directories
from hotfolder.imaging.formats.format import DEEP, Format, version
from hotfolder.imaging.formats.values import Memory

if TYPE_CHECKING:
    from PIL import Image

    from hotfolder.imaging.formats.opening import Found

TAGS = {
    256: "width",
    257: "height",
    258: "bits",
    259: "compression",
    262: "photometric",
    274: "orientation",
    277: "samples",
    284: "planar",
    339: "sample_format",
}
ICC = 34675
ENTRIES_MOST = 4096
"""Entries of the first page's directory that are looked at."""
PICTURE = frozenset({273, 279, 324, 325, 288, 289})
"""Tags that say where the picture's own data lie: as many values as it has strips or tiles."""
UINT, SINT, FLOAT = 1, 2, 3
"""Values of `sample_format`."""
WHITE_IS_ZERO = 0
RGB = 2
SEPARATE = 2
PLAIN = 1
"""Compression: none."""
WEBP = 50_001
"""A compression that few builds of libtiff know."""
CODINGS = {33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", WEBP: "WebP", 50002: "JPEG XL"}
"""Names of compressions that may not be read."""
_WHOLE_NUMBERS = (1, 3, 4, 7, 16)
"""Types of a tag's value that are read."""


@dataclass(frozen=True, slots=True)
class Page:
    """Pixels, bits a sample, and the tags by their values; `icc` is the embedded profile."""

    width: int = 0
    height: int = 0
    bits: int = 1
    compression: int = 1
    photometric: int = 1
    orientation: int = 1
    samples: int = 1
    planar: int = 1
    sample_format: int = UINT
    icc: bytes = b""

    def __str__(self) -> str:
        kind = {SINT: "signed ", FLOAT: "float "}.get(self.sample_format, "")
        layout = "planes apart" if self.planar == SEPARATE else "interleaved"
        return (
            f"a TIFF of {self.samples} × {self.bits} bits {kind}({layout}, "
            f"photometric {self.photometric}, compression {CODINGS.get(self.compression, self.compression)})"
        )


class Tiff(Format):
    """What scanners and editors write; by OpenCV where Pillow has no mode for its samples."""

    name = "tiff"
    marks = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
    extensions = ("tif", "tiff")
    media_type = "image/tiff"
    plugins = ("TIFF",)
    memory = Memory(decoding=5)

    def pieces(self, data: bytes) -> Iterator[int]:
        """The values of the first page's tags, and of the EXIF and GPS tags that it points to. Those that lie behind
        the file are passed over by the decoder."""
        structure = directories.structure(data)
        if structure is None:
            return
        for entry in structure.tree():
            if entry.tag not in PICTURE and entry.at + entry.size <= len(data):
                yield entry.size

    def open(self, data: bytes) -> Found:
        from PIL import Image, ImageChops

        from hotfolder.imaging.colour import deep
        from hotfolder.imaging.formats import opening

        page = first_page(data)
        if page is None:
            raise OSError("its directory cannot be read")
        if _is_opencvs(page):
            image = Image.new("RGB", (1, 1))
            if page.icc and page.sample_format != SINT:
                image.info["icc_profile"] = deep.encoded_profile(page.icc)
            orientation = page.orientation if 1 <= page.orientation <= 8 else opening.UPRIGHT
            size = (page.width, page.height)
            return opening.Found(image, size, orientation, lambda: _pixels(data, page), version(DEEP))
        try:
            image = opening.opened(data, self.plugins)
        except OSError as error:
            if page.width and page.height and not self.cut_short(data):
                raise _unsupported(page) from error
            raise
        found = opening.with_colour(self, data, image, opening.UPRIGHT)
        if page.compression == WEBP:
            return replace(found, pixels=lambda: _loaded(image, page))
        if image.mode.startswith("I;16") and page.photometric == WHITE_IS_ZERO:
            return replace(found, pixels=lambda: ImageChops.invert(deep.sixteen(image)))
        return found

    def is_deep(self, data: bytes) -> bool:
        page = first_page(data)
        return page is not None and page.bits == 16 and page.samples in (3, 4) and page.photometric == RGB

    def exif_structures(self, data: bytes) -> list[tuple[bytes, int]] | None:
        return [(data, 0)]


FORMAT = Tiff()


def first_page(data: bytes) -> Page | None:
    """The first page as its directory describes it; None where that cannot be read."""
    structure = directories.structure(data)
    if structure is None or not structure.holds(structure.first()):
        return None
    found: dict[str, int] = {}
    icc = b""
    for entry in islice(structure.entries(structure.first()), ENTRIES_MOST):
        if entry.kind not in _WHOLE_NUMBERS:
            continue
        if entry.tag in TAGS and entry.values:
            number = structure.number(entry)
            if number is None:
                return None
            found[TAGS[entry.tag]] = number
        elif entry.tag == ICC:
            icc = data[entry.at : entry.at + entry.size]
    return Page(**found, icc=icc)


def _is_opencvs(page: Page) -> bool:
    """Whether Pillow has no mode for the samples of this page. Raises SourceError where nobody here shows it right."""
    if page.bits >= 16 and page.planar == SEPARATE and page.samples > 1:
        if page.compression == PLAIN or page.bits > 16:  # compressed ones are libtiff's, and right
            raise _unsupported(page)
        return False
    if page.sample_format == FLOAT:
        return page.samples > 1 or page.bits != 32
    return page.bits == 32 or page.sample_format == SINT or (page.bits == 16 and page.samples == 2)


def _pixels(data: bytes, page: Page) -> Image.Image:
    """A page of floats, 32 bit or signed integers. Raises SourceError where OpenCV cannot read it either."""
    from hotfolder.imaging.colour import deep, profiles

    array = deep.by_opencv(data)
    if array is None:
        raise _unsupported(page)
    if page.sample_format == UINT:
        return deep.integers(array, linear=profiles.linear_space(page.icc) is not None)
    return deep.floats(array, page.icc)


def _loaded(image: Image.Image, page: Page) -> Image.Image:
    """A page whose compression the library may not know; it does not say so."""
    try:
        image.load()
    except OSError as error:
        raise _unsupported(page, Tiff.distribution) from error
    return image


def _unsupported(page: Page, decoder: str = DEEP) -> SourceError:
    return SourceError(Reason.UNSUPPORTED, f"it is {page}, which hotfolder does not read", decoder=version(decoder))
