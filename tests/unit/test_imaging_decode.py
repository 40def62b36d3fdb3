"""From bytes to pixels: every format, every orientation, and everything that is no picture."""

from __future__ import annotations

import importlib.util
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hotfolder.errors import MissingExtra, Reason, SourceError
from hotfolder.imaging import Limits, open_image
from hotfolder.presets import OptimizeSpec
from tests.unit.imaging import corner, encoded, noise, rendered, thumb

FORMATS = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WEBP",
    "avif": "AVIF",
    "gif": "GIF",
    "bmp": "BMP",
    "tiff": "TIFF",
    "ico": "ICO",
    "ppm": "PPM",
    "tga": "TGA",
}
SMALL = {name: encoded(noise(90, 70), plugin) for name, plugin in FORMATS.items()}


def failure(data: bytes, folder: Path, name: bytes = b"", limits: Limits | None = None) -> SourceError:
    with pytest.raises(SourceError) as caught:
        rendered(data, folder, name=name, limits=limits, wanted=())
    return caught.value


@pytest.mark.parametrize("name", FORMATS)
def test_content_decides_the_format(name: str, tmp_path: Path) -> None:
    result, _ = rendered(SMALL[name], tmp_path, name=b"x.tga" if name == "tga" else b"lie.png")
    assert (result.format, result.width, result.height) == (name, *((90, 70) if name != "ico" else (64, 50)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_every_orientation_becomes_upright(plugin: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(corner(), plugin, exif=exif.tobytes() if plugin != "TIFF" else exif)
    image = thumb(data, tmp_path).convert("RGB")
    assert image.size == ((60, 30) if orientation < 5 else (30, 60))
    right, low = image.width - 4, image.height - 4
    red_at = {
        1: (3, 3),
        2: (right, 3),
        3: (right, low),
        4: (3, low),
        5: (3, 3),
        6: (right, 3),
        7: (right, low),
        8: (3, low),
    }[orientation]
    for at in ((3, 3), (right, 3), (3, low), (right, low)):
        pixel = image.getpixel(at)
        assert isinstance(pixel, tuple)
        assert (pixel[0] > 200) == (at == red_at), f"{plugin} {orientation}: {pixel} at {at}"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("1", (9, 9), 1), ("L", 255)),
        (Image.new("L", (9, 9), 77), ("L", 77)),
        (Image.new("LA", (9, 9), (77, 100)), ("RGBA", (77, 77, 77, 100))),
        (Image.fromarray(np.full((9, 9), 2470, np.uint16)), ("L", 10)),
        (Image.new("RGBA", (9, 9), (9, 200, 30, 128)), ("RGBA", (9, 200, 30, 128))),
    ],
)
def test_every_depth_becomes_eight_bits(image: Image.Image, expected: tuple[str, object], tmp_path: Path) -> None:
    result = thumb(encoded(image, "PNG"), tmp_path)
    assert (result.mode, result.getpixel((4, 4))) == expected


def test_floats_are_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = Image.fromarray(np.tile(np.linspace(-3, 900, 40, dtype=np.float32), (40, 1)))
    assert thumb(encoded(ramp, "TIFF"), tmp_path).getextrema() == (0, 255)


def test_one_colour_can_stand_for_transparent(tmp_path: Path) -> None:
    image = thumb(encoded(corner(), "PNG", transparency=(255, 0, 0)), tmp_path)
    assert image.mode == "RGBA"
    assert [image.getpixel(at)[3] for at in ((3, 3), (50, 25))] == [0, 255]  # type: ignore[index]


def test_inks_become_colours(tmp_path: Path) -> None:
    image = thumb(encoded(Image.new("CMYK", (90, 90), (0, 255, 255, 0)), "JPEG"), tmp_path)
    red, green, blue = image.getpixel((5, 5))  # type: ignore[misc]
    assert image.mode == "RGB"
    assert red > 230 > 25 > max(green, blue)


