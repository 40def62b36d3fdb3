"""Layouts of pixels that the image library has no mode for, or shows less of than there is: each comes out as it was
meant, by each way that the picture can take."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging.colour import profiles
from hotfolder.presets import Preset
from tests.unit.imaging import encoded, rendered, thumb
from tests.unit.tiffs import Page, Samples, tiff

WIDE, HIGH = 50, 44
WHOLE = Preset("thumb", WIDE, HIGH, format="png")
ORDERS = [("<", False), (">", False), ("<", True), (">", True)]


def smooth(channels: int, bits: int = 8) -> Samples:
    """Ramps in several directions, no two channels alike."""
    y, x = np.mgrid[0:HIGH, 0:WIDE]
    ramps = (x / (WIDE - 1), y / (HIGH - 1), 1 - x / (WIDE - 1), (x + y) / (WIDE + HIGH - 2), 0.5 + y / (2 * HIGH))
    levels = np.rint(np.stack(ramps[:channels], axis=-1) * (2**bits - 1))
    samples: Samples = levels.astype(np.uint8 if bits == 8 else np.uint16)
    return samples


def eight(samples: Samples) -> Samples:
    return samples if samples.dtype == np.uint8 else np.rint(samples / 257).astype(np.uint8)


def shown(data: bytes, folder: Path, mode: str) -> Samples:
    image = thumb(data, folder, WHOLE)
    assert image.size == (WIDE, HIGH)
    return np.asarray(image.convert(mode)).reshape(HIGH, WIDE, -1).astype(int)


def near(found: Samples, meant: Samples, most: int = 1) -> bool:
    return bool(np.abs(found.astype(int) - meant.astype(int)).max() <= most)


@pytest.mark.parametrize(("order", "big"), ORDERS)
@pytest.mark.parametrize(("compression", "predictor"), [(1, 1), (5, 1), (5, 2), (8, 2), (32773, 1)])
@pytest.mark.parametrize("layout", ["strips", "tiles", "apart", "tiles apart"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["grey", "white", "rgb", "grey and alpha", "rgb and alpha"])
def test_every_layout_of_a_tiff(
    kind: str, bits: int, layout: str, compression: int, predictor: int, order: str, big: bool, tmp_path: Path
) -> None:
    channels = ("rgb" in kind) * 2 + 1 + ("alpha" in kind)
    samples = smooth(channels, bits)
    page = Page(
        samples,
        photometric={"white": 0}.get(kind, 2 if "rgb" in kind else 1),
        compression=compression,
        predictor=predictor,
        tile=16 if "tiles" in layout else 0,
        apart="apart" in layout,
        tags={338: (2,)} if "alpha" in kind else {},
    )
    meant = eight(samples)
    if kind == "white":
        meant = 255 - meant
    if "grey" in kind and "alpha" in kind:
        meant = meant[..., [0, 0, 0, 1]]
    found = shown(tiff(page, order=order, big=big), tmp_path, {1: "L", 3: "RGB"}.get(meant.shape[2], "RGBA"))
    if "alpha" in kind:
        assert near(found[..., 3], meant[..., 3])
        seen = meant[..., 3] > 0
        found, meant = found[seen], meant[seen]
    assert near(found, meant)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("photometric", [1, 2, 5])
def test_colours_multiplied_by_alpha_are_divided(photometric: int, bits: int, tmp_path: Path) -> None:
    count = {1: 1, 2: 3, 5: 4}[photometric]
    colours, alpha = smooth(count, bits), smooth(5, bits)[..., 4:]
    most = 2**bits - 1
    multiplied = np.rint(colours / most * alpha).astype(colours.dtype)
    plain = Page(np.concatenate([colours, alpha], axis=-1), photometric, tags={338: (2,)})
    page = Page(np.concatenate([multiplied, alpha], axis=-1), photometric, tags={338: (1,)})
    meant = shown(tiff(plain), tmp_path, "RGBA")
    assert near(meant[..., 3], eight(alpha)[..., 0])
    (tmp_path / "thumb").unlink()
    assert near(shown(tiff(page), tmp_path, "RGBA"), meant, 3)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("extra", [(), (2,), (0,), (0, 2)])
def test_inks_with_alpha(extra: tuple[int, ...], bits: int, order: str, tmp_path: Path) -> None:
    inks, alpha = smooth(4, bits), smooth(5, bits)[..., 4:]
    samples = np.concatenate([inks, *[alpha if each == 2 else alpha * 0 + 7 for each in extra]], axis=-1)
    found = shown(tiff(Page(samples, 5, tags={338: extra} if extra else {}), order=order), tmp_path, "RGBA")
    ink = eight(inks)
    meant = np.asarray(Image.frombytes("CMYK", (WIDE, HIGH), ink.tobytes()).convert("RGB"))
    assert near(found[..., :3], meant, 2)
    assert near(found[..., 3], eight(alpha)[..., 0] if 2 in extra else np.full((HIGH, WIDE), 255))


def test_inks_with_alpha_go_by_their_profile(tmp_path: Path) -> None:
    """A profile for RGB is none for inks: left out, as without alpha."""
    page = Page(smooth(5), 5, tags={338: (2,), 34675: profiles.display_p3()})
    plain = Page(smooth(5), 5, tags={338: (2,)})
    found = shown(tiff(page), tmp_path, "RGBA")
    (tmp_path / "thumb").unlink()
    assert near(found, shown(tiff(plain), tmp_path, "RGBA"), 0)


LAB = {
    (255, 255, 255): (100.0, 0.0, 0.0),
    (128, 128, 128): (53.585, 0.0, 0.0),
    (255, 0, 0): (54.29, 80.81, 69.89),
    (0, 255, 0): (87.82, -79.29, 80.99),
    (0, 0, 255): (29.57, 68.30, -112.03),
    (200, 150, 100): (65.87, 14.73, 32.98),
}
"""Colours of sRGB as CIELAB under D50 (Bradford)."""


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("photometric", [8, 9])
def test_lab(photometric: int, bits: int, order: str, alpha: bool, tmp_path: Path) -> None:
    for srgb, (lightness, a, b) in LAB.items():
        whole = 255 if bits == 8 else 65280 if photometric == 9 else 65535
        step, zero = (1, 128) if bits == 8 else (256, 32768)
        if photometric == 8:
            zero = 0
        numbers = [round(lightness / 100 * whole), *(round(each * step) + zero for each in (a, b))]
        if alpha:
            numbers.append(2**bits // 2)
        mask = 2**bits - 1
        pixel = np.array([number & mask for number in numbers], np.uint8 if bits == 8 else np.uint16)
        page = Page(np.tile(pixel, (HIGH, WIDE, 1)), photometric, tags={338: (2,)} if alpha else {})
        found = shown(tiff(page, order=order), tmp_path, "RGBA")[9, 9]
        (tmp_path / "thumb").unlink()
        assert found.tolist() == pytest.approx([*srgb, 128 if alpha else 255], abs=10 if bits == 8 else 1), srgb


@pytest.mark.parametrize(("order", "big"), ORDERS)
@pytest.mark.parametrize("mark", [{254: (1,)}, {254: (4,)}, {254: (5,)}, {255: (2,)}])
@pytest.mark.parametrize("kind", ["Pillow's", "ours", "floats"])
def test_the_page_that_is_no_smaller_one_of_another_counts(
    kind: str, mark: dict[int, tuple[int, ...] | bytes], order: str, big: bool, tmp_path: Path
) -> None:
    small = Page(np.full((10, 12, 3), 200, np.uint8), tags=mark)
    meant = smooth(3)
    full = {
        "Pillow's": Page(meant),
        "ours": Page(meant.astype(np.uint16) * 257, apart=True),
        "floats": Page(meant.astype(np.uint32) << 24 | 0x800000),
    }[kind]
    assert near(shown(tiff(small, small, full, small, order=order, big=big), tmp_path, "RGB"), meant)


@pytest.mark.parametrize("pages", [1, 2, 100])
def test_where_all_pages_are_small_the_first_counts(pages: int, tmp_path: Path) -> None:
    page = Page(smooth(3), tags={254: (1,)})
    assert near(shown(tiff(*[page] * pages), tmp_path, "RGB"), smooth(3))


def test_pages_that_follow_one_another_in_a_ring(tmp_path: Path) -> None:
    data = bytearray(tiff(Page(smooth(3), tags={254: (1,)})))
    data[-4:] = data[4:8]
    assert near(shown(bytes(data), tmp_path, "RGB"), smooth(3))


def test_a_layout_that_is_cut_short_is_truncated(tmp_path: Path) -> None:
    whole = tiff(Page(np.random.default_rng(1).integers(0, 65535, (HIGH, WIDE, 2), np.uint16), 1, 8))
    head = tiff(Page(smooth(2, 16), 1, tags={338: (2,)}))
    for data in (head[:8] + head[-300:], whole.replace(whole[40:80], bytes(40))):
        with pytest.raises(SourceError) as caught:
            rendered(data, tmp_path, WHOLE)
        assert caught.value.reason in (Reason.TRUNCATED, Reason.DAMAGED, Reason.UNSUPPORTED)
        (tmp_path / "thumb").unlink(missing_ok=True)


def png(samples: Samples, kind: int, bits: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of samples that have so many bits."""
    rows = b""
    for line in samples.reshape(len(samples), -1):
        row = line.astype(">u2").tobytes() if bits == 16 else b""
        if bits < 16:
            text = "".join(f"{int(n):0{bits}b}" for n in line)
            row = int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
        rows += b"\0" + row
    head = struct.pack(">IIBBBBB", samples.shape[1], len(samples), bits, kind, 0, 0, 0)
    found = b"\x89PNG\r\n\x1a\n"
    for name, body in ((b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        found += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return found


LINEAR = (b"gAMA", struct.pack(">I", 100_000))


@pytest.mark.parametrize("chunks", [(), (LINEAR,)], ids=["plain", "linear"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_a_png_is_exact(
    bits: int, chunks: tuple[tuple[bytes, bytes], ...], tmp_path: Path
) -> None:
    most = 2**bits - 1
    samples = np.zeros((HIGH, WIDE), int) + min(most, 25_700)
    if bits > 1:
        samples[:, 10:20] = min(most, 25_700) - 1
    samples[:, 20:30] = 0
    data = png(samples, 0, bits, *chunks, (b"tRNS", struct.pack(">H", min(most, 25_700))))
    alpha = shown(data, tmp_path, "RGBA")[..., 3]
    assert (alpha == np.where(samples == min(most, 25_700), 0, 255)).all()


@pytest.mark.parametrize("chunks", [(), (LINEAR,)], ids=["plain", "linear"])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_transparent_colour_of_a_png_is_exact(
    bits: int, chunks: tuple[tuple[bytes, bytes], ...], tmp_path: Path
) -> None:
    clear = (61, 63, 65) if bits == 8 else (0x3D3D, 0x3F3F, 0x4141)
    samples = np.zeros((HIGH, WIDE, 3), int) + clear
    samples[:, 10:20, 1] += 1
    samples[:, 20:30, 1] += 0 if bits == 8 else 0x100
    samples[:, 30:40] = 7
    meant = np.where((samples == clear).all(axis=-1), 0, 255)
    found = shown(png(samples, 2, bits, *chunks, (b"tRNS", struct.pack(">3H", *clear))), tmp_path, "RGBA")
    assert (found[..., 3] == meant).all()


def test_a_cut_png_with_a_transparent_colour_is_truncated(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 65535, (HIGH, WIDE))
    data = png(noise, 0, 16, (b"tRNS", b"\1\1"))
    with pytest.raises(SourceError) as caught:
        rendered(data[:-2000], tmp_path, WHOLE)
    assert caught.value.reason is Reason.TRUNCATED


Masks = tuple[int, int, int, int]


def bitmap(codes: Samples, masks: Masks, header: int, *, upwards: bool = True) -> bytes:
    """A BMP of 16 or 32 bits whose masks say where the bits are. Header 41 stands for 40 with four masks behind it."""
    high, wide = codes.shape
    bits = codes.dtype.itemsize * 8
    length = 40 if header == 41 else header
    compression = 6 if header == 41 else 3
    behind = struct.pack("<4I", *masks)[: 12 if header in (40, 52) else 16]
    head = struct.pack("<IiiHHIIiiII", length, wide, high if upwards else -high, 1, bits, compression, 0, 0, 0, 0, 0)
    head = (head + behind).ljust(length, b"\0")
    rows = [row.tobytes() + bytes(-row.nbytes % 4) for row in codes.astype(f"<u{bits // 8}")]
    body = b"".join(rows[::-1] if upwards else rows)
    start = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + body


@pytest.mark.parametrize("upwards", [True, False])
@pytest.mark.parametrize("header", [40, 41, 52, 56, 108, 124])
@pytest.mark.parametrize(
    ("bits", "masks"),
    [
        (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        (32, (0xFF0000, 0xFF00, 0xFF, 0)),
        (32, (0x3FF00000, 0xFFC00, 0x3FF, 0)),
        (32, (0x3FF, 0xFFC00, 0x3FF00000, 0xC0000000)),
        (32, (0xFF, 0xFF000000, 0xFF00, 0xFF0000)),
        (32, (0xFF000000, 0xF000, 0xFF0000, 0)),
        (16, (0x7C00, 0x3E0, 0x1F, 0x8000)),
        (16, (0xF00, 0xF0, 0xF, 0xF000)),
        (16, (0xF800, 0x7E0, 0x1F, 0)),
        (16, (0x1F, 0x7E0, 0xF800, 0)),
    ],
)
def test_bits_of_a_bitmap_lie_where_its_masks_say(
    bits: int, masks: Masks, header: int, upwards: bool, tmp_path: Path
) -> None:
    samples = smooth(5)[:, :, [0, 1, 2, 4]]
    codes = np.zeros((HIGH, WIDE), np.uint32 if bits == 32 else np.uint16)
    meant = np.full((HIGH, WIDE, 4), 255)
    used = masks[:3] if header in (40, 52) else masks
    for n, mask in enumerate(used):
        if mask:
            low = (mask & -mask).bit_length() - 1
            level = np.rint(samples[..., n] / 255 * (mask >> low)).astype(int)
            codes |= (level << low).astype(codes.dtype)
            meant[..., n] = np.rint(level * 255 / (mask >> low))
    found = shown(bitmap(codes, (*used, 0)[:4], header, upwards=upwards), tmp_path, "RGBA")
    seen = meant[..., 3] > 0
    assert near(found[..., 3], meant[..., 3])
    assert near(found[seen], meant[seen], 8 if bits == 16 and not masks[3] else 1)


def test_a_bitmap_cut_short_is_truncated(tmp_path: Path) -> None:
    data = bitmap(np.zeros((HIGH, WIDE), np.uint16), (0x7C00, 0x3E0, 0x1F, 0x8000), 124)
    with pytest.raises(SourceError) as caught:
        rendered(data[:-100], tmp_path, WHOLE)
    assert caught.value.reason is Reason.TRUNCATED


def gif(colours: list[tuple[int, int, int]], box: tuple[int, int, int, int], clear: int | None = None) -> bytes:
    """A frame of the colour 1, at a box (left, top, width, height) of a canvas."""
    file = io.BytesIO()
    frame = Image.new("P", box[2:], 1)
    frame.putpalette([n for colour in colours for n in colour])
    frame.save(file, "GIF", **({} if clear is None else {"transparency": clear}))
    data = bytearray(file.getvalue())
    data[6:10] = struct.pack("<HH", WIDE, HIGH)
    palette = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    at = data.index(b",", palette)
    data[at + 1 : at + 5] = struct.pack("<HH", *box[:2])
    return bytes(data)


@pytest.mark.parametrize("clear", [None, 0, 2])
@pytest.mark.parametrize("colours", [[(0, 0, 0), (9, 99, 200), (5, 5, 5)], [(n, n, n) for n in (0, 1, 2)]])
def test_around_a_small_first_frame_there_is_nothing(
    colours: list[tuple[int, int, int]], clear: int | None, tmp_path: Path
) -> None:
    data = gif(colours, (10, 12, 20, 16), clear)
    found = shown(data, tmp_path, "RGBA")
    meant = np.zeros((HIGH, WIDE), int)
    meant[12:28, 10:30] = 255
    assert (found[..., 3] == meant).all()
    assert (found[meant > 0][:, :3] == Image.open(io.BytesIO(data)).convert("RGB").getpixel((15, 15))).all()


def test_a_first_frame_of_the_canvas_is_opaque(tmp_path: Path) -> None:
    data = encoded(Image.new("P", (WIDE, HIGH), 1), "GIF")
    assert thumb(data, tmp_path, WHOLE).mode in ("L", "RGB")


@pytest.mark.parametrize(("order", "big"), ORDERS)
@pytest.mark.parametrize("orientation", [1, 6])
def test_what_else_a_page_says_holds_in_every_kind_of_file(
    orientation: int, order: str, big: bool, tmp_path: Path
) -> None:
    """A palette, the orientation and the profile."""
    index = np.tile(np.arange(WIDE, dtype=np.uint8)[:, None], (HIGH, 1, 1))
    colours = np.zeros((3, 256), int)
    colours[0, :WIDE], colours[1, :WIDE] = np.arange(WIDE) * 1285, 20_000
    tags: dict[int, tuple[int, ...] | bytes] = {320: tuple(colours.ravel().tolist()), 274: (orientation,)}
    profile = profiles.display_p3()
    data = tiff(Page(index, 3, tags=tags | {34675: profile}), order=order, big=big)
    image = thumb(data, tmp_path, Preset("thumb", 60, 60, format="png", colorspace="keep"))
    meant = np.stack([np.tile(np.arange(WIDE) * 5, (HIGH, 1)), np.full((HIGH, WIDE), 78), np.zeros((HIGH, WIDE))], -1)
    assert near(np.asarray(image.convert("RGB")), np.rot90(meant, -1) if orientation == 6 else meant)
    assert image.info["icc_profile"] == profile


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (1, 1), (1, 2), (2, 3), (2, 4)])
def test_linear_light_of_every_kind(kind: int, channels: int, bits: int, tmp_path: Path) -> None:
    samples = smooth(channels, bits)
    if channels in (2, 4):
        samples[..., -1] = 2**bits - 1
    space = profiles.Space("sRGB", profiles.columns(*profiles.PRIMARIES[1]) if kind == 2 else None, 1.0)
    page = Page(samples, kind, tags={34675: space.profile(), **({338: (2,)} if channels in (2, 4) else {})})
    light = samples[..., : 3 if kind == 2 else 1] / (2**bits - 1)
    light = 1 - light if kind == 0 else light
    meant = 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    assert near(shown(tiff(page), tmp_path, "RGB"), meant, 2)


@pytest.mark.parametrize("seed", range(40))
def test_damage_to_a_layout_ends_in_a_reason(seed: int, tmp_path: Path) -> None:
    chance = np.random.default_rng(seed)
    order, big = ORDERS[seed % 4]
    page = [
        Page(smooth(2, 16), 1, 5, 2, tags={338: (2,)}),
        Page(smooth(3, 16), 2, 8, 2, apart=True, tile=16),
        Page(smooth(5), 5, tags={338: (1,), 254: (1,)}),
        Page(smooth(3, 16), 8, 32773),
    ][seed // 4 % 4]
    data = bytearray(tiff(page, Page(smooth(1), 1), order=order, big=big))
    for at in chance.integers(0, len(data), 60):
        data[at] = chance.integers(0, 256)
    at = len(data) - 400  # the directories
    for place in chance.integers(at, len(data), 6):
        data[place] = chance.integers(0, 256)
    try:
        rendered(bytes(data), tmp_path, WHOLE)
    except SourceError as error:
        assert error.decoder or error.reason is Reason.NOT_AN_IMAGE
