"""Pictures that are planes (Y, Cb, Cr) up to their encoding as JPEG, by the optional accelerator in native/.

JPEGs are decoded as planes; simple PNGs, TIFFs and WebPs are read so; `draw` makes planes of what Pillow has decoded.
Where the core was not built, or declines a source as unusual or damaged, Pillow serves: the same sizes, the same
quality, and the one place that reports what is wrong with a picture.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast, final

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging.formats.values import UPRIGHT, Lines, Unusual
from hotfolder.imaging.plan import Box, Size

if TYPE_CHECKING:
    from types import ModuleType

    from PIL import Image

    from hotfolder.imaging._planes import Planes
    from hotfolder.imaging.decoding.decode import Opened

SAMPLINGS = {(1, 1), (2, 1), (1, 2), (2, 2)}
"""Of brightness, in what the core decodes; that of colour is 1×1."""
OPAQUE = 255
OF_THEIR_OWN = -1
"""In place of a filter: each line says which it has."""
Tables = Sequence[Sequence[int]]
"""Quantization steps of brightness and of colour, each 64, row by row."""

core: ModuleType | None
try:
    from hotfolder.imaging import _planes as core
except ImportError:  # no compiler, or no headers of libjpeg, when hotfolder was installed
    core = None


ENDED = "it takes too long, and was ended"
T = TypeVar("T")


@final
class Stop:
    """Ends the core's work that a thread does within `guarding`: a few rows after `cancel`, or that many seconds after
    this was made.
    """

    def __init__(self, seconds: float = math.inf) -> None:
        self._flag = bytearray(1)
        self._deadline = time.monotonic() + seconds

    def cancel(self) -> None:
        """From any thread; for good."""
        self._flag[0] = 1

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Within it the core's work raises SourceError(TIMEOUT) when it is told to end, and so does `look`. What
        another library does in one call is not ended."""
        before = _guard.set(self)
        try:
            yield
        finally:
            _guard.reset(before)

    def asks(self) -> tuple[bytearray, float]:
        """What the core wants to be told: the byte to look at, and the seconds that are left."""
        return self._flag, self._deadline - time.monotonic()

    @property
    def is_over(self) -> bool:
        flag, left = self.asks()
        return bool(flag[0]) or left <= 0


_guard: ContextVar[Stop | None] = ContextVar("guard", default=None)


def look() -> None:
    """Raises SourceError(TIMEOUT) where the guard of this thread says that it is over: asked between two calls of
    libraries that cannot be ended."""
    stop = _guard.get()
    if stop is not None and stop.is_over:
        raise SourceError(Reason.TIMEOUT, ENDED)


def _ask(work: Callable[..., T], *arguments: object) -> T:
    """One call of the core, with all its `arguments`, under the guard of this thread."""
    stop = _guard.get()
    if core is None or stop is None:
        return work(*arguments)
    try:
        return work(*arguments, *stop.asks())
    except (core.Cancelled, TimeoutError) as error:
        raise SourceError(Reason.TIMEOUT, ENDED, decoder=library()) from error