@pytest.mark.parametrize(
    ("data", "reason", "said"),
    [
        (b"", Reason.EMPTY, "empty"),
        (b"dear diary\n" * 50, Reason.NOT_AN_IMAGE, "text"),
        (bytes(4096), Reason.NOT_AN_IMAGE, "zeros"),
        (b"\x7fELF\x02\x01\x01\x00" * 9, Reason.NOT_AN_IMAGE, "no image format"),
        (b"8BPS\x00\x01" + bytes(90), Reason.UNSUPPORTED, "Photoshop"),
        (b"%PDF-1.7\n", Reason.UNSUPPORTED, "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Reason.UNSUPPORTED, "SVG"),
        (SMALL["tga"], Reason.NOT_AN_IMAGE, ""),
    ],
)
def test_what_is_no_picture_is_told_apart(data: bytes, reason: Reason, said: str, tmp_path: Path) -> None:
    error = failure(data, tmp_path)
    assert error.reason is reason
    assert said in error.message


@pytest.mark.parametrize(
    ("data", "name", "extra"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", b"", "heif"),
        (b"\xff\x0a" + bytes(20), b"", "jxl"),
        (b"\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a", b"", "jxl"),
        (b"FUJIFILMCCD-RAW 0201", b"", "raw"),
        (b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom", b"", "raw"),
        (SMALL["tiff"], b"x.NEF", "raw"),
    ],
)
def test_a_missing_extra_is_named(data: bytes, name: bytes, extra: str) -> None:
    modules = {"heif": "pillow_heif", "jxl": "pillow_jxl", "raw": "rawpy"}
    if importlib.util.find_spec(modules[extra]):
        pytest.skip("the extra is installed")
    with pytest.raises(MissingExtra, match=rf"hotfolder\[{extra}\]"):
        open_image(data, Limits(), name)


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("tga", "tiff", "ico", "ppm")])
def test_a_file_that_ends_too_early_is_called_so(name: str, tmp_path: Path) -> None:
    data = SMALL[name]
    for length in (len(data) // 3, len(data) // 2, len(data) - 200):
        with pytest.raises(SourceError) as caught:
            rendered(data[:length], tmp_path, optimize=OptimizeSpec(format="png"))
        assert caught.value.reason is Reason.TRUNCATED, (length, caught.value)


@given(name=st.sampled_from(sorted(SMALL)), draw=st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_bytes_raise_anything_else(name: str, draw: st.DataObject, tmp_path: Path) -> None:
    data = bytearray(SMALL[name])
    for at in draw.draw(st.lists(st.integers(0, len(data) - 1), max_size=5)):
        data[at] = draw.draw(st.integers(0, 255))
    whole = bytes(data[: draw.draw(st.integers(0, len(data)))])
    try:
        rendered(whole, tmp_path, optimize=OptimizeSpec(), name=b"x.tga", limits=Limits(max_pixels=1_000_000))
    except SourceError as error:
        assert error.message


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def webp_header(width: int, height: int) -> bytes:
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + (width - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + body + (height - 1).to_bytes(3, "little")


@pytest.mark.parametrize(
    "data",
    [
        png_header(60_000, 50_000) + b"\0\0\xff\xffIDAT" + bytes(60),
        webp_header(16_000, 16_000),
        struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, 100, 22) + png_header(20_000, 20_000),
        SMALL["jpeg"].replace(struct.pack(">HH", 70, 90), struct.pack(">HH", 60_000, 60_000)),
    ],
    ids=["png", "webp", "png within ico", "jpeg"],
)
def test_too_many_pixels_are_refused_by_the_header_alone(data: bytes, tmp_path: Path) -> None:
    error = failure(data, tmp_path)
    assert error.reason is Reason.TOO_MANY_PIXELS
    assert "250000000" in error.message


def test_too_many_bytes_are_refused(tmp_path: Path) -> None:
    assert failure(SMALL["png"], tmp_path, limits=Limits(max_bytes=99)).reason is Reason.TOO_MANY_BYTES
