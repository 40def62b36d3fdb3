"""Images of every kind and size: ``python benchmarks/generated.py KIND FILE MEGAPIXELS [SEED]``.

Smooth shapes with noise as of a camera, so that codecs have work to do. Tests use it, too.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

KINDS = {
    "jpeg 4:2:0": "jpg",
    "jpeg 4:4:4": "jpg",
    "jpeg grey": "jpg",
    "jpeg cmyk": "jpg",
    "jpeg 4:2:0 progressive": "jpg",
    "jpeg 4:4:4 progressive": "jpg",
    "jpeg grey progressive": "jpg",
    "jpeg 4:4:4 scans": "jpg",
    "jpeg 4:4:4 kept": "jpg",
    "jpeg 4:2:0 turned": "jpg",
    "jpeg 4:2:0 progressive turned": "jpg",
    "png": "png",
    "png interlaced": "png",
    "png alpha": "png",
    "png 16 bit": "png",
    "png 16 bit interlaced": "png",
    "png 16 bit grey": "png",
    "png palette": "png",
    "webp": "webp",
    "webp alpha": "webp",
    "webp lossless": "webp",
    "avif": "avif",
    "avif 10 bit": "avif",
    "tiff": "tif",
    "tiff deflate": "tif",
    "tiff jpeg": "tif",
    "tiff 16 bit": "tif",
    "tiff float": "tif",
    "tiff cmyk": "tif",
    "tiff turned": "tif",
    "gif": "gif",
    "bmp": "bmp",
    "ppm": "ppm",
    "ppm 16 bit": "ppm",
    "tga": "tga",
    "heif": "heic",
    "heif 10 bit": "heic",
    "jxl": "jxl",
}
"""Kinds and their extensions."""
NEEDS = {"heif": "pillow_heif", "heif 10 bit": "pillow_heif", "jxl": "pillow_jxl"}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""x, y, step in x, step in y of each pass."""
ORIENTATION, TURNED = 0x0112, 6


def pixels(megapixels: float, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Rows, columns, RGB; 3:2."""
    high = max(8, round((megapixels * 1e6 / 1.5) ** 0.5))
    wide = round(high * 1.5)
    generator = np.random.default_rng(seed)
    noise = generator.integers(-6, 7, (256, wide, 3), dtype=np.int16)
    x = np.arange(wide, dtype=np.float32)
    found = np.empty((high, wide, 3), np.uint8)
    for top in range(0, high, 256):
        rows = min(256, high - top)
        y = np.arange(top, top + rows, dtype=np.float32)[:, None]
        shapes = [127 + 90 * np.sin(x / (90 + seed % 7 + c)) * np.cos(y / (130 + c)) for c in range(3)]
        found[top : top + rows] = np.clip(np.stack(shapes, -1) + noise[:rows], 0, 255)
    return found


def in_scans(image: Image.Image) -> bytes:
    """A sequential JPEG, 4:4:4, with a scan for each component: those of three grey ones (the same tables)."""
    head, scans = b"", []
    for number, plane in enumerate(image.convert("YCbCr").split()):
        file = io.BytesIO()
        plane.save(file, "JPEG", quality=90)
        data = file.getvalue()
        sos = data.index(b"\xff\xda")
        head = head or data[:sos]
        scans.append(b"\xff\xda\0\x08\x01" + bytes([number + 1, 0, 0, 63, 0]) + data[sos + 10 : -2])
    sof = head.index(b"\xff\xc0")
    frame = head[sof + 4 : sof + 9] + b"\x03" + b"".join(bytes([n, 0x11, 0]) for n in (1, 2, 3))
    length = int.from_bytes(head[sof + 2 : sof + 4], "big")
    frame = b"\xff\xc0" + (len(frame) + 2).to_bytes(2, "big") + frame
    return head[:sof] + frame + head[sof + 2 + length :] + b"".join(scans) + b"\xff\xd9"


def write(kind: str, path: str, megapixels: float, seed: int = 0) -> None:
    """Raises KeyError for an unknown kind."""
    extension = KINDS[kind]
    array = pixels(megapixels, seed)
    if kind.startswith("png") and ("16" in kind or "interlaced" in kind):
        with open(path, "wb") as file:
            wide = array[..., :1] if "grey" in kind else array
            _png(file, wide.astype(">u2") * 257 if "16" in kind else wide, interlaced="interlaced" in kind)
        return
    if kind == "ppm 16 bit":
        with open(path, "wb") as file:
            file.write(b"P6 %d %d 65535\n" % (array.shape[1], array.shape[0]))
            file.write((array.astype(">u2") * 257).tobytes())
        return
    if kind in ("tiff 16 bit", "tiff float"):
        import cv2

        cv2.imwrite(path, array.astype(np.uint16) * 257 if "16" in kind else array.astype(np.float32) / 255)
        return
    if kind == "heif 10 bit":
        import pillow_heif

        size = (array.shape[1], array.shape[0])
        pillow_heif.encode("RGB;16", size, (array.astype("<u2") * 257).tobytes(), path, quality=80)
        return
    image = Image.fromarray(array)
    if kind.endswith("scans"):
        Path(path).write_bytes(in_scans(image))
        return
    options: dict[str, Any] = {}
    if extension == "jpg":
        kept = "kept" in kind  # its copy is rewritten without loss: encoding it again would save nothing
        options = {"quality": 70 if kept else 90, "progressive": kept or "progressive" in kind}
        options["subsampling"] = 0 if "4:4:4" in kind else 2
    if "turned" in kind:
        exif = Image.Exif()
        exif[ORIENTATION] = TURNED
        options["exif"] = exif
    if "grey" in kind:
        image = image.convert("L")
    elif "cmyk" in kind:
        image = image.convert("CMYK")
    elif "alpha" in kind:
        image.putalpha(image.getchannel("G"))
    elif "palette" in kind or extension == "gif":
        image = image.convert("P", palette=Image.Palette.ADAPTIVE)
    if extension == "tif":
        options["compression"] = {"tiff deflate": "tiff_deflate", "tiff jpeg": "jpeg"}.get(kind, "raw")
    elif extension == "webp":
        options |= {"lossless": "lossless" in kind, "method": 0}
    elif extension == "avif":
        options |= {"speed": 10}
    elif extension == "heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
    elif extension == "jxl":
        import pillow_jxl  # noqa: F401 - registers itself

        options |= {"effort": 3}
    elif extension == "png":
        options |= {"compress_level": 1}
    image.save(path, **options)


def _png(file: BinaryIO, array: np.ndarray[Any, Any], *, interlaced: bool) -> None:
    """As libpng would, without filters; Pillow writes neither 16 bits a channel nor interlaced."""
    high, wide, channels = array.shape
    depth = array.dtype.itemsize * 8
    header = struct.pack(">IIBBBBB", wide, high, depth, 0 if channels == 1 else 2, 0, 0, int(interlaced))
    squeezed = zlib.compressobj(1)
    parts: list[bytes] = []
    for left, top, right, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        rows = array[top::down, left::right]
        parts += [squeezed.compress(b"\0" + row.tobytes()) for row in rows if row.size]
    data = b"".join(parts) + squeezed.flush()
    file.write(b"\x89PNG\r\n\x1a\n")
    for name, content in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
        file.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)))


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2], float(sys.argv[3]), *map(int, sys.argv[4:5]))
