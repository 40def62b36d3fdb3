"""From bytes to pixels: the header first, then as little of the picture as the plan needs, upright.

Nothing is decoded before its size has been checked; of an animation only the first frame is.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from PIL import Image, ImageFile

from hotfolder.errors import MissingExtra, Reason, SourceError
from hotfolder.imaging import formats
from hotfolder.imaging.colour import deep
from hotfolder.imaging.decoding.guard import guarded
from hotfolder.imaging.formats import Format
from hotfolder.imaging.formats.values import NO_END
from hotfolder.imaging.plan import Plan

# Our own check comes before anything is decoded, names the limit and can be configured; Pillow's would warn first.
Image.MAX_IMAGE_PIXELS = None
# The pixels of a picture lie in one piece of memory, which the core reads where it is.
Image.core.set_use_block_allocator(1)  # type: ignore[attr-defined]


class _Lenient:
    """Pillow reads one flag of the whole process whether a picture that ends too early may pass; ours answers for the
    thread that asks, so that one picture is shown as far as it goes while the others are judged strictly."""

    def __init__(self) -> None:
        self._threads = threading.local()

    def __bool__(self) -> bool:
        return bool(getattr(self._threads, "on", False))

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """In this thread, within the block."""
        self._threads.on = True
        try:
            yield
        finally:
            self._threads.on = False


_lenient = _Lenient()
ImageFile.LOAD_TRUNCATED_IMAGES = cast("bool", _lenient)


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused before decoding."""

    max_pixels: int = 250_000_000
    max_bytes: int = 1_000_000_000
    lenient: bool = False
    """Whether a truncated or damaged picture is shown as far as it can be decoded, instead of being refused."""


@dataclass(slots=True)
class Opened:
    """A picture whose header has been read. Width and height are upright; rendering uses it up."""

    format: str
    width: int
    height: int
    decoder: str
    data: bytes
    image: Image.Image
    orientation: int
    animated: bool
    lenient: bool = False
    partial: bool = False
    """It ended too early or is damaged, and what could be decoded of it is shown."""
    pixels: Callable[[], Image.Image] | None = None
    """Decodes the picture where `image` itself does not."""
    notes: tuple[str, ...] = ()
    """What its owner may want to know: ``misnamed``, ``no_end``."""

    @property
    def kind(self) -> Format:
        """What is known of its format."""
        return formats.of(self.format)

    @property
    def size(self) -> tuple[int, int]:
        return (self.width, self.height)


def open_image(data: bytes, limits: Limits, name: bytes = b"") -> Opened:
    """Read the header. Raises SourceError or MissingExtra."""
    if len(data) > limits.max_bytes:
        raise SourceError(Reason.TOO_MANY_BYTES, f"it has {len(data)} bytes; limits.max_bytes is {limits.max_bytes}")
    kind = formats.detect(data, name)
    if not kind.is_installed:
        assert kind.extra is not None
        raise MissingExtra(kind.extra.name, kind.name.upper())
    decoder = kind.decoder
    with guarded(decoder + formats.LENIENT * limits.lenient, data, kind):
        for wide, high in kind.claimed(data):
            _check_pixels(wide, high, limits, decoder)
        kind.inspect(data)
        found = kind.open(data)
        wide, high = found.size
        _check_pixels(wide, high, limits, found.decoder or decoder)
        if wide < 1 or high < 1:
            raise SourceError(Reason.DAMAGED, f"its header claims {wide}×{high} pixels", decoder=decoder)
        animated = kind.may_move and bool(getattr(found.image, "is_animated", False))
    if found.orientation >= 5:
        wide, high = high, wide
    return Opened(
        kind.name,
        wide,
        high,
        found.decoder or decoder,
        data,
        found.image,
        found.orientation,
        animated,
        limits.lenient,
        pixels=found.pixels,
        notes=(*found.notes, *(("misnamed",) if formats.is_misnamed(kind, name) else ())),
    )


def stated_size(file: BinaryIO) -> tuple[int, int] | None:
    """Width and height in the header of a rendition; None where it is none."""
    try:
        with Image.open(file, formats=formats.pillow_plugins()) as image:
            return image.size
    except (OSError, ValueError, SyntaxError):
        return None


def _check_pixels(wide: int, high: int, limits: Limits, decoder: str) -> None:
    if wide * high > limits.max_pixels:
        message = f"it has {wide}×{high} = {wide * high} pixels, more than limits.max_pixels = {limits.max_pixels}"
        raise SourceError(Reason.TOO_MANY_PIXELS, message, decoder=decoder)


def decode(opened: Opened, plan: Plan) -> Image.Image:
    """The upright picture at the plan's scale, in mode L, RGB, RGBA or CMYK. Raises SourceError.

    Where the limits are lenient and it is damaged, as much of it as there is; `opened.partial` is set.
    """
    try:
        return _decoded(opened, plan)
    except SourceError as error:
        if not opened.lenient or error.reason not in (Reason.TRUNCATED, Reason.DAMAGED):
            raise
        if not opened.kind.is_shown_partly:
            raise SourceError(error.reason, error.message, decoder=opened.decoder + formats.LENIENT) from error
    opened.partial = True
    opened.notes = tuple(note for note in opened.notes if note != NO_END)  # more than that is missing
    try:
        with _lenient.here(), guarded(opened.decoder):
            found = opened.kind.open(opened.data)
            opened.image, opened.pixels = found.image, found.pixels
            return _decoded(opened, plan)
    except SourceError as error:
        message = "it is damaged, and too little of it is left to be shown"
        raise SourceError(Reason.DAMAGED, message, decoder=opened.decoder + formats.LENIENT) from error


def _decoded(opened: Opened, plan: Plan) -> Image.Image:
    with guarded(opened.decoder, opened.data, opened.kind):
        image = opened.image
        if opened.pixels is not None:
            return upright(_plain(opened.pixels()), opened.orientation)
        if opened.kind.is_scaled:
            scale = plan.scale(opened.size)
            if scale > 1:
                image.draft(None, (image.width // scale, image.height // scale))
        image.load()
        image = _plain(image)
        return upright(image, opened.orientation)


def _plain(image: Image.Image) -> Image.Image:
    """Eight bits a channel; more are scaled, never clipped."""
    mode = image.mode
    if mode in ("1", "L", "RGB") and "transparency" in image.info:
        return image.convert("RGBA")  # one colour stands for transparent (PNG's tRNS)
    if mode in ("L", "RGB", "RGBA", "CMYK"):
        return image
    if mode == "1":
        return image.convert("L")
    if mode in ("LA", "La", "PA", "RGBa"):
        return image.convert("RGBA")
    if mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    if mode.startswith("I;16") or mode == "I":
        return deep.sixteen(image)
    if mode == "F":
        import numpy as np

        return deep.floats(np.asarray(image), image.info.get("icc_profile", b""))
    return image.convert("RGB")


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turned and mirrored as EXIF's orientation (1–8) asks for."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
