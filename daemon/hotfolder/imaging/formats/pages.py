"""The pages of a TIFF as their directories describe them, and which of them counts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from hotfolder.imaging.containers import directories

TAGS = {
    254: "kind",
    255: "old_kind",
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
EXTRA = 338
SAMPLES_MOST = 8
"""Samples a pixel has; more are measurements."""
ENTRIES_MOST = 4096
"""Entries of the first page's directory that are looked at."""
UINT, SINT, FLOAT = 1, 2, 3
"""Values of `sample_format`."""
WHITE_IS_ZERO = 0
RGB = 2
INKS = 5
LAB, ICC_LAB = 8, 9
COLOURS = {WHITE_IS_ZERO: 1, 1: 1, RGB: 3, INKS: 4, LAB: 3, ICC_LAB: 3}
"""Samples a pixel has before the extra ones, by photometric interpretation."""
MULTIPLIED = 1
ALPHA = (MULTIPLIED, 2, 999)
"""Values of `extra` that mean alpha; the last is Corel's."""
REDUCED, MASK = 1, 4
"""Bits of `kind`: the page is a smaller one of another, or the mask of one."""
OLD_REDUCED = 2
SEPARATE = 2
PLAIN = 1
"""Compression: none."""
OF_WHOLE_BYTES = frozenset({PLAIN, 5, 8, 32773, 32946, 34925, 50000})
"""Compressions that pack bytes, whatever these stand for: LZW, Deflate (two numbers), PackBits, LZMA, ZSTD."""
WEBP = 50_001
"""A compression that few builds of libtiff know."""
CODINGS = {33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", WEBP: "WebP", 50002: "JPEG XL"}
"""Names of compressions that may not be read."""
_WHOLE_NUMBERS = (1, 3, 4, 7, 16)
"""Types of a tag's value that are read."""


@dataclass(frozen=True, slots=True)
class Page:
    """Pixels, bits a sample, and the tags by their values; `icc` is the embedded profile, `extra` what each sample
    beyond the colours means."""

    kind: int = 0
    old_kind: int = 0
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
    extra: tuple[int, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether it is a picture of its own."""
        return not self.kind & (REDUCED | MASK) and self.old_kind != OLD_REDUCED

    @property
    def is_apart(self) -> bool:
        """Whether it has a plane for each sample."""
        return self.planar == SEPARATE and self.samples > 1

    @property
    def colours(self) -> int:
        """How many of the samples are colours; 0 where they are of no kind known here."""
        return COLOURS.get(self.photometric, 0)

    @property
    def alpha(self) -> int | None:
        """Which of the samples beyond the colours is alpha; the only one is where nothing is said of it."""
        if not self.extra and self.samples == self.colours + 1:
            return 0
        return next((at for at, each in enumerate(self.extra) if each in ALPHA), None)

    def __str__(self) -> str:
        kind = {SINT: "signed ", FLOAT: "float "}.get(self.sample_format, "")
        layout = "planes apart" if self.planar == SEPARATE else "interleaved"
        return (
            f"a TIFF of {self.samples} × {self.bits} bits {kind}({layout}, "
            f"photometric {self.photometric}, compression {CODINGS.get(self.compression, self.compression)})"
        )


def first_page(data: bytes) -> Page | None:
    """The first page as its directory describes it; None where that cannot be read."""
    structure = directories.structure(data)
    return None if structure is None else _page(structure, structure.first())


def _page(structure: directories.Structure, offset: int) -> Page | None:
    if not structure.holds(offset):
        return None
    found: dict[str, int] = {}
    icc, extra = b"", tuple[int, ...]()
    for entry in islice(structure.entries(offset), ENTRIES_MOST):
        if entry.kind not in _WHOLE_NUMBERS:
            continue
        if entry.tag in TAGS and entry.values:
            number = structure.number(entry)
            if number is None:
                return None
            found[TAGS[entry.tag]] = number
        elif entry.tag == ICC:
            icc = structure.data[entry.at : entry.at + entry.size]
        elif entry.tag == EXTRA and entry.values <= SAMPLES_MOST:
            extra = structure.numbers(entry)
    return Page(**found, icc=icc, extra=extra)


def shown(structure: directories.Structure) -> int:
    """The offset of the page that counts: the first that is no smaller one of another, and no mask."""
    for offset in structure.pages():
        page = _page(structure, offset)
        if page is not None and page.width and page.is_whole:
            return offset
    return structure.first()


def by_itself(data: bytes) -> bytes:
    """The file as decoders take it: with the page that counts as its first. Pillow reads no big-endian BigTIFF."""
    structure = directories.structure(data)
    if structure is None:
        return data
    offset = shown(structure)
    if offset == structure.first() and not (structure.big and structure.order == ">"):
        return data
    return structure.alone(offset)


def is_readable(page: Page) -> bool:
    """Whether its samples can be read one by one, and are of a kind that is known here."""
    whole = page.bits in (8, 16) and page.sample_format == UINT and page.compression in OF_WHOLE_BYTES
    return whole and 0 < page.colours <= page.samples <= SAMPLES_MOST
