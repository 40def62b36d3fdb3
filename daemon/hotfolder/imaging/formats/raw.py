"""Camera RAW (extra `raw`, LibRaw): the embedded preview where it is large enough, otherwise the developed picture.

Opening reads headers alone; developing, which takes memory and seconds, waits until the picture is decoded.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

ORIENTATION = 0x0112
ENOUGH = 0.5
"""A preview is taken with at least this share of the sensor's longer side."""
_TURNED = (1, 2, 4, 3, 5, 8, 6, 7)
"""LibRaw's `flip` as an EXIF orientation; its third bit exchanges width and height."""
_QUARTER = 4


@dataclass(frozen=True, slots=True)
class Shot:
    """What a RAW file offers: its preview (not decoded yet) with the orientation that this needs, or the size that
    developing will give, upright."""

    preview: Image.Image | None
    orientation: int
    size: tuple[int, int]


def look(data: bytes) -> Shot:
    """Raises whatever LibRaw or Pillow raise on files that they cannot read."""
    import rawpy

    with rawpy.imread(io.BytesIO(data)) as raw:
        sizes = raw.sizes
        wide, high, flip = sizes.width, sizes.height, sizes.flip & 7
        upright = (high, wide) if flip & _QUARTER else (wide, high)
        try:
            thumb = raw.extract_thumb()
        except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
            thumb = None
        if thumb is not None and thumb.format == rawpy.ThumbFormat.JPEG:
            preview = _opened(bytes(thumb.data))
            if preview is not None and max(preview.size) >= ENOUGH * max(wide, high):
                return Shot(preview, preview_orientation(preview, upright, flip), upright)
        return Shot(None, 1, upright)


def preview_orientation(preview: Image.Image, upright: tuple[int, int], flip: int) -> int:
    """How a preview must be turned. Most lie as the sensor does, with or without a tag of their own; some are upright
    already. A quarter turn is told by the shape; otherwise the preview's own tag counts, then that of the RAW.
    """
    own = preview.getexif().get(ORIENTATION)
    turn = own if isinstance(own, int) and 1 <= own <= 8 else _TURNED[flip]
    if not flip & _QUARTER or upright[0] == upright[1]:
        return turn
    already = (preview.width > preview.height) == (upright[0] > upright[1])
    if already:
        return turn if turn < 5 and isinstance(own, int) else 1
    return turn if turn >= 5 else _TURNED[flip]


def develop(data: bytes) -> Image.Image:
    """The whole sensor as an upright sRGB picture, with the white balance of the camera."""
    import rawpy

    with rawpy.imread(io.BytesIO(data)) as raw:
        return Image.fromarray(raw.postprocess(use_camera_wb=True, output_color=rawpy.ColorSpace.sRGB))


def _opened(jpeg: bytes) -> Image.Image | None:
    try:
        return Image.open(io.BytesIO(jpeg), formats=("JPEG",))
    except OSError:
        return None
