"""The optimized copy: never larger than its source, upright, and without what the metadata rule forbids."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hotfolder.imaging.colour import convert as colour
from tests.unit.imaging import copy, corner, encoded, noise

SECRETS = (
    b"GPS-SECRET",
    b"SERIAL-BODY",
    b"SERIAL-LENS",
    b"OWNER-NAME",
    b"UNIQUE-ID",
    b"MAKER-NOTE",
    b"XMP-SECRET",
    b"IPTC-SECRET",
    b"COMMENT-SECRET",
    b"TRAILER-SECRET",
    b"THUMB-SECRET",
)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6">XMP-SECRET</x:xmpmeta>'
IPTC = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\x0bIPTC-SECRET\0"


def planted(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x8298], exif[0x0132] = "Acme Camera", "Copyright Ann", "2024:01:02 03:04:05"
    exif[0x0112] = orientation
    exif[0x8769] = {
        0x9003: "2023:03:04 05:06:07",
        0xA431: "SERIAL-BODY",
        0xA435: "SERIAL-LENS",
        0xA430: "OWNER-NAME",
        0xA420: "UNIQUE-ID",
        0x927C: b"MAKER-NOTE",
    }
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 7.0), 27: b"ASCII\0\0\0GPS-SECRET"}
    return exif.tobytes()


def source(plugin: str, orientation: int = 1, quality: int = 97, image: Image.Image | None = None) -> bytes:
    """A picture with everything planted that its format can carry."""
    image = image or noise(300, 200).reduce(2).resize((300, 200))
    options = {"exif": planted(orientation), "icc_profile": colour.display_p3(), "quality": quality}
    if plugin == "PNG":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        text.add_text("Comment", "COMMENT-SECRET", zip=False)
        return encoded(image, plugin, pnginfo=text, compress_level=9, **options) + b"TRAILER-SECRET"
    if plugin == "JPEG":
        segment = b"\xff\xed" + struct.pack(">H", len(IPTC) + 2) + IPTC
        data = encoded(
            image, plugin, xmp=XMP, comment=b"COMMENT-SECRET", extra=segment, progressive=True, optimize=True, **options
        )
        return data + b"TRAILER-SECRET"
    return encoded(image, plugin, xmp=XMP, **options)


def secrets_in(data: bytes) -> list[bytes]:
    return [secret for secret in SECRETS if secret in data]


@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("quality", [97, 30], ids=["encoded", "rewritten"])
@pytest.mark.parametrize("rule", ["safe", "strip"])
def test_nothing_private_is_left(plugin: str, quality: int, rule: str, tmp_path: Path) -> None:
    data = source(plugin, orientation=6, quality=quality)
    assert len(secrets_in(data)) >= 7
    result, _ = copy(data, tmp_path, metadata=rule)
    assert secrets_in(result) == []
    image = Image.open(io.BytesIO(result))
    exif = image.getexif()
    assert dict(exif.get_ifd(0x8825)) == {}
    assert (exif.get(0x8298) == "Copyright Ann") == (rule == "safe")
    assert (exif.get_ifd(0x8769).get(0x9003) == "2023:03:04 05:06:07") == (rule == "safe")
    assert image.info.get("icc_profile") == colour.display_p3(), "without its profile the colours are others"


@pytest.mark.parametrize("plugin", ["JPEG", "WEBP"])
def test_keep_keeps(plugin: str, tmp_path: Path) -> None:
    result, _ = copy(source(plugin, orientation=6), tmp_path, metadata="keep", max_dimension=200)
    lost = set(secrets_in(source(plugin))) - set(secrets_in(result)) - {b"TRAILER-SECRET"}
    assert lost == set()
    assert b'tiff:Orientation="1"' in result, "a reader that goes by XMP would turn the upright picture again"


@pytest.mark.parametrize("quality", [97, 30], ids=["encoded", "rewritten"])
@pytest.mark.parametrize("rule", ["keep", "safe", "strip"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_copy_is_seen_upright(quality: int, rule: str, orientation: int, tmp_path: Path) -> None:
    from PIL import ImageOps

    picture = noise(320, 160).reduce(4).resize((320, 160))
    picture.paste("red", (0, 0, 160, 80))
    data = source("JPEG", orientation, quality, picture)
    result, _ = copy(data, tmp_path, metadata=rule)
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(result))).convert("RGB")
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert shown.size == expected.size
    assert np.abs(np.asarray(shown).astype(int) - np.asarray(expected)).mean() < 20


def scans(jpeg: bytes) -> bytes:
    return jpeg[jpeg.index(b"\xff\xc2") : jpeg.rindex(b"\xff\xd9")]


def test_a_rewritten_jpeg_has_its_scans_untouched(tmp_path: Path) -> None:
    data = source("JPEG", quality=30)
    result, note = copy(data, tmp_path)
    assert note == ""
    assert len(result) < len(data)
    assert scans(result) == scans(data.removesuffix(b"TRAILER-SECRET"))


@pytest.mark.parametrize("plugin", ["PNG", "WEBP"])
def test_a_rewritten_picture_has_its_pixels_untouched(plugin: str, tmp_path: Path) -> None:
    data = source(plugin, quality=30)
    result, _ = copy(data, tmp_path)
    assert len(result) < len(data)
    assert Image.open(io.BytesIO(result)).tobytes() == Image.open(io.BytesIO(data)).tobytes()


@given(
    plugin=st.sampled_from(["JPEG", "PNG", "WEBP", "AVIF"]),
    quality=st.integers(5, 100),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    rule=st.sampled_from(["keep", "safe", "strip"]),
    grey=st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_never_larger_than_its_source(
    plugin: str, quality: int, size: tuple[int, int], rule: str, grey: bool, tmp_path: Path
) -> None:
    image = noise(*size).convert("L" if grey else "RGB")
    data = encoded(image, plugin, quality=quality)
    result, note = copy(data, tmp_path, metadata=rule)
    assert 0 < len(result) <= len(data)
    assert note == ""


def test_a_copy_that_must_be_larger_says_so(tmp_path: Path) -> None:
    data = encoded(noise(200, 200), "JPEG", quality=10)
    result, note = copy(data, tmp_path, format="png")
    assert (note, len(result) > len(data)) == ("larger", True)


def test_max_dimension_and_format(tmp_path: Path) -> None:
    result, _ = copy(encoded(corner(400, 200), "PNG"), tmp_path, max_dimension=100, format="webp")
    image = Image.open(io.BytesIO(result))
    assert (image.size, image.format) == ((100, 50), "WEBP")


@pytest.mark.parametrize("format_name", ["jpeg", "png", "webp", "avif"])
def test_inks_can_be_copied_into_every_format(format_name: str, tmp_path: Path) -> None:
    data = encoded(noise(100, 80, 4).convert("CMYK"), "JPEG", quality=100)
    image = Image.open(io.BytesIO(copy(data, tmp_path, format=format_name)[0]))
    assert image.mode == ("CMYK" if format_name == "jpeg" else "RGB")


@pytest.mark.parametrize("plugin", ["GIF", "BMP", "TIFF", "ICO", "PPM"])
def test_what_cannot_be_written_is_kept(plugin: str, tmp_path: Path) -> None:
    assert copy(encoded(corner(), plugin), tmp_path) == (b"", "kept")


@pytest.mark.parametrize("plugin", ["PNG", "WEBP"])
def test_an_animation_stays_one(plugin: str, tmp_path: Path) -> None:
    frames = [noise(60, 40).point(lambda v, f=f: (v + f) % 256) for f in (0, 90, 180)]
    data = encoded(
        frames[0], plugin, save_all=True, append_images=frames[1:], duration=50, exif=planted(), lossless=True
    )
    result, note = copy(data, tmp_path)
    assert note == ""
    assert secrets_in(result) == []
    assert getattr(Image.open(io.BytesIO(result)), "n_frames", 1) == 3
    assert copy(data, tmp_path, max_dimension=20) == (b"", "kept")


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0", b"Exif\0\0" + b"\xff" * 40, planted()[:60]])
def test_broken_exif_is_dropped_not_an_error(exif: bytes, tmp_path: Path) -> None:
    data = encoded(noise(200, 150), "JPEG", quality=97, exif=exif)
    for rule in ("keep", "safe", "strip"):
        result, _ = copy(data, tmp_path, metadata=rule)
        assert Image.open(io.BytesIO(result)).size == (200, 150)


def test_enhancements_are_not_lost_to_a_rewrite(tmp_path: Path) -> None:
    dull = noise(200, 150).reduce(4).resize((200, 150)).point(lambda v: 90 + v // 3)
    data = encoded(dull, "JPEG", quality=30)
    plain = np.asarray(Image.open(io.BytesIO(copy(data, tmp_path)[0]))).std()
    for spec in ({"contrast": 1.0}, {"sharpen": 3.0}):
        assert np.asarray(Image.open(io.BytesIO(copy(data, tmp_path, **spec)[0]))).std() > plain * 1.05, spec
