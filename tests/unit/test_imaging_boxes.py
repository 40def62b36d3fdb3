"""Pictures in ISO boxes: metadata exchanged in place, the clean aperture, and what their sizes claim."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging import Limits, open_image
from hotfolder.imaging.colour.signals import of_properties
from hotfolder.imaging.containers import boxes, exchange, tracks
from hotfolder.imaging.containers.items import Items, claimed, said
from hotfolder.imaging.containers.moves import moved
from hotfolder.presets import OPTIMIZED, OptimizeSpec
from tests.unit.imaging import THUMB, copy, corner, encoded, rendered, scene

SECRETS = (b"Secret", b"4711", b"GPS", b"urn:c2pa")
XMP = b"""<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 exif:GPSLatitude="47,30N"><dc:rights><rdf:Alt><rdf:li xml:lang="x-default">\xc2\xa9 Anna</rdf:li></rdf:Alt></dc:rights>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"""


def exif() -> bytes:
    found = Image.Exif()
    found[0x8298] = "(c) Anna"
    found.get_ifd(0x8769)[0xA431] = "4711"
    found[0x8769] = found.get_ifd(0x8769)
    found.get_ifd(0x8825)[29] = "Secret"
    found[0x8825] = found.get_ifd(0x8825)
    return found.tobytes()


def turned(block: bytes) -> bytes:
    found = Image.Exif()
    found.load(block)
    found[0x0112] = 6
    return found.tobytes()


def avif(image: Image.Image | None = None, **options: Any) -> bytes:
    return encoded(image or scene(4, 320, 240), "AVIF", quality=70, **options)


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


UUID = box(b"uuid", bytes(16) + b"urn:c2pa" * 20)


def pixels(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).tobytes()


def with_property(data: bytes, kind: bytes, body: bytes) -> bytes:
    """The picture with one more property of all its items; what lies behind is moved by that much."""
    added = box(kind, body)
    items = Items(data)
    outer = {each.kind: each for each in items.children()}
    inner = {each.kind: each for each in boxes.inside(data, outer[b"iprp"].body, outer[b"iprp"].end)}
    number = sum(1 for _ in items.all_properties()) + 1
    work = bytearray(data)
    grown = len(added)
    at = inner[b"ipma"].body
    entries, where = struct.unpack_from(">I", data, at + 4)[0], at + 8
    places = []
    for _ in range(entries):
        count = work[where + 2]
        work[where + 2] += 1
        where += 3 + count
        places.append(where)
    for place in reversed(places):
        work[place:place] = bytes([number | (0x80 if kind == b"clap" else 0)])
    more = len(places)
    size = inner[b"ipma"].end - inner[b"ipma"].start + more
    work[inner[b"ipma"].start : inner[b"ipma"].start + 4] = struct.pack(">I", size)
    work[inner[b"ipco"].end : inner[b"ipco"].end] = added
    for each, by in ((inner[b"ipco"], grown), (outer[b"iprp"], grown + more), (items.meta, grown + more)):
        work[each.start : each.start + 4] = struct.pack(">I", each.end - each.start + by)
    located = outer[b"iloc"].body
    assert data[located] == 0
    assert data[located + 4 : located + 6] == b"\x44\0"
    for item in range(struct.unpack_from(">H", data, located + 6)[0]):
        place = located + 8 + item * 14 + 6
        work[place : place + 4] = struct.pack(">I", struct.unpack_from(">I", data, place)[0] + grown + more)
    return bytes(work)


def with_more_in_its_last_box(data: bytes, more: bytes) -> bytes:
    last = list(boxes.walk(data))[-1]
    return data[: last.start] + struct.pack(">I", last.end - last.start + len(more)) + data[last.start + 4 :] + more


SOURCES = {
    "plain": avif(exif=exif(), xmp=XMP),
    "with a uuid box": avif(exif=exif(), xmp=XMP) + UUID,
    "with a uuid box alone": avif() + UUID,
    "with rubbish behind": avif(exif=exif()) + b"Secret",
    "with more rubbish behind": avif(exif=exif()) + b"Secret" * 100,
    "with alpha": avif(scene(4, 320, 240).convert("RGBA"), exif=exif(), xmp=XMP),
    "with bytes that belong to nothing": with_more_in_its_last_box(avif(exif=exif()), b"Secret"),
    "turned": avif(exif=turned(exif())),
    "turned alone": avif(exif=turned(b"")),
    "with texts of its parts": with_property(avif(exif=exif()), b"udes", bytes(4) + b"en\0Secret\0Secret\0\0"),
}


@pytest.mark.parametrize("rule", ["safe", "strip"])
@pytest.mark.parametrize("kind", SOURCES)
def test_metadata_are_exchanged_in_place_and_the_pixels_stay(kind: str, rule: str, tmp_path: Path) -> None:
    source = SOURCES[kind]
    found, note = copy(source, tmp_path, mode="lossless", metadata=rule)
    assert len(found) <= len(source)
    assert note == ""
    assert pixels(found) == pixels(source)
    assert not [secret for secret in SECRETS if secret in found]
    again = Image.open(io.BytesIO(found))
    whole = Image.open(io.BytesIO(source))
    assert again.getexif().get(0x0112, 1) == whole.getexif().get(0x0112, 1)
    if rule == "strip":
        assert set(again.getexif()) <= {0x0112}  # that of the box, as Pillow reports it
        assert not again.info.get("xmp")
        return
    assert again.getexif().get(0x8298) == whole.getexif().get(0x8298)
    assert (b"\xc2\xa9 Anna" in again.info.get("xmp", b"")) == ("xmp" in whole.info)


def test_keep_leaves_every_byte(tmp_path: Path) -> None:
    assert copy(SOURCES["with a uuid box"], tmp_path, mode="lossless", metadata="keep")[0] == SOURCES["with a uuid box"]


@pytest.mark.parametrize("rule", ["safe", "strip"])
def test_a_copy_that_is_copied_again_stays_as_it_is(rule: str, tmp_path: Path) -> None:
    once, _ = copy(SOURCES["with a uuid box"], tmp_path, mode="lossless", metadata=rule)
    assert copy(once, tmp_path, mode="lossless", metadata=rule)[0] == once


def test_deep_and_bright_ones_stay_so(tmp_path: Path) -> None:
    """PQ, whose picture would become one of eight bits if it were encoded anew."""
    source = avif(exif=exif())
    at = source.index(b"nclx")
    source = source[: at + 6] + b"\0\x10" + source[at + 8 :]
    found, _ = copy(source, tmp_path, mode="lossless")
    assert found[at : at + 10] == source[at : at + 10]
    assert len(found) == len(source)
    assert b"4711" not in found


def test_an_animation_keeps_its_frames(tmp_path: Path) -> None:
    frames = [corner(64, 64), scene(1, 64, 64)]
    source = encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:], exif=exif()) + UUID
    found, _ = copy(source, tmp_path)
    again, whole = Image.open(io.BytesIO(found)), Image.open(io.BytesIO(source))
    assert again.n_frames == whole.n_frames == 2  # type: ignore[attr-defined]
    for frame in range(2):
        again.seek(frame)
        whole.seek(frame)
        assert again.tobytes() == whole.tobytes()
    assert not [secret for secret in SECRETS if secret in found]


def test_items_that_lie_where_the_picture_does_are_not_touched() -> None:
    source = bytearray(avif(exif=exif()))
    items = Items(bytes(source))
    ((start, end),) = items.extents[items.primary]
    number = next(each.number for each in items.all.values() if each.kind == b"Exif")
    at = source.index(struct.pack(">HHHI", number, 0, 1, items.extents[number][0][0]))
    source[at + 6 : at + 14] = struct.pack(">II", start, min(200, end - start))
    with pytest.raises(ValueError, match="something else"):
        exchange.exchanged(bytes(source), b"", b"")


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="no exiftool")
@pytest.mark.parametrize("rule", ["safe", "strip"])
def test_what_exiftool_has_written(rule: str, tmp_path: Path) -> None:
    file = tmp_path / "a.avif"
    file.write_bytes(avif())
    tags = ["-Copyright=Anna", "-GPSLatitude=47", "-SerialNumber=4711", "-XMP-dc:Rights=Anna", "-XMP-dc:Subject=Secret"]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *tags, file], check=True)
    source = file.read_bytes()
    found, _ = copy(source, tmp_path, mode="lossless", metadata=rule)
    assert len(found) <= len(source)
    assert pixels(found) == pixels(source)
    assert not [secret for secret in SECRETS if secret in found]
    file.write_bytes(found)
    said = subprocess.run(["exiftool", "-a", "-G1", "-s", file], capture_output=True, text=True, check=True).stdout
    assert "Warning" not in said
    assert "Error" not in said
    assert said.count("Anna") == (2 if rule == "safe" else 0)


def clap(width: int, height: int, x: int, y: int, by: int = 1) -> bytes:
    return struct.pack(">IIIIiIiI", width, by, height, by, x, by, y, by)


@pytest.mark.parametrize("bright", [False, True])
@pytest.mark.parametrize("turned", [1, 6])
def test_the_clean_aperture_is_what_is_shown(turned: int, bright: bool, tmp_path: Path) -> None:
    """The upper left quarter of a picture whose other quarters are blue."""
    found = Image.Exif()
    found[0x0112] = turned
    source = with_property(
        avif(corner(200, 100), exif=found.tobytes() if turned > 1 else b""), b"clap", clap(100, 50, -50, -25)
    )
    if bright:
        at = source.index(b"nclx")
        source = source[: at + 6] + b"\0\x10" + source[at + 8 :]
    result, files = rendered(source, tmp_path, THUMB, optimize=OptimizeSpec(format="jpeg"))
    assert (result.width, result.height) == ((50, 100) if turned == 6 else (100, 50))
    for name in ("thumb", OPTIMIZED):
        shown = Image.open(io.BytesIO(files[name])).convert("RGB")
        assert shown.height > shown.width if turned == 6 else shown.width > shown.height
        assert float(np.asarray(shown)[..., 2].max()) < 120  # no blue


@pytest.mark.parametrize("said", [clap(400, 50, 0, 0), clap(100, 50, 400, 0), clap(0, 9, 0, 0), clap(9, 9, 0, 0, 0)])
def test_an_aperture_that_is_none_is_passed_over(said: bytes, tmp_path: Path) -> None:
    result, _ = rendered(with_property(avif(corner(200, 100)), b"clap", said), tmp_path, THUMB)
    assert (result.width, result.height) == (200, 100)


def claiming(width: int, height: int) -> bytes:
    data = avif()
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


@pytest.mark.parametrize("size", [(17_000, 17_000), (40_000, 100)])
@pytest.mark.parametrize("most", [1_000_000, 250_000_000, 1_000_000_000])
def test_what_is_too_large_for_its_decoder_is_called_so(size: tuple[int, int], most: int) -> None:
    with pytest.raises(SourceError, match=f"{size[0]}×{size[1]}") as caught:
        open_image(claiming(*size), Limits(max_pixels=most))
    assert caught.value.reason is Reason.TOO_MANY_PIXELS


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_bytes_make_the_exchange_raise_anything_else_or_touch_the_picture(draw: st.DataObject) -> None:
    source = bytearray(SOURCES["with a uuid box"])
    tables = source.index(b"mdat")
    for _ in range(draw.draw(st.integers(1, 4))):
        source[draw.draw(st.integers(0, tables - 1))] = draw.draw(st.integers(0, 255))
    data = bytes(source[: draw.draw(st.integers(tables // 2, len(source)))])
    items_of(data)
    try:
        found = exchange.exchanged(data, b"", b"")
    except ValueError:
        return
    assert len(found) == len(data)
    items = Items(data)
    if items.primary in items.all and items.all[items.primary].kind in exchange.PICTURES:
        for start, end in items.extents.get(items.primary, []):
            assert found[start:end] == data[start:end]


def items_of(data: bytes) -> list[object]:
    """All that is asked of a file before it is opened."""
    found = [*said(data), *tracks.said(data, b"av01")]
    return [*claimed(data), moved(data, found, (320, 240)), of_properties(data, found)]
