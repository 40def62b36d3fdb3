"""From pixels to a file in JPEG, PNG, WebP or AVIF. Always into a real file: only then does Pillow give up the GIL."""

from __future__ import annotations

from typing import Any, BinaryIO

from PIL import Image

from hotfolder.presets import Format

PNG_LEVEL = 6
WEBP_METHOD = 4
JPEG_SIDE, WEBP_SIDE = 65_500, 16_383
"""The largest width or height that the formats (libjpeg, WebP) can carry."""


def encode(
    image: Image.Image, file: BinaryIO, format_name: Format, quality: int, *, progressive: bool = True,
    background: str = "#ffffff", exif: bytes = b"", icc: bytes | None = None, xmp: bytes | None = None,
    comment: bytes = b"",
) -> int:  # fmt: skip
    """Write the picture; gives the bytes written. `quality` is 1–100; PNG ignores it. Raises OSError (disk full …)."""
    # All said outright: what is left out Pillow takes from the source, comments and profiles among it.
    options: dict[str, Any] = {"icc_profile": icc or b"", "exif": exif}
    if xmp:
        options["xmp"] = xmp
    if format_name == "jpeg":
        image = flattened(image, background)
        image.save(file, "JPEG", quality=quality, progressive=progressive, optimize=True, comment=comment, **options)
    elif format_name == "png":
        options.pop("xmp", None)
        image.save(file, "PNG", compress_level=PNG_LEVEL, **options)
    elif format_name == "webp":
        _with_alpha(image).save(file, "WEBP", quality=quality, method=WEBP_METHOD, **options)
    else:
        _with_alpha(image).save(file, "AVIF", quality=quality, speed=7, max_threads=1, **options)
    file.flush()
    return file.seek(0, 2)


def flattened(image: Image.Image, background: str) -> Image.Image:
    """Without alpha, on the background; modes that JPEG can carry stay as they are."""
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    if image.mode != "RGBA":
        image = image.convert("RGBA")
    board = Image.new("RGB", image.size, background)
    board.paste(image, mask=image.getchannel("A"))
    return board


def _with_alpha(image: Image.Image) -> Image.Image:
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGBA" if "A" in image.mode else "RGB")
