"""The lines of simple TIFFs (TIFF 6.0) for the compiled core: strips of whole bytes, unpacked one by one.

Nothing is judged here: what is not as it should be raises Unusual, or gives None, and then Pillow says what it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from hotfolder.imaging.containers import directories
from hotfolder.imaging.formats import pages, unpacking
from hotfolder.imaging.formats.pages import Page
from hotfolder.imaging.formats.values import Lines, Unusual

OFFSETS, LENGTHS, ROWS, PREDICTOR, FILL_ORDER, TILE_WIDTH = 273, 279, 278, 317, 266, 322
LZW, DEFLATE = 5, (8, 32946)
NONE, DIFFERENCES = 1, 2
"""Values of the predictor."""
CLEARED = 0x80
"""How LZW begins, but that of the oldest programs, whose bits stand the other way round."""
GREY = 1


def lines(data: bytes) -> Lines | None:
    """Those of the page that counts; None where it is no simple one."""
    data = pages.by_itself(data)
    structure, page = directories.structure(data), pages.first_page(data)
    if structure is None or page is None or not _is_simple(page):
        return None
    tags = {each.tag: structure.numbers(each) for each in structure.entries(structure.first()) if each.tag in _READ}
    offsets, lengths = tags.get(OFFSETS, ()), tags.get(LENGTHS, ())
    (predictor, *_), (order, *_) = tags.get(PREDICTOR) or (NONE,), tags.get(FILL_ORDER) or (1,)
    rows = min((tags.get(ROWS) or (page.height,))[0], page.height)
    if TILE_WIDTH in tags or order != 1 or predictor not in (NONE, DIFFERENCES) or rows < 1:
        return None
    if not (len(offsets) == len(lengths) == -(-page.height // rows)):
        return None
    if page.compression == pages.PLAIN and predictor != NONE:
        return None
    strips = [memoryview(data)[at : at + length] for at, length in zip(offsets, lengths, strict=True)]
    if any(len(strip) != length for strip, length in zip(strips, lengths, strict=True)):
        return None
    size = rows * page.width * page.samples
    if page.compression == LZW and not all(strip[:1] == bytes([CLEARED]) for strip in strips):
        return None
    pieces = _pieces(strips, page, size)
    return Lines(page.samples, b"", pieces, int(predictor == DIFFERENCES), size if page.compression == LZW else 0)


_READ = frozenset({OFFSETS, LENGTHS, ROWS, PREDICTOR, FILL_ORDER, TILE_WIDTH})


def _is_simple(page: Page) -> bool:
    samples = {GREY: 1, pages.RGB: 3}.get(page.photometric)
    packed = page.compression in (pages.PLAIN, LZW, *DEFLATE)
    whole = page.bits == 8 and page.sample_format == pages.UINT and page.planar != pages.SEPARATE
    return page.samples == samples and packed and whole and page.orientation in (0, 1) and page.width > 0 < page.height


def _pieces(strips: list[memoryview], page: Page, size: int) -> Iterator[bytes | memoryview]:
    left = page.height * page.width * page.samples
    for strip in strips:
        if page.compression in DEFLATE:
            yield from unpacking.unpacked([strip], min(left, size))
        elif page.compression == pages.PLAIN and len(strip) != min(left, size):
            raise Unusual("a strip of another length")
        else:
            yield strip
        left -= min(left, size)
