"""Metadata that are carried as bytes: nothing is decoded and written anew that can stand as it stands."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hotfolder.imaging import Limits, open_image
from hotfolder.imaging.containers import directories, segments
from hotfolder.imaging.containers.directories import Value
from hotfolder.imaging.formats.opening import Block
from hotfolder.imaging.metadata import credits, exif
from hotfolder.presets import Format
from tests.unit.imaging import copy, corner, encoded, noise
from tests.unit.test_imaging_metadata import dataset, resource, xmp_in

UTF8 = "© 2026 Jürgen".encode() + b"\0"
LATIN = "Björn Ærø".encode("latin-1") + b"\0"
NOTE = b"Canon\0" + struct.pack("<HI", 7, 0x1234) + b"MAKER-NOTE" * 9
RDF = credits.RDF
SIZE = (200, 140)


def text(tag: int, content: bytes) -> Value:
    return Value(tag, 2, len(content), content)


def number(order: str, tag: int, value: int, kind: int = 3) -> Value:
    content = struct.pack(order + ("H" if kind == 3 else "I"), value)
    return Value(tag, kind, 1, content)


def inline(value: Value) -> bytes:
    assert isinstance(value.content, bytes)
    return value.content.ljust(4, b"\0")


def exif_block(order: str = "<", orientation: int = 1, pointer: int = 4, size: tuple[int, int] = SIZE) -> bytes:
    """A block as cameras write it: text in two character sets, sizes, a maker note, a position, and a thumbnail."""
    shot = [
        text(0x9003, b"2023:03:04 05:06:07\0"),
        Value(0x829A, 5, 1, struct.pack(order + "II", 1, 250)),
        Value(0x927C, 7, len(NOTE), NOTE),
        number(order, 0xA002, size[0], 4),
        number(order, 0xA003, size[1]),
        text(0xA431, b"SERIAL\0"),
        Value(0xA005, 4, 1, [text(1, b"R98\0"), number(order, 0x1001, size[0], 4), number(order, 0x1002, size[1], 4)]),
    ]
    position = [text(1, b"N\0"), Value(2, 5, 3, struct.pack(order + "6I", 52, 1, 31, 1, 7, 1))]
    position += [text(3, b"E\0"), Value(4, 5, 3, struct.pack(order + "6I", 13, 1, 24, 1, 0, 1))]
    main = [text(0x010F, b"Acme\0"), text(0x013B, LATIN), text(0x8298, UTF8), number(order, 0x0112, orientation)]
    main += [Value(directories.EXIF, pointer, 1, shot), Value(directories.GPS, pointer, 1, position)]
    block = directories.written(order, main)
    thumbnail = encoded(corner(40, 28), "JPEG", quality=95)
    second = [number(order, 0x0103, 6), number(order, 0x0201, 0, 4), number(order, 0x0202, len(thumbnail), 4)]
    following = 8 + 2 + 12 * len(main)
    at = len(block) + 2 + 12 * len(second) + 4
    second[1] = number(order, 0x0201, at, 4)
    entries = b"".join(struct.pack(order + "HHI", *value[:3]) + inline(value) for value in second)
    block = block[:following] + struct.pack(order + "I", len(block)) + block[following + 4 :]
    return b"Exif\0\0" + block + struct.pack(order + "H", len(second)) + entries + bytes(4) + thumbnail


def picture(quality: int = 97) -> Image.Image:
    return noise(*SIZE).reduce(2).resize(SIZE)


def source(plugin: str, block: bytes, quality: int = 97, **options: Any) -> bytes:
    image = picture()
    return encoded(image, plugin, exif=Block(block), quality=quality, progressive=True, **options)


def parts(data: bytes) -> list[tuple[int, bytes]]:
    """The application segments and comments of a JPEG."""
    return [
        (marker, data[body:end])
        for marker, _, body, end in segments.header(data)
        if marker in segments.APPLICATION or marker == segments.COM
    ]


def exif_of(data: bytes) -> bytes:
    found: bytes = Image.open(io.BytesIO(data)).info["exif"]
    return found.removeprefix(b"Exif\0\0")


def with_parts(data: bytes, *more: tuple[int, bytes]) -> bytes:
    """A JPEG with these segments behind JFIF's."""
    return data[:20] + b"".join(segments.written(*each) for each in more) + data[20:]


# -- text is bytes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("mode", ["lossy", "auto", "lossless"])
@pytest.mark.parametrize("rule", ["safe", "keep"])
@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP"])
def test_text_in_exif_stays_as_it_was_written(plugin: str, rule: str, mode: str, order: str, tmp_path: Path) -> None:
    result, _ = copy(source(plugin, exif_block(order)), tmp_path, metadata=rule, mode=mode)
    assert UTF8 in exif_of(result)
    assert LATIN in exif_of(result)


