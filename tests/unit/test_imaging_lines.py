"""PNGs that the core reads, and planes that it draws: as Pillow decodes them, and with its verdict on what is wrong."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hotfolder.errors import SourceError
from hotfolder.imaging import Limits, native, open_image
from hotfolder.imaging.containers import chunks
from hotfolder.imaging.formats import unpacking
from hotfolder.imaging.native import Stop
from tests.unit.imaging import encoded, verdict

needs_core = pytest.mark.skipif(native.core is None, reason="the core was not built")
MODES = ("L", "RGB", "RGBA", "P")
FILTERS = range(5)


def noise(mode: str, size: tuple[int, int], seed: int = 1) -> Image.Image:
    dice = np.random.default_rng(seed)
    wide, high = size
    if mode == "P":
        image = Image.fromarray(dice.integers(0, 200, (high, wide), dtype=np.uint8), "P")
        image.putpalette(dice.integers(0, 256, 600, dtype=np.uint8).tobytes())
        return image
    return Image.fromarray(dice.integers(0, 256, (high, wide, 3), dtype=np.uint8)).convert(mode)


def unfiltered(image: Image.Image) -> np.ndarray:
    array = np.asarray(image)
    return array.reshape(array.shape[0], -1).astype(np.uint8)


def filtered(lines: np.ndarray, each: int, filters: list[int]) -> bytes:
    """PNG, third edition, 9.2, by the book."""
    made = []
    for y, line in enumerate(lines):
        above = lines[y - 1] if y else np.zeros_like(line)
        out = bytearray([filters[y % len(filters)]])
        for i, value in enumerate(line.tolist()):
            a, b = (int(line[i - each]) if i >= each else 0), int(above[i])
            c = int(above[i - each]) if i >= each else 0
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            out.append((value - (0, a, b, (a + b) // 2, paeth)[out[0]]) % 256)
        made.append(bytes(out))
    return b"".join(made)


def png(image: Image.Image, filters: list[int], parts: int = 1, *, lines: bytes | None = None) -> bytes:
    colour, each = {"L": (0, 1), "RGB": (2, 3), "P": (3, 1), "RGBA": (6, 4)}[image.mode]
    body = zlib.compress(filtered(unfiltered(image), each, filters) if lines is None else lines)
    made = [chunks.SIGNATURE, chunks.written(b"IHDR", struct.pack(">IIBBBBB", *image.size, 8, colour, 0, 0, 0))]
    if image.mode == "P":
        made.append(chunks.written(b"PLTE", bytes(image.getpalette() or [])))
    step = -(-len(body) // parts)
    made += [chunks.written(b"IDAT", body[at : at + step]) for at in range(0, len(body), step)]
    return b"".join([*made, chunks.written(b"IEND", b"")])


def read(data: bytes, scale: int = 1) -> native.Picture | None:
    return native.read(open_image(data, Limits()), scale)


def shown(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("L" if image.mode == "L" else "RGB")


@needs_core
@pytest.mark.parametrize("mode", MODES)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 20)),
    filters=st.lists(st.sampled_from(FILTERS), min_size=1, max_size=7),
    parts=st.integers(1, 5),
    scale=st.sampled_from([1, 2, 4, 8]),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_it_reads_what_pillow_reads(
    mode: str, size: tuple[int, int], filters: list[int], parts: int, scale: int, seed: int
) -> None:
    data = png(noise(mode, size, seed), filters, parts)
    found = read(data, scale)
    drawn = native.draw(shown(data), scale)
    assert found is not None and drawn is not None
    assert found.planes.size == drawn.planes.size == size
    for number in range(drawn.planes.count):
        assert found.planes.plane(number) == drawn.planes.plane(number)


@needs_core
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(1, 1), (255, 3), (256, 9), (257, 8), (2049, 17), (31, 700)])
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_it_draws_means_of_squares(mode: str, size: tuple[int, int], scale: int) -> None:
    image = noise(mode, size)
    picture = native.draw(image, scale)
    assert picture is not None
    array = np.asarray(image.convert("YCbCr") if mode == "RGB" else image).astype(float).reshape(*size[::-1], -1)
    spare = [(0, -length % scale) for length in size[::-1]]
    array = np.pad(array, [*spare, (0, 0)], mode="edge")
    means = array.reshape(array.shape[0] // scale, scale, array.shape[1] // scale, scale, -1).mean(axis=(1, 3))
    for number in range(picture.planes.count):
        (wide, high), samples = picture.planes.plane(number)
        found = np.frombuffer(samples, np.uint8).reshape(high, wide)
        assert np.abs(found - means[..., number]).max() <= 1.5


@needs_core
def test_large_pictures_lie_in_one_piece() -> None:
    """Where Pillow would give a picture several pieces of memory, it could not show them."""
    image = Image.new("RGB", (3000, 2000), (10, 200, 90))
    picture = native.draw(image)
    assert picture is not None
    assert picture.scaled((30, 20), halved=False).image().getpixel((7, 7)) == pytest.approx((10, 200, 90), abs=1)


@needs_core
@pytest.mark.parametrize("alpha", [255, 254, 0])
def test_alpha_counts_where_something_is_transparent(alpha: int) -> None:
    image = noise("RGBA", (40, 30))
    image.putpixel((39, 29), (1, 2, 3, alpha))
    data = png(image, [0, 1, 2, 3, 4])
    assert (read(data) is not None) == (alpha == 255)
    assert (native.draw(image) is not None) == (alpha == 255)


def _with(data: bytes, kind: bytes, body: bytes, before: bytes = b"IDAT") -> bytes:
    at = data.index(before) - 4
    return data[:at] + chunks.written(kind, body) + data[at:]


def _broken() -> dict[str, bytes]:
    rgb = noise("RGB", (30, 20))
    whole = png(rgb, [4, 1, 3])
    lines = filtered(unfiltered(rgb), 3, [4])
    checked = bytearray(whole)
    checked[whole.index(b"IEND") - 5] ^= 1  # the checksum of the picture's chunk
    packed = bytearray(zlib.compress(lines))
    packed[-1] ^= 1  # that of the stream
    head, end = whole[: whole.index(b"IDAT") - 4], chunks.written(b"IEND", b"")
    beyond = noise("P", (30, 20))
    beyond.putpalette(bytes(30))
    return {
        "a checksum": bytes(checked),
        "the checksum of the stream": head + chunks.written(b"IDAT", bytes(packed)) + end,
        "an unknown filter": png(rgb, [0], lines=b"\x05" + lines[1:]),
        "too few lines": png(rgb, [0], lines=lines[: 91 * 10]),
        "too many lines": png(rgb, [0], lines=lines + lines[: 91 * 3]),
        "no end": whole[: whole.index(b"IEND") - 4],
        "cut off": whole[:-500],
        "an unknown chunk that counts": _with(whole, b"ABCD", b"x"),
        "a colour that is not in its palette": png(beyond, [0]),
        "no palette": png(noise("P", (3, 3)), [0]).replace(b"PLTE", b"pLTE"),
    }


@needs_core
@pytest.mark.parametrize("what", list(_broken()))
def test_what_is_wrong_is_left_to_pillow(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _broken()[what]

    try:
        opened = open_image(data, Limits())
    except SourceError:
        return  # Pillow's word before anything is read
    assert native.read(opened, 1) is None
    found = verdict(data)
    monkeypatch.setattr(type(opened.kind), "lines", lambda self, data: None)
    assert found == verdict(data)


@needs_core
@pytest.mark.parametrize("kind", [b"tRNS", b"acTL"])
def test_what_is_more_than_its_lines_is_left_to_pillow(kind: bytes) -> None:
    assert native.core is not None
    body = {b"tRNS": bytes(6), b"acTL": struct.pack(">II", 1, 0)}[kind]
    assert read(_with(png(noise("RGB", (9, 9)), [1]), kind, body)) is None
    data = encoded(noise("RGB", (9, 9)), "PNG")
    interlaced = data[:28] + b"\1" + struct.pack(">I", zlib.crc32(data[12:28] + b"\1")) + data[33:]
    assert unpacking.lines(data) is not None
    assert unpacking.lines(interlaced) is None


@needs_core
@pytest.mark.parametrize("way", ["read", "draw"])
def test_it_ends_when_it_is_told(way: str) -> None:
    stop = Stop()
    stop.cancel()
    image = noise("RGB", (400, 300))
    data = png(image.resize((60, 40)), [1])
    with pytest.raises(SourceError, match="takes too long"), stop.guarding():
        read(data) if way == "read" else native.draw(image)


@needs_core
def test_the_core_takes_no_nonsense() -> None:
    core = native.core
    assert core is not None
    image = Image.new("RGB", (8, 8))
    for arguments in (
        (b"x" * 63, 8, 8, 1),
        (b"x" * 64, 8, 8, 3),
        (b"", 0, 8, 1),
        (image.__arrow_c_array__()[1], 8, 9, 1),
        (Image.new("L", (8, 8)).__arrow_c_array__()[1], 8, 8, 1),
    ):
        with pytest.raises(ValueError):
            core.draw(*arguments)
    for numbers in (
        (0, 8, 3, 1),
        (8, 8, 2, 1),
        (8, 8, 3, 5),
        (8, 8, 3, 1, b"xyz"),
        (8, 8, 1, 1, b""),
        (8, 8, 1, 1, b"xy"),
    ):
        with pytest.raises(ValueError):
            core.lines(*numbers)
    reader = core.lines(8, 1, 3, 1)
    with pytest.raises(core.Declined):
        reader.planes()
    reader.add(bytes(25))
    reader.planes()
    with pytest.raises(ValueError):
        reader.add(b"")
