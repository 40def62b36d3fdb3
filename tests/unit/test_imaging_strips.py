"""TIFFs and lossy WebPs that the core takes over from their decoders: as Pillow shows them, or left to it."""

from __future__ import annotations

import io
import itertools
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hotfolder.errors import SourceError
from hotfolder.imaging import Limits, native, open_image
from hotfolder.imaging.formats import shrinking
from hotfolder.imaging.native import Stop
from tests.unit.imaging import encoded, verdict

pytestmark = pytest.mark.skipif(native.core is None, reason="the core was not built")
PACKINGS = ("raw", "tiff_lzw", "tiff_adobe_deflate")


def noise(mode: str, size: tuple[int, int], seed: int = 1, steps: int = 256) -> Image.Image:
    """Of few `steps` it repeats itself, and packs well."""
    dice = np.random.default_rng(seed)
    found = dice.integers(0, steps, (size[1], size[0], 3)) * (256 // steps)
    return Image.fromarray(found.astype(np.uint8)).convert(mode)


def smooth(size: tuple[int, int]) -> Image.Image:
    across, down = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    return Image.fromarray(np.stack([across, down, 255 - across], axis=-1).astype(np.uint8))


def read(data: bytes, scale: int = 1) -> native.Picture | None:
    return native.read(open_image(data, Limits()), scale)


def same(found: native.Picture | None, drawn: native.Picture | None) -> None:
    assert found is not None and drawn is not None
    for number in range(drawn.planes.count):
        assert found.planes.plane(number) == drawn.planes.plane(number)


@given(
    mode=st.sampled_from(["L", "RGB"]),
    size=st.tuples(st.integers(1, 90), st.integers(1, 60)),
    packing=st.sampled_from(PACKINGS),
    differences=st.booleans(),
    steps=st.sampled_from([1, 2, 16, 256]),
    rows=st.integers(1, 70),
    scale=st.sampled_from([1, 2, 4]),
)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_strips_are_what_pillow_reads(
    mode: str, size: tuple[int, int], packing: str, differences: bool, steps: int, rows: int, scale: int
) -> None:
    image = noise(mode, size, steps, steps)
    tags: dict[int, Any] = {278: rows}
    if packing != "raw":
        tags[317] = 1 + differences
    data = encoded(image, "TIFF", compression=packing, tiffinfo=tags, strip_size=rows * size[0] * len(image.getbands()))
    same(read(data, scale), native.draw(image, scale))


@pytest.mark.parametrize("steps", [1, 2, 5, 256])
def test_lzw_of_a_table_that_is_filled_many_times(steps: int) -> None:
    image = noise("RGB", (700, 500), 3, steps)
    data = encoded(image, "TIFF", compression="tiff_lzw", strip_size=2_000_000)
    same(read(data), native.draw(image))


def damaged() -> dict[str, bytes]:
    image = noise("RGB", (60, 40))
    whole = {packing: encoded(image, "TIFF", compression=packing) for packing in PACKINGS}
    found = {}
    for packing, data in whole.items():
        with Image.open(io.BytesIO(data)) as opened:
            (at,), (length,) = opened.tag_v2[273], opened.tag_v2[279]  # type: ignore[attr-defined]
        found[f"{packing}: its strip is cut short"] = data.replace(
            struct.pack("<I", length), struct.pack("<I", length // 2)
        )
        for place in (0, length // 2):
            wrong = bytearray(data)
            wrong[at + place : at + place + 8] = b"\xff\x00\xff\x00\xff\x00\xff\x00"
            if packing != "raw":
                found[f"{packing}: damaged at {place}"] = bytes(wrong)
        found[f"{packing}: its strip lies behind the file"] = data.replace(
            struct.pack("<I", at), struct.pack("<I", 9**9)
        )
    lossy = encoded(image, "WEBP", quality=80)
    return found | {"WebP: cut short": lossy[:-300], "WebP: damaged": lossy[:30] + bytes(40) + lossy[70:]}


@pytest.mark.parametrize("what", list(damaged()))
def test_what_is_wrong_is_judged_by_pillow(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = damaged()[what]

    found = verdict(data)
    monkeypatch.setattr(native, "read", lambda opened, scale: None)
    expected = verdict(data)
    if isinstance(expected, bytes) and isinstance(found, bytes):
        with Image.open(io.BytesIO(found)) as one, Image.open(io.BytesIO(expected)) as other:
            difference = np.abs(np.asarray(one).astype(float) - np.asarray(other))
        assert difference.mean() < 2
    else:
        assert found == expected


def test_other_layouts_of_tiff_are_left_to_pillow() -> None:
    image = noise("RGB", (40, 30))
    for options in ({"tiffinfo": {274: 6}}, {"compression": "packbits"}, {"compression": "jpeg"}):
        assert read(encoded(image, "TIFF", **options)) is None
    for mode in ("RGBA", "P", "1", "CMYK", "I;16", "LA"):
        other = Image.new("I;16", (9, 9)) if mode == "I;16" else image.convert(mode)
        assert read(encoded(other, "TIFF")) is None


@pytest.mark.parametrize(
    ("size", "scale"),
    [
        ((1, 1), 1),
        ((2, 3), 1),
        ((33, 17), 1),
        *((size, scale) for size in ((640, 480), (1001, 333)) for scale in (1, 2, 4, 8)),
    ],
)
def test_lossy_webp_is_what_pillow_shows(size: tuple[int, int], scale: int) -> None:
    data = encoded(smooth(size), "WEBP", quality=95)
    picture = read(data, scale)
    assert picture is not None and picture.size == size
    goal = tuple(length // 8 for length in size) if scale > 1 else size
    found = picture.scaled(goal, halved=False).image()  # type: ignore[arg-type]
    with Image.open(io.BytesIO(data)) as image:
        drawn = native.draw(image.convert("RGB"), 1)
    assert drawn is not None
    expected = drawn.scaled(goal, halved=False).image()  # type: ignore[arg-type]
    assert np.abs(np.asarray(found).astype(float) - np.asarray(expected)).mean() < 2.5


def test_other_kinds_of_webp_are_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    image = smooth((40, 30))
    see_through = image.convert("RGBA")
    see_through.putpixel((3, 3), (1, 2, 3, 0))
    moving = encoded(image, "WEBP", save_all=True, append_images=[image.rotate(90)], quality=80)
    for data in (encoded(image, "WEBP", lossless=True), encoded(see_through, "WEBP", quality=80), moving):
        assert read(data) is None
    data = encoded(image, "WEBP", quality=80)
    assert read(data) is not None
    monkeypatch.setattr(shrinking, "_library", lambda: None)
    assert read(data) is None


@pytest.mark.parametrize("plugin", ["WEBP", "TIFF"])
def test_it_ends_when_it_is_told(plugin: str) -> None:
    stop = Stop()
    stop.cancel()
    options: dict[str, Any] = {"compression": "tiff_lzw"} if plugin == "TIFF" else {"quality": 80}
    data = encoded(noise("RGB", (300, 200)), plugin, **options)
    with pytest.raises(SourceError, match="takes too long"), stop.guarding():
        read(data)


def test_unpacking_takes_no_nonsense() -> None:
    core = native.core
    assert core is not None
    packed = bytes([0x80, 0x0B, 0x60, 0x50, 0x22, 0x0C, 0x0C, 0x85, 0x01])  # PDF 32000-1, 7.4.4.2, its example
    assert core.unpack(packed, 9) == bytes([45, 45, 45, 45, 45, 65, 45, 45, 45, 66][:9])
    for data, size in ((packed, 99), (b"", 1), (b"\x80", 1), (b"\xff" * 9, 9), (b"\x80\x3f\xff\xff", 3)):
        with pytest.raises(core.Declined):
            core.unpack(data, size)
    for size in (-1, 2**31):
        with pytest.raises(ValueError):
            core.unpack(packed, size)
    with pytest.raises(ValueError):
        core.gather(4, 4, bytes(16), bytes(4), bytes(3), (4, 4), (4, 2, 2), 1, True)


def test_planes_of_others_with_gaps_in_their_rows_and_averaged() -> None:
    core = native.core
    assert core is not None
    dice = np.random.default_rng(5)
    for (wide, high), scale in itertools.product(((1, 1), (33, 17), (64, 48), (601, 9)), (1, 2, 4, 8)):
        sizes = [(wide, high), *[(-(-wide // 2), -(-high // 2))] * 2]
        rows = [dice.integers(0, 256, (down, across + 7), np.uint8) for across, down in sizes]
        strides = tuple(across + 7 for across, _ in sizes)
        made = core.gather(wide, high, *(each.tobytes() for each in rows), (wide, high), strides, scale, False)
        for number, (across, down) in enumerate(sizes):
            edges = ((0, -down % scale), (0, -across % scale))
            whole = np.pad(rows[number][:, :across], edges, "edge").astype(int)
            means = whole.reshape(whole.shape[0] // scale, scale, -1, scale).sum((1, 3)) + scale * scale // 2
            size, samples = made.plane(number)
            assert size == means.shape[::-1]
            assert np.array_equal(np.frombuffer(samples, np.uint8).reshape(means.shape), means // scale**2)
    with pytest.raises(ValueError):
        core.gather(4, 4, bytes(16), bytes(4), bytes(4), (4, 4), (4, 1, 2), 1, True)
    with pytest.raises(ValueError):
        core.gather(4, 4, bytes(16), bytes(4), bytes(4), (4, 4), (4, 2, 2), 3, True)