@pytest.mark.parametrize("goal", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("rule", ["safe", "keep"])
def test_text_in_exif_stays_in_every_format(plugin: str, goal: Format, rule: str, tmp_path: Path) -> None:
    result, _ = copy(source(plugin, exif_block()), tmp_path, metadata=rule, format=goal, max_dimension=150)
    assert UTF8 in exif_of(result)
    assert LATIN in exif_of(result)


def tiff(order: str) -> bytes:
    """One strip of grey, with all that a block has in its own directory."""
    inner = directories.structure(block := exif_block(order), 6)
    assert inner is not None
    main = [
        Value(tag, kind, count, block[at : at + size])
        for tag, kind, count, at, size in inner.entries(inner.first())
        if tag not in (directories.EXIF, directories.GPS, 0x0112)
    ]
    shot = [text(0x9003, b"2023:03:04 05:06:07\0"), Value(0x927C, 7, len(NOTE), NOTE)]
    strip = bytes(range(256)) * 16
    layout = {0x0100: 64, 0x0101: 64, 0x0102: 8, 0x0103: 1, 0x0106: 1, 0x0115: 1, 0x0116: 64}
    main += [number(order, tag, value) for tag, value in layout.items()]
    main += [Value(directories.EXIF, 13, 1, shot), number(order, 0x0117, len(strip), 4), Value(0x0111, 7, 5000, strip)]
    data = bytearray(directories.written(order, main))
    entry = data.index(struct.pack(order + "HHI", 0x0111, 7, 5000))
    data[entry : entry + 8] = struct.pack(order + "HHI", 0x0111, 4, 1)
    return bytes(data)


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("rule", ["safe", "keep"])
def test_what_a_tiff_says_of_the_shot_stays_and_what_says_how_its_pixels_lie_goes(
    rule: str, order: str, tmp_path: Path
) -> None:
    result, _ = copy(tiff(order), tmp_path, metadata=rule, format="jpeg")
    assert UTF8 in exif_of(result)
    assert LATIN in exif_of(result)
    assert b"2023:03:04 05:06:07" in exif_of(result)
    assert b"MAKER-NOTE" not in result, "its offsets count from the beginning of the file that it was in"
    assert not {0x0100, 0x0101, 0x0111, 0x0117} & set(Image.open(io.BytesIO(result)).getexif())


# -- pointers of type 13 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_directories_are_found_by_pointers_of_type_ifd(plugin: str, tmp_path: Path) -> None:
    data = source(plugin, exif_block(pointer=13))
    shot = exif.read(open_image(data, Limits(), b"x"), gps=True)
    assert shot.taken_at == "2023-03-04T05:06:07"
    assert shot.exposure_time == 0.004
    assert shot.latitude == pytest.approx(52.518, abs=0.001)
    for rule in ("safe", "keep"):
        result, _ = copy(data, tmp_path, metadata=rule, max_dimension=150)
        assert b"2023:03:04 05:06:07" in exif_of(result)
        assert (b"SERIAL" in result) == (rule == "keep")


# -- keep --------------------------------------------------------------------------------------------------------------

XMP = f"""<?xpacket begin="\ufeff"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">
<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6" tiff:ImageWidth="200"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="AB">
<exif:PixelYDimension> 140 </exif:PixelYDimension></rdf:Description>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()
EXTENDED = b"http://ns.adobe.com/xmp/extension/\0" + b"AB" * 16 + struct.pack(">II", 9, 0) + b"<EXTENDED"
CAMERA = (
    (0xE1, EXTENDED),
    (0xE1, b"FLIR\0\1\0\0" + b"thermal" * 40),
    (0xE2, b"FPXR\0\0\1" + b"flash" * 9),
    (0xE4, b"maker's own"),
    (0xEC, b"Ducky\0\1\0\4\0\0\0\x50"),
    (0xED, credits.PHOTOSHOP + resource(0x0404, dataset(80, b"Ann"))),
    (0xED, credits.PHOTOSHOP + resource(0x0404, dataset(116, b"(c) Ann"))),
    (0xFE, b"first comment"),
    (0xFE, b"second comment"),
)


def camera_jpeg(order: str = "<", orientation: int = 1) -> bytes:
    return with_parts(source("JPEG", exif_block(order, orientation), xmp=XMP), *CAMERA)


@pytest.mark.parametrize("mode", ["lossy", "auto"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_keep_keeps_a_jpegs_segments_byte_for_byte(order: str, mode: str, tmp_path: Path) -> None:
    data = camera_jpeg(order)
    upright = data.replace(b'tiff:Orientation="6"', b'tiff:Orientation="1"')
    result, _ = copy(data, tmp_path, metadata="keep", mode=mode, target=60)
    assert len(result) < len(data), "it was encoded anew"
    assert parts(result) == parts(upright)


def values(block: bytes) -> dict[int, int | None]:
    """The first number of each entry of the main directory and of those that it points to."""
    structure = directories.structure(block)
    assert structure is not None
    return {entry.tag: structure.number(entry) for entry in structure.tree()}


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_keep_patches_orientation_and_sizes_and_turns_the_thumbnail(
    orientation: int, order: str, tmp_path: Path
) -> None:
    data = camera_jpeg(order, orientation)
    result, _ = copy(data, tmp_path, metadata="keep", max_dimension=100)
    wide, high = (100, 70) if orientation < 5 else (70, 100)
    before, after = exif_of(data), exif_of(result)
    told = values(after)
    assert [told[tag] for tag in (0x0112, 0xA002, 0xA003, 0x1001, 0x1002)] == [1, wide, high, wide, high]
    assert len(after) == len(before)
    assert after.index(NOTE) == before.index(NOTE), "maker notes count their offsets from the beginning of the block"
    start = after.index(b"\xff\xd8\xff")
    thumbnail = Image.open(io.BytesIO(after[start:])).convert("RGB")
    assert thumbnail.size == ((40, 28) if orientation < 5 else (28, 40))
    shown = corner(40, 28)
    shown = shown.transpose(TURNS[orientation]) if orientation > 1 else shown
    for at in ((5, 5), (thumbnail.width - 6, 5), (5, thumbnail.height - 6)):
        assert all(abs(a - b) < 60 for a, b in zip(thumbnail.getpixel(at), shown.getpixel(at), strict=True))  # type: ignore[arg-type]
    packet = xmp_in(result)
    assert f'tiff:ImageWidth="{wide}"'.encode() in packet
    assert f"<exif:PixelYDimension>{high}</exif:PixelYDimension>".encode() in packet
    assert [part for part in parts(result) if part in CAMERA] == list(CAMERA)


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def test_a_thumbnail_that_cannot_be_turned_is_cut_off(tmp_path: Path) -> None:
    block = exif_block(orientation=6)
    start = block.index(b"\xff\xd8\xff")
    data = source("JPEG", block[:start] + b"\xff\xd8\xff" + b"\0" * (len(block) - start - 3))
    result, _ = copy(data, tmp_path, metadata="keep", max_dimension=100)
    structure = directories.structure(exif_of(result))
    assert structure is not None
    assert structure.offset_at(structure.following(structure.first())) == 0


def test_exif_of_several_segments_stays_of_several(tmp_path: Path) -> None:
    block = exif_block(orientation=6) + b"x" * 70_000
    cuts = [6, 40_000, 60_000, len(block)]
    pieces = [(0xE1, b"Exif\0\0" + block[a:b]) for a, b in pairwise(cuts)]
    result, _ = copy(with_parts(encoded(picture(), "JPEG", quality=97), *pieces), tmp_path, metadata="keep")
    found = [body for _, body in parts(result) if body.startswith(b"Exif\0\0")]
    assert [len(body) for body in found] == [len(body) for _, body in pieces]
    assert values(exif_of(result))[0x0112] == 1


def test_keep_drops_what_holds_for_the_very_bytes_of_the_source_alone(tmp_path: Path) -> None:
    signed = with_parts(encoded(picture(), "JPEG", quality=97), (0xEB, b"JP\0\1\0\0\0\1 jumb c2pa signature"))
    result, _ = copy(signed, tmp_path, metadata="keep")
    assert len(result) < len(signed) - 100
    assert b"c2pa" not in result


def test_extended_xmp_is_announced_where_it_is_alone(tmp_path: Path) -> None:
    result, _ = copy(camera_jpeg(), tmp_path, metadata="keep")
    assert b"HasExtendedXMP" in result
    result, _ = copy(camera_jpeg(), tmp_path, metadata="keep", format="webp")
    assert b"PixelYDimension" in result
    assert b"HasExtendedXMP" not in result


def test_the_texts_of_a_png_are_kept(tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Title", "A title")
    info.add_text("Author", "Jürgen", zip=True)
    info.add_itxt("Comment", "Grüße", "de")
    data = encoded(picture(), "PNG", pnginfo=info, compress_level=1)
    result, _ = copy(data, tmp_path, metadata="keep", max_dimension=150)
    image = Image.open(io.BytesIO(result))
    assert image.text == {"Title": "A title", "Author": "Jürgen", "Comment": "Grüße"}  # type: ignore[attr-defined]
    assert b"Title" not in copy(data, tmp_path, metadata="safe", max_dimension=150)[0]


def tags_of(file: Path) -> dict[str, Any]:
    command = ["exiftool", "-j", "-G1", "-a", "-u", str(file)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]
    return {name: value for name, value in found.items() if not name.startswith(("File:", "System:", "SourceFile"))}


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_finds_every_tag_again(tmp_path: Path) -> None:
    (tmp_path / "source.jpg").write_bytes(camera_jpeg(orientation=6))
    result, _ = copy(camera_jpeg(orientation=6), tmp_path, metadata="keep", max_dimension=100)
    (tmp_path / "copy.jpg").write_bytes(result)
    before, after = tags_of(tmp_path / "source.jpg"), tags_of(tmp_path / "copy.jpg")
    assert set(before) <= set(after)
    assert len(before) > 25