@final
@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as planes. What was decoded may still lie on its side; what was scaled is upright."""

    planes: Planes
    orientation: int = UPRIGHT

    @property
    def size(self) -> Size:
        """Upright, in pixels of the source, also where it was decoded at a smaller scale."""
        wide, high = self.planes.size
        return (high, wide) if self.orientation >= 5 else (wide, high)

    def scaled(self, size: Size, box: Box | None = None, *, halved: bool = True) -> Picture:
        """The box (all of it) at this size, by Lanczos, upright, its colour at half size; only such a picture has a
        `jpeg`. Not halved: one that has an `image`.
        """
        whole = (0.0, 0.0, float(self.size[0]), float(self.size[1]))
        return Picture(_ask(self.planes.resized, size, box or whole, self.orientation, halved, False))

    def averaged(self, size: Size) -> Picture:
        """All of it at this size, no larger, by averages: a quarter of the work of Lanczos. It has an `image`."""
        whole = (0.0, 0.0, float(self.size[0]), float(self.size[1]))
        return Picture(_ask(self.planes.resized, size, whole, self.orientation, False, True))

    def jpeg(
        self, quality: int, *, progressive: bool = True, small: bool = False, tables: Tables | None = None
    ) -> bytes:
        """The picture as a JPEG without metadata, 4:2:0, `quality` as libjpeg's, or by quantization `tables`.

        Progressive: in fewer scans than libjpeg's own; `small` saves 1 % of the bytes for a tenth more time.
        """
        assert core is not None
        scans: int = core.BASELINE if not progressive else core.SMALL if small else core.FAST
        return _ask(self.planes.jpeg, quality, scans, b"".join(map(bytes, tables)) if tables is not None else None)

    def after(self, tables: Tables) -> Image.Image:
        """What is left of the picture after it was a JPEG with these tables; its colour enlarged as in `image`."""
        assert core is not None
        decoded = Picture(_ask(core.decode, self.jpeg(0, progressive=False, tables=tables), *self.size, 1))
        return decoded.scaled(self.size, halved=False).image()

    def grey(self) -> Image.Image:
        """Its brightness, upright, of the size it was decoded in."""
        from hotfolder.imaging.decoding.decode import upright  # late: every start asks for `Stop` and `library` here

        return upright(self._plane(0), self.orientation)

    @property
    def mode(self) -> str:
        """Of its `image`."""
        return "L" if self.planes.count == 1 else "RGB"

    def image(self) -> Image.Image:
        """In RGB (grey: L); of a picture scaled with its colour in full."""
        if self.mode == "L":
            return self.grey()
        from PIL import Image

        return Image.merge("YCbCr", [self._plane(number) for number in range(3)]).convert("RGB")

    def _plane(self, number: int) -> Image.Image:
        from PIL import Image

        size, samples = _ask(self.planes.plane, number)
        return Image.frombytes("L", size, samples)


def read(opened: Opened, scale: int) -> Picture | None:
    """The picture of a format that hands its lines or planes over, at 1/scale by averages; None where Pillow must
    serve. Raises MemoryError, and SourceError where a Stop ends it."""
    if core is None or opened.pixels is not None:
        return None
    samples = opened.kind.samples(opened.data, opened.image.size, scale, look)
    if samples is not None:
        how = (samples.size, samples.strides, samples.scale, samples.is_video)
        planes = _ask(core.gather, *opened.image.size, *samples.planes, *how)
        return Picture(planes, opened.orientation)
    lines = opened.kind.lines(opened.data)
    if lines is None:
        return None
    try:
        return Picture(_from_lines(lines, opened.image.size, scale), opened.orientation)
    except (core.Declined, Unusual):
        return None


def _from_lines(lines: Lines, size: Size, scale: int) -> Planes:
    assert core is not None
    filters = OF_THEIR_OWN if lines.filter is None else lines.filter
    reader = core.lines(*size, lines.channels, scale, lines.palette or None, filters)
    left = size[0] * size[1] * lines.channels
    for piece in lines.pieces:
        unpacked = _ask(core.unpack, piece, min(left, lines.packed)) if lines.packed else piece
        _ask(reader.add, unpacked)
        left -= len(unpacked)
    return cast("Planes", reader.planes())


def draw(image: Image.Image, scale: int = 1) -> Picture | None:
    """The planes of an upright picture, at 1/scale by averages; None where the core is not there, or its samples are
    others than grey and opaque colour of 8 bits. Raises MemoryError, and SourceError where a Stop ends it."""
    if core is None or not _is_drawn(image):
        return None
    pixels = image.tobytes() if image.mode == "L" else image.__arrow_c_array__()[1]
    return Picture(_ask(core.draw, pixels, *image.size, scale))


def _is_drawn(image: Image.Image) -> bool:
    if image.mode == "RGBA":  # as programs write it for screens, whether or not something is transparent
        return image.getchannel("A").getextrema()[0] == OPAQUE
    return image.mode in ("L", "RGB")


def library() -> str:
    """Name and version of what decodes and encodes here; empty where the accelerator is not there."""
    return str(core.library) if core is not None else ""


def serves(opened: Opened) -> bool:
    """Whether the core decodes it, unless it is damaged: told from its header."""
    if core is None or not _may_serve(opened) or opened.lenient:
        return False
    if opened.image.info.get("adobe_transform") == 0:
        return False
    if opened.data.rfind(b"\xff\xd9") < len(opened.data) // 2:  # it ends too early
        return False
    (_, *first, _), *others = getattr(opened.image, "layer", ()) or [(0, 0, 0, 0)]
    return tuple(first) in SAMPLINGS and all((layer[1], layer[2]) == (1, 1) for layer in others)


def _may_serve(opened: Opened) -> bool:
    return opened.kind.in_planes and opened.pixels is None and opened.image.mode in ("L", "RGB")


def decode(opened: Opened, scale: int) -> Picture | None:
    """The JPEG at 1/scale; None where Pillow must serve. Raises MemoryError, and SourceError where a Stop ends it."""
    if core is None or not _may_serve(opened):
        return None
    try:
        return Picture(_ask(core.decode, opened.data, *opened.image.size, scale), opened.orientation)
    except core.Declined:
        return None
