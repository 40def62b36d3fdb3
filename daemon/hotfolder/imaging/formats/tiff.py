"""TIFF and BigTIFF, of which one page counts. Its directory decides which decoder shows it right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging.containers import directories
from hotfolder.imaging.formats import pages
from hotfolder.imaging.formats.format import DEEP, Format, version
from hotfolder.imaging.formats.pages import Page
from hotfolder.imaging.formats.values import UPRIGHT, Lines, Memory

if TYPE_CHECKING:
    from PIL import Image

    from hotfolder.imaging.formats.opening import Found

PICTURE = frozenset({273, 279, 324, 325, 288, 289})
"""Tags that say where the picture's own data lie: as many values as it has strips or tiles."""


class Tiff(Format):
    """What scanners and editors write; by OpenCV where Pillow has no mode for its samples."""

    name = "tiff"
    marks = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
    extensions = ("tif", "tiff")
    media_type = "image/tiff"
    plugins = ("TIFF",)
    memory = Memory(decoding=5)

    def pieces(self, data: bytes) -> Iterator[int]:
        """The values of the tags of the first page and of that which is shown, and of the EXIF and GPS tags that they
        point to. Those that lie behind the file are passed over by the decoder."""
        structure = directories.structure(data)
        if structure is None:
            return
        for offset in {structure.first(), pages.shown(structure)}:
            for entry in structure.tree(offset):
                if entry.tag not in PICTURE and entry.at + entry.size <= len(data):
                    yield entry.size

    def open(self, data: bytes) -> Found:
        from PIL import ImageChops

        from hotfolder.imaging.colour import deep
        from hotfolder.imaging.formats import opening

        data = pages.by_itself(data)
        page = pages.first_page(data)
        if page is None:
            raise OSError("its directory cannot be read")
        if _is_ours(page):
            return self._by_samples(data, page)
        if _is_opencvs(page):
            profile = page.icc if page.sample_format != pages.SINT else b""
            return _found(page, deep.encoded_profile(profile), lambda: _pixels(data, page), version(DEEP))
        try:
            image = opening.opened(data, self.plugins)
        except OSError as error:
            if pages.is_readable(page):
                return self._by_samples(data, page)
            if page.width and page.height and not self.cut_short(data):
                raise _unsupported(page) from error
            raise
        found = opening.with_colour(self, data, image, UPRIGHT)
        if page.compression == pages.WEBP:
            return replace(found, pixels=lambda: _loaded(image, page))
        if found.pixels is None and image.mode.startswith("I;16") and page.photometric == pages.WHITE_IS_ZERO:
            return replace(found, pixels=lambda: ImageChops.invert(deep.sixteen(image)))
        return found

    def _by_samples(self, data: bytes, page: Page) -> Found:
        """A page of whole numbers that Pillow has no mode for."""
        from hotfolder.imaging.colour import deep, profiles
        from hotfolder.imaging.formats import opening

        if page.photometric in (pages.LAB, pages.ICC_LAB):
            return _found(page, b"", lambda: deep.from_lab(self.codes(data), signed=page.photometric == pages.LAB))
        if page.photometric == pages.INKS:
            profile = page.icc if page.alpha is None else b""
            return _found(page, profile, lambda: deep.from_inks(self.codes(data), page.icc))
        linear = page.bits > 8 and profiles.linear_space(page.icc) is not None
        profile = deep.encoded_profile(page.icc) if linear else page.icc
        profile = profile if page.alpha is None else opening.in_colour(profile)
        return _found(page, profile, lambda: deep.integers(self.codes(data), linear=linear))

    def is_deep(self, data: bytes) -> bool:
        page = pages.first_page(data)
        return page is not None and page.bits == 16 and page.photometric <= pages.RGB and pages.is_readable(page)

    def codes(self, data: bytes) -> Any:
        """Colours, and alpha where there is one that counts; white has the greatest number."""
        import numpy as np

        from hotfolder.imaging.colour import deep
        from hotfolder.imaging.formats import samples

        structure, page = directories.structure(data), pages.first_page(data)
        assert structure is not None and page is not None
        found = samples.read(structure, structure.first(), page, self.plugins)
        colours, alpha = found[..., : page.colours], page.alpha
        if page.photometric == pages.WHITE_IS_ZERO:
            colours = np.iinfo(found.dtype).max - colours
        if alpha is None:
            return colours
        at = page.colours + alpha
        joined = np.concatenate([colours, found[..., at : at + 1]], axis=-1)
        return deep.straight(joined) if page.extra[alpha : alpha + 1] == (pages.MULTIPLIED,) else joined

    def lines(self, data: bytes) -> Lines | None:
        """Grey and RGB of 8 bits in strips."""
        from hotfolder.imaging.formats import strips

        return strips.lines(data)

    def exif_structures(self, data: bytes) -> list[tuple[bytes, int]] | None:
        return [(data, 0)]


FORMAT = Tiff()


def _is_ours(page: Page) -> bool:
    """Whether Pillow would show less of this page than there is, or another picture, or fail when it decodes it."""
    apart = page.planar == pages.SEPARATE and page.compression == pages.PLAIN
    if page.colours == 1 and page.samples > 1:
        odd = page.bits == 16 or page.planar == pages.SEPARATE or page.extra[:1] == (pages.MULTIPLIED,)
    else:
        odd = apart and (page.bits == 16 or page.samples == 1)
    return pages.is_readable(page) and (odd or page.photometric in (pages.LAB, pages.ICC_LAB))


def _found(page: Page, profile: bytes, pixels: Callable[[], Image.Image], decoder: str = "") -> Found:
    from PIL import Image

    from hotfolder.imaging.formats import opening

    image = Image.new("RGB", (1, 1))
    if profile:
        image.info["icc_profile"] = profile
    orientation = page.orientation if 1 <= page.orientation <= 8 else UPRIGHT
    return opening.Found(image, (page.width, page.height), orientation, pixels, decoder)


def _is_opencvs(page: Page) -> bool:
    """Whether Pillow has no mode for the samples of this page. Raises SourceError where nobody here shows it right."""
    if page.bits >= 16 and page.planar == pages.SEPARATE and page.samples > 1:
        if page.compression == pages.PLAIN or page.bits > 16:  # compressed ones are libtiff's, and right
            raise _unsupported(page)
        return False
    if page.sample_format == pages.FLOAT:
        return page.samples > 1 or page.bits != 32
    return page.bits == 32 or page.sample_format == pages.SINT


def _pixels(data: bytes, page: Page) -> Image.Image:
    """A page of floats, 32 bit or signed integers. Raises SourceError where OpenCV cannot read it either."""
    from hotfolder.imaging.colour import deep, profiles

    array = deep.by_opencv(data)
    if array is None:
        raise _unsupported(page)
    if page.sample_format == pages.UINT:
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
