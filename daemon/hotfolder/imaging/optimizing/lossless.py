"""The same pixels in fewer bytes: JPEG by MozJPEG's coding of the same coefficients, PNG by oxipng, WebP by libwebp.

Needs the extra `optimize` for JPEG and PNG. Metadata stays as it is: what may not stay has been taken out before.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import struct
import subprocess
import sys

from PIL import Image

from hotfolder.processes import Process

_MOZJPEG = "mozjpeg_lossless_optimization"
_TRANSCODE = f"""
import sys, {_MOZJPEG} as mozjpeg
sys.stdout.buffer.write(mozjpeg.optimize(sys.stdin.buffer.read(), copy=mozjpeg.COPY_MARKERS.ALL))
"""
_PATIENCE = 300
"""Seconds for one JPEG; 250 megapixels take about ten on an idle machine."""
_EFFORT = ((20_000_000, 2), (80_000_000, 1))
"""Pixels up to which oxipng tries this hard; at 0 it costs about what zlib does. So 100 MP stay within a minute."""
_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


def smaller(data: bytes, format_name: str, pixels: int) -> bytes:
    """The same file with the same pixels, smaller where that can be; otherwise the very bytes that were given."""
    try:
        if format_name == "jpeg":
            found = _jpeg(data)
        elif format_name == "png":
            found = _png(data, pixels)
        elif format_name == "webp":
            found = _webp(data)
        else:
            return data
    except ImportError:  # without the extra: said at the start
        return data
    return found if len(found) < len(data) else data


def _jpeg(data: bytes) -> bytes:
    """In a process of its own: libjpeg's way with a damaged file is there to end the process that called it."""
    if importlib.util.find_spec(_MOZJPEG) is None or _length(data) != len(data):
        return data  # in the second case something lies behind the picture (a gain map, a video) that is to stay
    command = [sys.executable, "-P", "-c", _TRANSCODE]
    with Process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            found, _ = process.communicate(data, _PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            return data
    whole = process.returncode == 0 and found.startswith(b"\xff\xd8") and found.endswith(b"\xff\xd9")
    return found if whole else data


def _length(data: bytes) -> int:
    """Bytes up to the end of the picture; 0 where the segments make no sense."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xD9:
            return at + 2
        if marker == 0xFF:
            at += 1
            continue
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
        if marker == 0xDA:
            found = _END.search(data, at)
            if found is None:
                return 0
            at = found.start()
            if data[at : at + 2] == b"\xff\xd9":
                return at + 2
    return 0


def _png(data: bytes, pixels: int) -> bytes:
    os.environ.setdefault("RAYON_NUM_THREADS", "1")  # read once, when oxipng starts: the pool has threads enough
    import oxipng

    level = next((level for most, level in _EFFORT if pixels <= most), 0)
    try:
        return bytes(oxipng.optimize_from_memory(data, level=level))
    except oxipng.PngError:
        return data


def _webp(data: bytes) -> bytes:
    """Lossless WebP only: the coefficients of a lossy one cannot be coded anew."""
    if b"VP8L" not in data[12:16] or len(data) < 30:
        return data  # lossy, animated, or with metadata around it
    file = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
            image.save(file, "WEBP", lossless=True, quality=100, method=6, exact=True)
    except OSError:
        return data
    return file.getvalue()
