"""More than eight bits, and more than white: scaled, bent, never clipped; what nobody here reads is refused by name."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging import formats
from hotfolder.imaging.colour import convert as colour
from hotfolder.imaging.colour import hdr, profiles
from hotfolder.imaging.colour.signals import Cicp
from hotfolder.presets import Preset
from tests.unit.imaging import copy, encoded, noise, rendered, thumb

RAMP = np.tile(np.linspace(0, 1, 64), (48, 1))
WHOLE = Preset("thumb", 64, 48, format="png")
KEPT = Preset("thumb", 64, 48, format="png", colorspace="keep")


def tiff(array: np.ndarray[Any, Any], compression: int = 1) -> bytes:
    ok, data = cv2.imencode(".tiff", array, [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    assert ok
    return data.tobytes()


def png16(array: np.ndarray[Any, Any], *chunks: tuple[bytes, bytes]) -> bytes:
    """A 16-bit PNG (channels in the order B, G, R) with these chunks behind its header."""
    ok, data = cv2.imencode(".png", array)
    assert ok
    return with_chunks(data.tobytes(), *chunks)


def with_chunks(png: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    extra = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return png[:33] + extra + png[33:]


def srgb(light: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * np.power(light, 1 / 2.4) - 0.055)


def row(data: bytes, folder: Path, preset: Preset = WHOLE) -> np.ndarray[Any, Any]:
    """The middle row of the picture, its first channel."""
    shown = np.asarray(thumb(data, folder, preset)).astype(int)
    return shown[24] if shown.ndim == 2 else shown[24, :, 0]


@pytest.mark.parametrize("kind", ["png", "tiff", "ppm"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_scaled(kind: str, channels: int, tmp_path: Path) -> None:
    if (kind, channels) == ("ppm", 4):
        pytest.skip("PPM has no alpha")
    ramp = np.rint(RAMP * 65535).astype(np.uint16)
    array = ramp if channels == 1 else np.dstack([ramp] * 3 + [np.full_like(ramp, 65535)] * (channels - 3))
    ok, data = cv2.imencode(f".{'pgm' if (kind, channels) == ('ppm', 1) else kind}", array)
    assert ok
    assert np.abs(row(data.tobytes(), tmp_path) - RAMP[0] * 255).max() <= 1


@pytest.mark.parametrize("compression", [1, 5, 8], ids=["plain", "lzw", "deflate"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_floats_from_black_to_white_are_linear_light(
    kind: type[np.floating[Any]], channels: int, compression: int, tmp_path: Path
) -> None:
    array = RAMP if channels == 1 else np.dstack([RAMP] * 3 + [np.ones_like(RAMP)] * (channels - 3))
    shown = row(tiff(array.astype(kind), compression), tmp_path)
    assert np.abs(shown - srgb(RAMP[0])).max() <= 1


def test_light_beyond_white_is_bent_in(tmp_path: Path) -> None:
    shown = row(tiff(np.dstack([RAMP * 8] * 3).astype(np.float32)), tmp_path)
    assert shown.max() == 255
    beyond = shown[(RAMP[0] > 1 / 8) & (RAMP[0] < 1 / 2)]
    assert beyond.max() < 255, "four times white came out as white"
    assert len(set(beyond.tolist())) > 15, "what is brighter than white lost its shape"
    assert (np.diff(shown) >= 0).all()
    assert shown[1] == pytest.approx(srgb(np.array(8 / 63)), abs=3), "what is dark stays as it is"


def test_numbers_that_are_no_light_are_stretched(tmp_path: Path) -> None:
    for array in (RAMP * 900 - 3, RAMP * 20000 - 10000, RAMP * 2e9):
        kind = np.float32 if array.min() == -3 else np.int16 if array.min() < 0 else np.uint32
        shown = row(tiff(array.astype(kind)), tmp_path)
        expected = RAMP[0] * (255 if kind is not np.uint32 else 255 * 2e9 / (2**32 - 1))
        assert np.abs(shown - expected).max() <= 1, kind


def test_a_linear_profile_does_not_band_the_shadows(tmp_path: Path) -> None:
    """Linear light in eight bits has 13 steps below a grey of 64; the picture must have nearly all 64."""
    ramp = np.rint(np.tile(np.linspace(0, 0.0513, 64), (48, 1)) * 65535).astype(np.uint16)
    linear = profiles.Space("linear", profiles.columns(*profiles.PRIMARIES[1]), 1.0).profile()
    gamma = struct.pack(">I", 100_000)
    profile = zlib.compress(linear)
    for chunk in ((b"gAMA", gamma), (b"iCCP", b"linear\0\0" + profile)):
        shown = row(png16(np.dstack([ramp] * 3), chunk), tmp_path)
        assert len(set(shown.tolist())) > 45, chunk[0]
        assert np.abs(shown - srgb(np.linspace(0, 0.0513, 64))).max() <= 2


def test_white_can_be_zero(tmp_path: Path) -> None:
    data = bytearray(tiff(np.rint(RAMP * 65535).astype(np.uint16)))
    at = data.index(struct.pack("<HHI", 262, 3, 1)) + 8
    data[at] = 0
    assert np.abs(row(bytes(data), tmp_path) - (255 - RAMP[0] * 255)).max() <= 1


def planes_apart() -> bytes:
    """Of 32 bits; those of 16 are read."""
    data = bytearray(tiff((np.dstack([RAMP] * 3) * (2**32 - 1)).astype(np.uint32)))
    data[data.index(struct.pack("<HHI", 284, 3, 1)) + 8] = 2
    return bytes(data)


def half_floats() -> bytes:
    data = bytearray(tiff(np.rint(RAMP * 65535).astype(np.uint16)))
    data[data.index(struct.pack("<HHI", 339, 3, 1)) + 8] = 3
    return bytes(data)


def twelve_bits() -> bytes:
    data = encoded(noise(40, 30), "JPEG")
    at = data.index(b"\xff\xc0") + 4
    return data[:at] + b"\x0c" + data[at + 1 :]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (twelve_bits(), "12-bit JPEG"),
        (twelve_bits().replace(b"\xff\xc0", b"\xff\xf7"), "12-bit JPEG"),
        (planes_apart(), "planes apart"),
        (half_floats(), "16 bits float"),
    ],
    ids=["12-bit", "ls", "planar", "half"],
)
def test_what_nobody_here_reads_is_refused_by_name(data: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        rendered(data, tmp_path, WHOLE)
    assert caught.value.reason is Reason.UNSUPPORTED
    assert caught.value.decoder, "so that a later decoder tries it again"


def test_the_tone_curve_is_that_of_the_report() -> None:
    """BT.2390: below the knee nothing changes, the peak becomes the target's, and it never falls."""
    nits = np.linspace(0, 1000, 500)
    bent = hdr.eetf(nits, 1000.0)
    assert bent[nits < 80] == pytest.approx(nits[nits < 80], rel=1e-6)
    assert bent[-1] == pytest.approx(203, rel=1e-4)
    assert (np.diff(bent) > 0).all()
    assert hdr.eetf(nits[nits <= 203], 203.0) == pytest.approx(nits[nits <= 203])


