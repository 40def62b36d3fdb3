"""How a picture was taken: the same names whatever the format, and nothing that EXIF can say raises."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational as Ratio

from hotfolder.imaging import Limits, Opened, formats, open_image
from hotfolder.imaging.metadata.exif import TEXT_MAX, Shot, read
from tests.unit.imaging import encoded

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description xmp:Rating="4"/></x:xmpmeta>'


def exif(**changes: Any) -> Image.Exif:
    found = Image.Exif()
    found[0x010F], found[0x0110], found[0x0132] = "NIKON CORPORATION", "NIKON D90", "2011:01:01 00:00:00"
    found[0x4746] = 3
    inner: dict[int, Any] = {
        0x9003: "2010:07:08 09:10:11",
        0x9011: "+02:00",
        0x829A: Ratio(1, 250),
        0x829D: Ratio(28, 10),
        0x8827: 400,
        0x920A: Ratio(35, 1),
        0xA405: 52,
        0x9204: Ratio(-2, 3),
        0xA434: "AF-S 35mm f/1.8",
    }
    inner |= {int(tag[1:], 16): value for tag, value in changes.items() if tag.startswith("x")}
    found.get_ifd(0x8769).update(inner)
    found.get_ifd(0x8825).update({1: "S", 2: (33.0, 51.0, 24.0), 3: "W", 4: (70.0, 30.0, 0.0), 5: b"\1", 6: 12.5})
    whole = Image.Exif()  # as read from a file: only then does Pillow write all of it into a TIFF
    whole.load(found.tobytes())
    whole.get_ifd(0x8769), whole.get_ifd(0x8825)
    return whole


def opened(format_name: str, name: bytes = b"x", **options: Any) -> Opened:
    data = encoded(Image.new("RGB", (16, 12), "green"), format_name, **options)
    found = open_image(data, Limits(), name)
    found.image.load()
    return found


FACTS = Shot(
    "NIKON D90",
    "AF-S 35mm f/1.8",
    "2010-07-08T09:10:11+02:00",
    0.004,
    2.8,
    400,
    35.0,
    52.0,
    -0.666667,
    3,
    -33.856667,
    -70.5,
    -12.5,
)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_the_same_names_for_every_format(format_name: str) -> None:
    assert read(opened(format_name, exif=exif()), gps=True) == FACTS


@pytest.mark.skipif(not formats.of("heif").is_installed, reason="the extra heif is not installed")
def test_the_same_names_for_heic() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    assert read(opened("HEIF", exif=exif().tobytes()), gps=True) == FACTS


def test_a_raw_file_is_read_as_the_tiff_that_it_is() -> None:
    tiff = opened("TIFF", exif=exif())
    for head, kind in ((tiff.data[:4], "raw"), (b"IIRO", "raw"), (b"IIU\0", "raw")):
        data = head + tiff.data[4:]
        raw = Opened(kind, 16, 12, "", data, Image.new("RGB", (1, 1)), 1, False)
        assert read(raw, gps=True) == FACTS


def test_a_cr3_keeps_its_tags_in_boxes() -> None:
    def box(name: bytes, *entries: bytes) -> bytes:
        body = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
        return struct.pack(">I", len(body) + 8) + name + body

    model = struct.pack("<HHI4s", 0x0110, 2, 4, b"R5\0\0")
    iso = struct.pack("<HHIHH", 0x8827, 3, 1, 800, 0)
    data = b"\0\0\0\x18ftypcrx " + bytes(12) + box(b"CMT1", model) + box(b"CMT2", iso) + box(b"CMT4")
    found = read(Opened("raw", 1, 1, "", data, Image.new("RGB", (1, 1)), 1, False), gps=True)
    assert (found.camera, found.iso, found.latitude) == ("R5", 800, None)


def test_a_position_only_where_it_is_asked_for() -> None:
    found = read(opened("JPEG", exif=exif()), gps=False)
    assert (found.latitude, found.longitude, found.altitude) == (None, None, None)


def test_the_rating_of_xmp_counts_where_exif_has_none() -> None:
    assert read(opened("JPEG", xmp=XMP), gps=False).rating == 4
    assert read(opened("JPEG", xmp=XMP, exif=exif()), gps=False).rating == 3


@pytest.mark.parametrize(
    ("tag", "value", "field", "expected"),
    [
        ("x9011", "Z", "taken_at", "2010-07-08T09:10:11"),
        ("x9003", "0000:00:00 00:00:00", "taken_at", "2011-01-01T00:00:00"),
        ("x9003", "2010:07:08 25:99:11", "taken_at", "2011-01-01T00:00:00"),
        ("x829A", Ratio(1, 0), "exposure_time", None),
        ("x829D", Ratio(0, 0), "f_number", None),
        ("x8827", 0, "iso", None),
        ("x920A", Ratio(4_000_000_000, 1), "focal_length", None),
        ("xA434", "a\0b", "lens", "a"),
        ("xA434", "x" * 900, "lens", "x" * TEXT_MAX),
        ("xA434", "x" * 5000, "lens", None),
    ],
)
def test_what_makes_no_sense_is_not_known(tag: str, value: Any, field: str, expected: Any) -> None:
    assert getattr(read(opened("JPEG", exif=exif(**{tag: value})), gps=True), field) == expected


def test_an_iso_beyond_16_bits_stands_in_another_tag() -> None:
    assert read(opened("JPEG", exif=exif(x8827=65535, x8832=102_400)), gps=False).iso == 102_400


@given(st.binary(max_size=400), st.binary(max_size=60), st.sampled_from((b"II*\0", b"MM\0*")), st.booleans())
def test_no_bytes_raise_anything(body: bytes, xmp: bytes, head: bytes, shifted: bool) -> None:
    image = Image.new("RGB", (1, 1))
    image.info = {"exif": (b"Exif\0\0" if shifted else b"") + head + body, "xmp": xmp}
    for kind, data in (
        ("jpeg", b""),
        ("tiff", head + body),
        ("raw", b"\0\0\0\x18ftypcrx " + body + b"CMT1CMT2CMT4" + head),
    ):
        read(Opened(kind, 1, 1, "", data, image, 1, False), gps=True)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_no_damage_to_real_tags_raises_anything(at: int, damage: bytes) -> None:
    block = bytearray(exif().tobytes())
    block[at : at + len(damage)] = damage
    image = Image.new("RGB", (1, 1))
    image.info = {"exif": bytes(block)}
    read(Opened("jpeg", 1, 1, "", b"", image, 1, False), gps=True)


def test_a_block_full_of_large_values_costs_nothing() -> None:
    entries = b"".join(struct.pack("<HHII", tag, 7, 60_000, 8) for tag in range(5000))
    image = Image.new("RGB", (1, 1))
    image.info = {"exif": b"II*\0\x08\0\0\0" + struct.pack("<H", 5000) + entries}
    assert read(Opened("jpeg", 1, 1, "", b"", image, 1, False), gps=True) == Shot()
