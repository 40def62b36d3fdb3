"""What is known of one kind of image file: how it is told, read with bounds, and written.

A format is one subclass in a file of its own, and an entry in the registry (`hotfolder.imaging.formats`); everything
else asks. Nothing here imports an image library: names, types and extensions are asked for at every start.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging.formats.values import Carried, Density, Dial, Extra, GainMap, Lines, Memory, Samples, Settings

if TYPE_CHECKING:
    from PIL import Image

    from hotfolder.imaging.colour.signals import Cicp
    from hotfolder.imaging.formats.opening import Found

METADATA_MOST = 16_000_000
"""Bytes of EXIF, XMP, ICC, comments … together: cameras write up to some MB; decoders copy them several times, and join
those of some formats in quadratic time."""
PIECES_MOST = 20_000
"""Segments, chunks or tags that are no picture; a file has some dozens."""
DEEP = "opencv-python-headless"
"""What decodes pictures of more bits than the image library has, of whatever format."""
LENIENT = " lenient"
"""Added to the decoder of a failure where it was asked to show what there is, and could not."""


class Format:
    """One kind of image file. A subclass states what differs from what stands here."""

    name: str
    """The key in the index, in the configuration and in the API."""
    marks: tuple[bytes, ...] = ()
    """How its files begin."""
    brands: tuple[bytes, ...] = ()
    """The kinds of ISO base media files that it is."""
    extensions: tuple[str, ...] = ()
    """Lower case, without a dot, of names under which it is expected; the first is given to new names."""
    also_named: tuple[str, ...] = ()
    """Extensions of another format under which it is no surprise."""
    media_type: str = "application/octet-stream"
    plugins: tuple[str, ...] = ()
    """Pillow's decoders that may be asked: none that runs a program or opens another file."""
    distribution: str = "pillow"
    """What is installed to decode it; its version is kept with a failure."""
    extra: Extra | None = None
    is_risky: bool = False
    """Whether its decoders hang or crash in the field: it is then decoded in a helper process."""
    is_photo: bool = False
    """Whether cameras and phones write it."""
    in_planes: bool = False
    """Whether the compiled core decodes and writes it as planes."""
    is_scaled: bool = False
    """Whether its decoder can make it smaller on the way, by 2, 4 and 8."""
    is_developed: bool = False
    """Whether its pixels may have to be made of what a sensor saw: some copies in floating point."""
    is_shown_partly: bool = True
    """Whether a damaged one can be shown as far as it goes."""
    may_move: bool = True
    """Whether more frames than one mean an animation."""
    memory: Memory = Memory()

    is_written: bool = False
    """Whether renditions can have it; `write` makes them."""
    longest_side: int = 2**31 - 1
    """Pixels of the largest width or height that it can carry."""
    exif_most: int = METADATA_MOST
    """Bytes of an EXIF block that it can carry."""
    xmp_most: int = METADATA_MOST
    has_alpha: bool = True
    has_inks: bool = False
    """Whether it carries CMYK."""
    loses_nothing: bool = False
    """Whether it is always written without loss."""
    is_rewritten: bool = False
    """Whether its metadata can be exchanged without touching its picture."""
    is_overwritten: bool = False
    """Whether they are then exchanged where they lie, in as many bytes; its orientation does not stand in them."""
    has_gain_map: bool = False
    """Whether a gain map can lie behind its picture."""
    dial: Dial | None = None
    """What mode `auto` searches; None where there is nothing to search."""
    mark: bytes = b""
    """Ends a copy of mode `auto` and `lossy`, so that it is known again: decoders pass over it, and it says nothing of
    the source."""

    # -- telling it ----------------------------------------------------------------------------------------------------

    def recognises(self, data: bytes, extension: bytes) -> bool:
        """Whether these are bytes of this format, by their beginning; the extension (with its dot, lower case) counts
        only where a format has no mark of its own."""
        return bool(self.marks) and data.startswith(self.marks)

    def cut_short(self, data: bytes) -> bool:
        """Whether the file shows itself that its end is missing. Cheap; asked only of what a decoder refused."""
        return False

    def is_hollow(self, data: bytes) -> bool:
        """Whether it runs out into zeros before its end where no decoder would complain."""
        return False

    @property
    def suffixes(self) -> tuple[bytes, ...]:
        """The extensions as names have them, with a dot."""
        return tuple(b"." + extension.encode() for extension in self.extensions)

    @property
    def decoder(self) -> str:
        """Name and version of what decodes it, such as ``pillow 13.0.0``; kept with a failure."""
        return version(self.distribution)

    @property
    def is_installed(self) -> bool:
        """Whether the extra that it needs is there; most need none."""
        return self.extra is None or _is_installed(self.extra.module)

    # -- before any decoder sees it ------------------------------------------------------------------------------------

    def claimed(self, data: bytes) -> Iterable[tuple[int, int]]:
        """Sizes that must be known before a decoder opens the file, since there opening decodes or takes the whole
        canvas."""
        return ()

    def pieces(self, data: bytes) -> Iterator[int]:
        """The bytes of each part that is no picture and that decoders read."""
        return iter(())

    def inspect(self, data: bytes) -> None:
        """Raises SourceError for what no decoder should see: far more metadata than any camera or editor writes, and
        kinds of the format that nobody here shows."""
        check_pieces(self.pieces(data), self.decoder)

    def keeps_coefficients(self, data: bytes) -> bool:
        """Whether the decoder keeps all of it at full size, at whatever scale it is decoded."""
        return False

    # -- reading -------------------------------------------------------------------------------------------------------

    def open(self, data: bytes) -> Found:
        """The header, and who decodes the pixels. Raises SourceError, and whatever decoders raise."""
        from hotfolder.imaging.formats import opening  # with the image library

        return opening.by_pillow(self, data)

    def is_upright(self, image: Image.Image) -> bool:
        """Whether the decoder applies the orientation to the pixels, and to the size that it reports."""
        return False

    def late_exif(self, data: bytes) -> bytes:
        """EXIF that the decoder finds only when it has decoded the picture."""
        return b""

    def cicp(self, data: bytes) -> Cicp | None:
        """The colours that it declares by code points; None where it declares nothing, or what cannot be read."""
        return None

    def is_deep(self, data: bytes) -> bool:
        """Whether it has more bits a channel than the image library hands out."""
        return False

    def loses_bits(self, data: bytes) -> bool:
        """Whether it would have fewer bits a channel if it were written anew, in a format that loses nothing."""
        return False

    def codes(self, data: bytes) -> Any:
        """The samples of an HDR picture as an array of 16 bits at full scale; None where there are eight."""
        from hotfolder.imaging.colour import deep

        return deep.by_opencv(data)

    def lines(self, data: bytes) -> Lines | None:
        """Its pixels for the compiled core, which takes a third of the time; None where others decode it."""
        return None

    def samples(self, data: bytes, size: tuple[int, int], scale: int, look: Callable[[], None]) -> Samples | None:
        """Its planes for the compiled core, of the size that it has, at 1/scale; None where others decode it, or judge
        what is wrong. Now and then it asks `look`, which raises where there is no time left."""
        return None

    def exif_structures(self, data: bytes) -> list[tuple[bytes, int]] | None:
        """Bytes and places in them where the TIFF structures of its EXIF begin; None: where the decoder reports."""
        return None

    def density(self, data: bytes) -> Density | None:
        """What it states of the size in print outside of EXIF."""
        return None

    def behind(self, data: bytes) -> bytes | memoryview:
        """What lies behind the picture, and is no part of it: a second image, a video."""
        return b""

    def announces_gain_map(self, data: bytes) -> bool:
        """Whether its picture says that it has one."""
        return False

    def gain_map(self, data: bytes) -> GainMap | None:
        """The one that its picture says that it has; None where there is none that says what its numbers mean."""
        return None

    # -- writing -------------------------------------------------------------------------------------------------------

    def write(self, image: Image.Image, file: BinaryIO, settings: Settings, carried: Carried) -> None:
        """Writes the picture into an empty file. Only the metadata given here are written. Raises OSError."""
        raise NotImplementedError

    def dressed(self, encoded: memoryview, carried: Carried) -> Iterator[bytes | memoryview]:
        """What the compiled core has encoded, part by part, with metadata."""
        raise NotImplementedError

    def finish(self, file: BinaryIO, carried: Carried) -> None:
        """Adds to a written file what depends on where its parts lie. Raises OSError."""

    def rewrite(self, data: bytes, carried: Carried) -> bytes:
        """The same picture, bit for bit, with these metadata in place of its own. Raises ValueError, IndexError or
        struct.error where that cannot be done."""
        raise NotImplementedError

    def smaller(self, data: bytes, pixels: int) -> bytes:
        """The same pixels in other bytes, which may be fewer; the same bytes where that cannot be. Raises ImportError
        without the extra `optimize`."""
        return data

    def marked(self, file: BinaryIO, size: int) -> int:
        """Writes the mark behind a file of that size; returns the new size."""
        file.seek(size)
        file.write(self.mark)
        return size + len(self.mark)

    def is_ours(self, data: bytes, image: Image.Image) -> bool:
        """Whether this is a copy made here, put into a watch again."""
        return bool(self.mark) and data.endswith(self.mark)


def check_pieces(pieces: Iterable[int], decoder: str) -> None:
    """Raises SourceError where the parts are too many, or too much together."""
    total = 0
    for count, length in enumerate(pieces, 1):
        total += length
        if total > METADATA_MOST:
            message = f"its metadata has more than {METADATA_MOST // 1_000_000} MB, the most that is read"
            raise SourceError(Reason.TOO_MANY_BYTES, message, decoder=decoder)
        if count > PIECES_MOST:
            message = f"its metadata has more than {PIECES_MOST} parts"
            raise SourceError(Reason.TOO_MANY_BYTES, message, decoder=decoder)


@cache
def version(distribution: str) -> str:
    """Name and version of what is installed."""
    import importlib.metadata  # here, since it costs every start 15 ms

    return f"{distribution} {importlib.metadata.version(distribution)}"


@cache
def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