def test_transfer_functions_are_those_of_the_standard() -> None:
    """Values of BT.2100 and BT.2408: PQ 58 % is 203 cd/m², HLG 75 % is about 203 on a display of 1,000."""
    assert hdr.pq_to_nits(np.array([0.0, 0.5807, 0.7518, 1.0])) == pytest.approx(
        [0, 203, 1000, 10000], rel=2e-3, abs=1e-3
    )
    assert hdr.nits_to_pq(hdr.pq_to_nits(np.linspace(0, 1, 20))) == pytest.approx(np.linspace(0, 1, 20), abs=1e-6)
    scene = float(hdr.hlg_to_scene(np.array(0.75)))
    assert 1000 * scene**1.2 == pytest.approx(203, rel=0.01)


@pytest.mark.parametrize("transfer", [profiles.PQ, profiles.HLG])
def test_hdr_pngs_are_bent_not_clipped(transfer: int, tmp_path: Path) -> None:
    ramp = np.rint(RAMP * 65535).astype(np.uint16)
    data = png16(np.dstack([ramp] * 3), (b"cICP", bytes([9, transfer, 0, 1])))
    shown = row(data, tmp_path)
    assert (np.diff(shown) >= 0).all()
    assert (shown[0], shown[-1]) == (0, 255)
    assert len(set(shown[32:].tolist())) >= 20, "the upper half of the signal was clipped"
    light = hdr.pq_to_nits(RAMP[0]) if transfer == profiles.PQ else 1000 * hdr.hlg_to_scene(RAMP[0]) ** 1.2
    dim = light < 20
    assert np.abs(shown[dim] - srgb(light[dim] / 203)).max() <= 2, "what is dark stays as it is"


