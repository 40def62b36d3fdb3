"""What the tests of imaging share: small pictures as bytes, and one call that renders them into a folder."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageDraw

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging import Limits, Plan, Rendered, open_image, render
from hotfolder.presets import OPTIMIZED, OptimizeSpec, Preset

THUMB = Preset("thumb", 60, 60, format="png")


def encoded(image: Image.Image, format_name: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def verdict(data: bytes) -> bytes | tuple[Reason, str]:
    """A small JPEG of it; or why there is none, in the words that its owner reads."""
    try:
        with tempfile.TemporaryFile() as file:
            render(open_image(data, Limits()), Plan((Preset("small", 16, 16),)), ("small",), lambda _: file)
            file.seek(0)
            return file.read()
    except SourceError as error:
        return error.reason, error.message


def long_jpeg(width: int, height: int, scans: int) -> bytes:
    """A grey progressive JPEG of a few bytes a scan, each of which is work for all of its blocks."""
    blocks = -(-width // 8) * -(-height // 8)
    run = "0" + "1" * 14  # the one code of its table: nothing more in this block and the next 32,766
    bits = run * -(-blocks // 32_767)
    runs = bytes(int(bits[at : at + 8].ljust(8, "1"), 2) for at in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")
    tables = b"".join(b"\xff\xc4\0\x14" + bytes((kind, 1, *[0] * 15, only)) for kind, only in ((0, 0), (16, 0xE0)))
    frame = b"\xff\xc2\0\x0b\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + b"\1\1\x11\0"
    first = b"\xff\xda\0\x08\1\1\0\0\0\0" + bytes(-(-blocks // 8))
    rest = b"\xff\xda\0\x08\1\1\0\1\x3f\0" + runs
    return b"\xff\xd8\xff\xdb\0\x43\0" + b"\1" * 64 + frame + tables + first + rest * (scans - 1) + b"\xff\xd9"


def large_webp(width: int, height: int) -> bytes:
    """A picture of one colour, without loss, in 32 bytes: each pixel takes no bit at all."""
    size = (width - 1) | (height - 1) << 14
    codes = 0b0001 | 0b0001 << 4 | 0b0001 << 8 | 0b0001 << 12 | 0b0001 << 16  # each of one symbol, of one bit, 0
    body = b"\x2f" + size.to_bytes(4, "little") + (codes << 3).to_bytes(4, "little") + bytes(3)
    return b"RIFF" + (12 + len(body)).to_bytes(4, "little") + b"WEBPVP8L" + len(body).to_bytes(4, "little") + body


def noise(width: int, height: int, channels: int = 3) -> Image.Image:
    """What no encoder can make small."""
    return Image.fromarray(np.random.default_rng(7).integers(0, 256, (height, width, channels), dtype=np.uint8))


def scene(seed: int, width: int = 1600, height: int = 1200) -> Image.Image:
    """Shapes of many sizes and brightnesses with hard edges, as things before one another have them."""
    chance = np.random.default_rng(seed)
    image = Image.new("RGB", (2 * width, 2 * height), (120, 110, 90))
    draw = ImageDraw.Draw(image)
    for _ in range(120):
        x, y = int(chance.integers(0, 2 * width)), int(chance.integers(0, 2 * height))
        r = int(chance.gamma(2, 60)) + 8
        colour = tuple(chance.integers(30, 220, 3).tolist())
        shape = draw.ellipse if chance.random() < 0.5 else draw.rectangle
        shape((x - r, y - r, x + r, y + int(r * chance.uniform(0.4, 1.6))), fill=colour)
    return image.resize((width, height), Image.Resampling.BOX)


def corner(width: int = 200, height: int = 100) -> Image.Image:
    """Blue, with its upper left quarter red: shows how a picture was turned."""
    image = Image.new("RGB", (width, height), "blue")
    image.paste("red", (0, 0, width // 2, height // 2))
    return image


def rendered(
    data: bytes,
    folder: Path,
    *presets: Preset,
    optimize: OptimizeSpec | None = None,
    wanted: Collection[str] | None = None,
    name: bytes = b"",
    limits: Limits | None = None,
) -> tuple[Rendered, dict[str, bytes]]:
    """Render into `folder`; the result, and the bytes of every file that was written."""
    files: dict[str, BinaryIO] = {}

    def create(preset: str) -> BinaryIO:
        assert preset not in files
        files[preset] = (folder / preset).open("w+b")
        return files[preset]

    plan = Plan(presets, optimize)
    try:
        result = render(
            open_image(data, limits or Limits(), name), plan, plan.names() if wanted is None else wanted, create
        )
    finally:
        for file in files.values():
            file.close()
    written = {preset: (folder / preset).read_bytes() for preset in files}
    assert {o.preset: o.bytes for o in result.outputs if o.note != "kept"} == {k: len(v) for k, v in written.items()}
    return result, written


def thumb(data: bytes, folder: Path, preset: Preset = THUMB, name: bytes = b"") -> Image.Image:
    return Image.open(io.BytesIO(rendered(data, folder, preset, name=name)[1][preset.name]))


def copy(data: bytes, folder: Path, **spec: Any) -> tuple[bytes, str]:
    """The optimized copy and its note; empty bytes where none was made."""
    result, written = rendered(data, folder, optimize=OptimizeSpec(**spec))
    return written.get(OPTIMIZED, b""), result.outputs[-1].note