def test_hdr_colours_come_from_their_primaries() -> None:
    """A red of sRGB within BT.2020, at 100 cd/m²: must come out as that red."""
    matrix = np.linalg.inv(np.array(profiles.between(9)))
    codes = hdr.nits_to_pq(matrix @ np.array([100.0, 0, 0]))
    pixel = np.rint(codes * 65535).astype(np.uint16).reshape(1, 1, 3)
    red, green, blue = hdr.to_srgb(pixel, Cicp(9, profiles.PQ))[0, 0].tolist()
    assert red == pytest.approx(srgb(np.array(100 / 203)), abs=2)
    assert max(green, blue) <= 3


def avif_with(primaries: int, transfer: int) -> bytes:
    data = encoded(Image.new("RGB", (64, 48), (60, 180, 90)), "AVIF", quality=100, subsampling="4:4:4")
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def test_avif_in_pq_is_recognised_by_its_primary_item(tmp_path: Path) -> None:
    assert formats.of("avif").cicp(avif_with(9, profiles.PQ)) == Cicp(9, profiles.PQ)
    sdr = thumb(avif_with(1, 13), tmp_path).getpixel((9, 9))
    assert sdr == pytest.approx((60, 180, 90), abs=4)
    pq = thumb(avif_with(1, profiles.PQ), tmp_path).getpixel((9, 9))
    nits = hdr.pq_to_nits(np.array([60, 180, 90]) / 255)
    bent = nits * hdr.eetf(nits.max(), float(nits.max())) / nits.max() / 203
    assert pq == pytest.approx(srgb(bent), abs=6)


@pytest.mark.parametrize("at", [4, 8, 16])
def test_offsets_beyond_any_file_are_damage(at: int, tmp_path: Path) -> None:
    data = bytearray(b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0" + bytes(60))
    data[at : at + 8] = b"\xff" * 8
    with pytest.raises(SourceError) as caught:
        rendered(bytes(data), tmp_path, WHOLE, name=b"x.tif")
    assert caught.value.reason in (Reason.DAMAGED, Reason.UNSUPPORTED, Reason.TRUNCATED, Reason.NOT_AN_IMAGE)


@pytest.mark.parametrize("damage", range(0, 300, 7))
def test_broken_boxes_say_nothing(damage: int) -> None:
    data = bytearray(avif_with(9, profiles.PQ))
    data[damage : damage + 4] = b"\xff\xff\xff\xff"
    formats.of("avif").cicp(bytes(data))
    formats.of("heif").cicp(bytes(data[:damage]))
    formats.of("png").cicp(bytes(data))


P3_SHOWN = (0, 183, 81)
"""(60, 180, 90) of Display P3 as sRGB."""


@pytest.mark.parametrize(
    "data",
    [
        avif_with(12, 13),
        with_chunks(encoded(Image.new("RGB", (64, 48), (60, 180, 90)), "PNG"), (b"cICP", bytes([12, 13, 0, 1]))),
        with_chunks(
            encoded(Image.new("RGB", (64, 48), (60, 180, 90)), "PNG"),
            (b"gAMA", struct.pack(">I", 45455)),
            (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)),
        ),
    ],
    ids=["nclx", "cICP", "cHRM"],
)
def test_colours_declared_without_a_profile_are_shown_right(data: bytes, tmp_path: Path) -> None:
    assert thumb(data, tmp_path).getpixel((9, 9)) == pytest.approx(P3_SHOWN, abs=5)
    kept = thumb(data, tmp_path, KEPT)
    assert kept.getpixel((9, 9)) == pytest.approx((60, 180, 90), abs=4)
    assert colour.convert(kept.convert("RGB"), kept.info["icc_profile"])[0].getpixel((9, 9)) == pytest.approx(
        P3_SHOWN, abs=5
    )


@pytest.mark.parametrize("gamma", [45_455, 62_500, 100_000])
def test_the_gamma_of_a_png_counts(gamma: int, tmp_path: Path) -> None:
    data = with_chunks(encoded(Image.new("RGB", (64, 48), (90, 90, 90)), "PNG"), (b"gAMA", struct.pack(">I", gamma)))
    expected = 90 if gamma == 45_455 else srgb(np.array(90 / 255) ** (100_000 / gamma))
    assert thumb(data, tmp_path).getpixel((9, 9))[0] == pytest.approx(expected, abs=2)  # type: ignore[index]
    plain = with_chunks(data, (b"sRGB", b"\0"))
    assert thumb(plain, tmp_path).getpixel((9, 9)) == (90, 90, 90), "sRGB is stronger than gAMA"


def sixteen(data: bytes) -> np.ndarray[Any, Any]:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found


@pytest.mark.parametrize("mode", ["lossy", "auto", "lossless"])
@pytest.mark.parametrize("rule", ["safe", "strip", "keep"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_of_a_png_stay_in_its_copy(channels: int, rule: str, mode: str, tmp_path: Path) -> None:
    ramp = np.arange(64 * 48 * channels, dtype=np.uint32).reshape(48, 64, channels) * 19 % 65536
    source = bytes(cv2.imencode(".png", ramp.astype(np.uint16))[1])
    found, _ = copy(source, tmp_path, mode=mode, metadata=rule)
    assert sixteen(found).dtype == np.uint16
    assert np.array_equal(sixteen(found), sixteen(source))


def test_a_scaled_copy_has_eight(tmp_path: Path) -> None:
    source = bytes(cv2.imencode(".png", np.full((48, 64, 3), 40_000, np.uint16))[1])
    found, _ = copy(source, tmp_path, max_dimension=32)
    assert sixteen(found).dtype == np.uint8
    assert abs(int(sixteen(found)[0, 0, 0]) - 156) <= 1


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA"])
def test_every_kind_of_png_is_hdr_where_it_says_so(mode: str, tmp_path: Path) -> None:
    """Grey of 100 cd/m², half of it transparent where it has alpha."""
    code = round(255 * float(hdr.nits_to_pq(np.array(100.0))))
    image = Image.new("RGBA", (64, 48), (code, code, code, 255))
    image.paste((code, code, code, 0), (32, 0, 64, 48))
    plain = image.convert(mode)
    data = with_chunks(encoded(plain, "PNG"), (b"cICP", bytes([9, profiles.PQ, 0, 1])))
    shown = thumb(data, tmp_path).convert("RGBA")
    meant = float(srgb(hdr.pq_to_nits(np.array(code / 255)) / 203))
    assert shown.getpixel((5, 5)) == pytest.approx((meant, meant, meant, 255), abs=2)
    assert shown.getpixel((50, 5))[3] == (0 if mode in ("LA", "P", "RGBA") else 255)  # type: ignore[index]
