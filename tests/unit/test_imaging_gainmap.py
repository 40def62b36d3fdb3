"""Gain maps (Ultra HDR, ISO 21496-1) go with the picture: cropped, scaled and turned as it is, with all that speaks of
them made true; or they go whole.

In the sources here the map is the picture's own brightness, so that a map which shows another part is seen to.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging import Limits, Plan, open_image, peak
from hotfolder.imaging.containers import segments
from hotfolder.imaging.metadata import credits, gainmap
from hotfolder.presets import OptimizeSpec, Preset
from tests.unit.imaging import copy, encoded, rendered, scene
from tests.unit.test_imaging_metadata import indexed

SIZE = (480, 320)
PART = 4
"""The map has a quarter of the picture's width and height."""
ISO = b"urn:iso:std:iso:ts:21496:-1\0"
ANNOUNCED = ISO + bytes(4)
NUMBERS = (
    ISO
    + bytes(4)
    + b"\x40"
    + struct.pack(">4I", 0, 1, 23, 10)
    + struct.pack(">iIiIIIiIiI", 0, 1, 7, 2, 1, 1, 1, 64, 1, 64)
)
STATED = {
    "Version": ["1.0"],
    "GainMapMin": ["-0.25"],
    "GainMapMax": ["3.5"],
    "Gamma": ["1.2"],
    "OffsetSDR": ["0.015625"],
    "OffsetHDR": ["0.0156250"],
    "HDRCapacityMin": ["0"],
    "HDRCapacityMax": ["2.3"],
    "BaseRenditionIsHDR": ["False"],
}
COLOURED = STATED | {"GainMapMax": ["3.5", "3.25", "3"], "Gamma": ["1", "1.1", "1.2"]}
EVERYWHERE = (b"hdr-gain-map", b"hdrgm", b"GainMap", b"MPF\0", ISO[:-1], b"photos/1.0/container")
PRIVATE = b"SERIAL-XMP"


def described(properties: str, inside: str = "") -> bytes:
    spaces = f'xmlns:hdrgm="{gainmap.SPACE}" xmlns:C="{gainmap.CONTAINER}" xmlns:I="{gainmap.ITEM}"'
    spaces += f' xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" xmlns:dc="{credits.PREFIXES["dc"]}"'
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{credits.RDF}"><rdf:Description rdf:about=""'
        f" {spaces} {properties}>{inside}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def of_map(stated: dict[str, list[str]]) -> bytes:
    single = "".join(f' hdrgm:{name}="{values[0]}"' for name, values in stated.items() if len(values) == 1)
    lists = "".join(
        f"<hdrgm:{name}><rdf:Seq>{''.join(f'<rdf:li>{each}</rdf:li>' for each in values)}</rdf:Seq></hdrgm:{name}>"
        for name, values in stated.items()
        if len(values) > 1
    )
    return described(f'{single} aux:SerialNumber="{PRIVATE.decode()}"', lists)


def of_picture(*items: str) -> bytes:
    listed = "".join(f'<rdf:li rdf:parseType="Resource"><C:Item {item}/></rdf:li>' for item in items)
    rights = '<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">Ann</rdf:li></rdf:Alt></dc:rights>'
    more = f"<C:Directory><rdf:Seq>{listed}</rdf:Seq></C:Directory>{rights}"
    return described(f'hdrgm:Version="1.0" aux:SerialNumber="{PRIVATE.decode()}"', more)


def with_segments(data: bytes, *parts: tuple[int, bytes]) -> bytes:
    """Behind JFIF and EXIF."""
    at = max((each.end for each in segments.header(data) if each.marker in (0xE0, 0xE1)), default=2)
    return data[:at] + b"".join(segments.written(*part) for part in parts) + data[at:]


def xmp_part(packet: bytes) -> tuple[int, bytes]:
    return (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)


def listed(head: bytes, *behind: bytes) -> bytes:
    """The file of these pictures, with an index of them in the first."""
    count = 1 + len(behind)
    start = b"MM\0*\0\0\0\x08\0\3" + struct.pack(">HHI4sHHII", 0xB000, 7, 4, b"0100", 0xB001, 4, 1, count)
    start += struct.pack(">HHII", 0xB002, 7, 16 * count, 50) + bytes(4)
    whole = with_segments(head, (0xE2, b"MPF\0" + start + bytes(16 * count)))
    at, entries = whole.index(b"MPF\0") + 4, b""
    offset = len(whole)
    for number, each in enumerate((whole, *behind)):
        entries += struct.pack(">IIIHH", 0 if number else 0x30000, len(each), offset - at if number else 0, 0, 0)
        offset += len(each) if number else 0
    return whole[: at + 50] + entries + whole[at + 50 + len(entries) :] + b"".join(behind)


def hdr(
    *,
    orientation: int = 1,
    stated: dict[str, list[str]] | None = STATED,
    iso: bool = False,
    coloured: bool = False,
    quality: int = 97,
    video: bytes = b"",
    **options: Any,
) -> bytes:
    """An Ultra HDR JPEG; its pixels are the same at any orientation, as they lie."""
    base = scene(3, *SIZE)
    small = base.reduce(PART)
    gain = encoded(small if coloured else small.convert("L"), "JPEG", quality=95)
    if stated:
        gain = with_segments(gain, xmp_part(of_map(stated)))
    if iso:
        gain = with_segments(gain, (0xE2, NUMBERS))
    exif = Image.Exif()
    exif[0x0112] = orientation
    head = encoded(base, "JPEG", quality=quality, exif=exif, progressive=True, **options)
    items = [
        'I:Mime="image/jpeg" I:Semantic="Primary" I:Length="0"',
        f'I:Length="{len(gain)}" I:Semantic="GainMap" I:Mime="image/jpeg"',
    ]
    items += [f'I:Mime="video/mp4" I:Semantic="MotionPhoto" I:Length="{len(video)}"'] if video else []
    if stated:
        head = with_segments(head, xmp_part(of_picture(*items)))
    if iso:
        head = with_segments(head, (0xE2, ANNOUNCED))
    return listed(head, gain) + video


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def packet_of(image: bytes) -> bytes:
    bodies = (image[each.body : each.end] for each in segments.header(image) if each.marker == 0xE1)
    return next((body.partition(b"\0")[2] for body in bodies if body.startswith(b"http://ns.adobe.com/xap")), b"")


def iso_of(image: bytes) -> bytes:
    bodies = (image[each.body : each.end] for each in segments.header(image) if each.marker == 0xE2)
    return next((body for body in bodies if body.startswith(ISO)), b"")


def checked(
    result: bytes, stated: dict[str, list[str]] | None = STATED, *, iso: bool = False, least: float = 0.97
) -> bytes:
    """The map of a file in which all is true."""
    picture, gain = indexed(result)
    end = segments.end(result)
    assert picture == result[:end]
    assert gain == result[end : end + segments.end(gain)], "as long as it is, right behind the picture"
    packet = packet_of(result)
    if stated:
        assert gainmap.numbers(packet_of(gain)) == stated, "to the letter"
        assert b'hdrgm:Version="1.0"' in packet
        item = next(each for each in re.findall(rb"<\w+:Item [^>]*>", packet) if b'"GainMap"' in each)
        assert f'Length="{len(gain)}"'.encode() in item
    else:
        assert not packet_of(gain)
        assert b"hdrgm" not in packet
    assert (iso_of(result), iso_of(gain)) == ((ANNOUNCED, NUMBERS) if iso else (b"", b""))
    assert not opened(gain).getexif()
    assert_shows_the_same(picture, gain, least)
    return gain


def assert_shows_the_same(picture: bytes, gain: bytes, least: float = 0.97) -> None:
    base, small = opened(picture).convert("L"), opened(gain)
    seen = np.asarray(base.resize(small.size, Image.Resampling.BOX), dtype=float)
    told = np.asarray(small.convert("L"), dtype=float)
    assert np.corrcoef(seen.ravel(), told.ravel())[0, 1] > least
    other = np.corrcoef(seen[:, ::-1].ravel(), told.ravel())[0, 1]
    assert other < 0.9, "the scene is told from its mirror image"


def assert_no_trace(result: bytes) -> None:
    assert not [each for each in EVERYWHERE if each in result]
    assert result.count(b"\xff\xd8\xff") == 1
    assert result.endswith(b"\xff\xd9")


KEPT = {
    "contain": Preset("p", 160, 160, hdr="keep"),
    "cover": Preset("p", 200, 60, fit="cover", hdr="keep"),
    "tall": Preset("p", 60, 200, fit="cover", hdr="keep"),
    "attention": Preset("p", 90, 160, fit="cover", gravity="attention", hdr="keep"),
    "stretch": Preset("p", 120, 120, fit="stretch", hdr="keep"),
    "sharpened": Preset("p", 160, 160, sharpen=0.3, hdr="keep"),
    "baseline": Preset("p", 160, 160, progressive=False, hdr="keep"),
    "larger": Preset("p", 700, 500, fit="cover", hdr="keep"),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("preset", KEPT.values(), ids=KEPT)
def test_a_thumbnail_carries_what_its_part_of_the_map_shows(preset: Preset, orientation: int, tmp_path: Path) -> None:
    result = rendered(hdr(orientation=orientation), tmp_path, preset)[1]["p"]
    gain = checked(result)
    picture, small = opened(result), opened(gain)
    assert small.mode == "L"
    assert small.size == tuple(round(side / PART) for side in picture.size)
    assert picture.getexif().get(0x0112, 1) == 1
    assert PRIVATE not in result, "thumbnails carry no other metadata"
    assert b"Ann" not in result


def test_a_thumbnail_of_a_thumbnail_carries_its_part(tmp_path: Path) -> None:
    presets = (Preset("large", 240, 240, hdr="keep"), Preset("small", 60, 90, fit="cover", hdr="keep"))
    plain = (Preset("large", 240, 240), presets[1], Preset("other", 60, 60))
    written = rendered(hdr(), tmp_path, *presets)[1]
    for result in written.values():
        checked(result)
    mixed = rendered(hdr(), tmp_path, *plain)[1]
    assert mixed["small"] == written["small"]
    assert_no_trace(mixed["large"])
    assert_no_trace(mixed["other"])


@pytest.mark.parametrize(("stated", "iso"), [(STATED, True), (None, True), (COLOURED, False)])
@pytest.mark.parametrize("rule", ["thumbnail", "keep", "safe", "keep, smaller", "safe, smaller"])
def test_what_the_numbers_mean_is_told_as_in_the_source(
    stated: dict[str, list[str]] | None, iso: bool, rule: str, tmp_path: Path
) -> None:
    coloured = stated is COLOURED
    data = hdr(stated=stated, iso=iso, coloured=coloured)
    if rule == "thumbnail":
        result = rendered(data, tmp_path, KEPT["cover"])[1]["p"]
    else:
        result, _ = copy(data, tmp_path, metadata=rule[:4], max_dimension=240 if "smaller" in rule else None)
    assert opened(checked(result, stated, iso=iso)).mode == ("RGB" if coloured else "L")


def test_picture_and_map_tell_of_it_in_the_same_way(tmp_path: Path) -> None:
    both, xmp_alone, iso_alone = hdr(iso=True), hdr(), hdr(stated=None, iso=True)
    for source, of_gain in ((xmp_alone, iso_alone), (both, xmp_alone), (both, iso_alone), (iso_alone, both)):
        gain = indexed(of_gain)[1]
        data = source[: segments.end(source)] + gain
        is_iso, stated = of_gain is not xmp_alone, STATED if of_gain is not iso_alone else None
        checked(rendered(data, tmp_path, KEPT["cover"])[1]["p"], stated, iso=is_iso)
        checked(copy(data, tmp_path, quality=80)[0], stated, iso=is_iso)


@pytest.mark.parametrize("options", [{}, {"format": "webp"}, {"format": "png"}, {"format": "avif"}, {"fit": "pad"}])
def test_thumbnails_have_none_unless_they_are_to(options: dict[str, Any], tmp_path: Path) -> None:
    kept: dict[str, Any] = {"hdr": "keep"} if options else {}
    preset = Preset("p", 160, 100, **options, **kept)
    result = rendered(hdr(iso=True), tmp_path, preset)[1]["p"]
    assert not [each for each in EVERYWHERE if each in result]
    bare = with_segments(encoded(scene(3, *SIZE), "JPEG", quality=97, progressive=True))
    assert rendered(bare, tmp_path, preset)[1]["p"] == result, "and no other pixel"


def test_a_picture_without_a_map_is_the_same_whatever_is_asked(tmp_path: Path) -> None:
    data = encoded(scene(3, *SIZE), "JPEG", quality=95)
    kept, plain = Preset("kept", 160, 160, hdr="keep"), Preset("plain", 160, 160)
    assert len(set(rendered(data, tmp_path, kept, plain)[1].values())) == 1


def test_a_coloured_map_holds_for_the_sources_colours_alone(tmp_path: Path) -> None:
    from hotfolder.imaging.colour.convert import display_p3

    for coloured, colorspace, carried in ((True, "srgb", False), (True, "keep", True), (False, "srgb", True)):
        data = hdr(stated=STATED, coloured=coloured, icc_profile=display_p3())
        preset = Preset("p", 160, 160, hdr="keep", colorspace=colorspace)  # type: ignore[arg-type]
        result = rendered(data, tmp_path, preset)[1]["p"]
        if carried:
            checked(result, least=0.9)  # other colours are of other brightness
        else:
            assert_no_trace(result)
        assert (opened(result).info.get("icc_profile") is not None) == (colorspace == "keep")


# -- copies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("longest", [None, 300])
@pytest.mark.parametrize("rule", ["keep", "safe"])
def test_a_copy_carries_its_map(rule: str, longest: int | None, orientation: int, tmp_path: Path) -> None:
    data = hdr(orientation=orientation, iso=True)
    result, _ = copy(data, tmp_path, metadata=rule, max_dimension=longest, quality=80)
    gain = checked(result, iso=True)
    picture = opened(result)
    assert max(picture.size) == (longest or SIZE[0])
    assert opened(gain).size == tuple(round(side / PART) for side in picture.size)
    assert picture.getexif().get(0x0112, 1) == 1
    assert (PRIVATE in result, b"Ann" in result) == (rule == "keep", True)
    if longest is None and orientation == 1:
        assert (gain == indexed(data)[1]) == (rule == "keep"), "byte for byte"
        assert opened(gain).tobytes() == opened(indexed(data)[1]).tobytes(), "bit for bit"


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("mode", ["lossless", "lossy", "auto"])
@pytest.mark.parametrize("rule", ["keep", "safe", "strip"])
def test_a_source_that_is_kept_keeps_its_map(rule: str, mode: str, orientation: int, tmp_path: Path) -> None:
    data = hdr(orientation=orientation, quality=60)
    result, _ = copy(data, tmp_path, metadata=rule, mode=mode, quality=95, target=99, min_saving=0.9)
    assert opened(result).tobytes() == opened(data).tobytes(), "its own picture"
    if rule == "strip":
        assert_no_trace(result)
        return
    gain = checked(result)
    assert opened(result).getexif().get(0x0112, 1) == orientation, "both lie as they lay"
    assert opened(gain).tobytes() == opened(indexed(data)[1]).tobytes()
    assert (PRIVATE in result) == (rule == "keep")


def test_a_picture_that_is_coded_smaller_keeps_its_map(tmp_path: Path) -> None:
    pytest.importorskip("mozjpeg_lossless_optimization")
    base = scene(3, *SIZE)
    gain = indexed(hdr())[1]
    items = ('I:Semantic="Primary"', f'I:Semantic="GainMap" I:Length="{len(gain)}"')
    data = listed(with_segments(encoded(base, "JPEG", quality=60), xmp_part(of_picture(*items))), gain)
    for rule in ("keep", "safe"):
        result, _ = copy(data, tmp_path, metadata=rule, mode="lossless", min_saving=0)
        assert len(result) < len(data) * 0.98
        checked(result)
        assert opened(result).tobytes() == opened(data).tobytes()


@pytest.mark.parametrize("mode", ["lossless", "lossy", "auto"])
def test_a_copy_of_a_copy_is_that_copy(mode: str, tmp_path: Path) -> None:
    first, _ = copy(hdr(iso=True), tmp_path, mode=mode, quality=80)
    second, _ = copy(first, tmp_path, mode=mode, quality=80)
    checked(second, iso=True)
    assert second == first


@pytest.mark.parametrize("options", [{"metadata": "strip"}, {"format": "webp"}, {"format": "avif", "metadata": "keep"}])
def test_a_copy_that_cannot_carry_it_has_no_trace_of_it(options: dict[str, Any], tmp_path: Path) -> None:
    result, _ = copy(hdr(iso=True), tmp_path, quality=80, **options)
    assert not [each for each in EVERYWHERE if each in result]
    assert "format" in options or result.count(b"\xff\xd8\xff") == 1


@pytest.mark.parametrize("orientation", [1, 3])
def test_a_video_behind_the_map_keeps_its_place(orientation: int, tmp_path: Path) -> None:
    video = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 4
    data = hdr(video=video, orientation=orientation)
    result, _ = copy(data, tmp_path, metadata="keep", max_dimension=240, quality=80)
    gain = checked(result)
    if orientation == 1:
        assert result.endswith(gain + video)
        assert f'I:Length="{len(video)}"'.encode() in packet_of(result)
    else:
        assert result.endswith(gain)
        assert b"MotionPhoto" not in result
    result, _ = copy(data, tmp_path, metadata="safe", quality=80)
    assert result.endswith(checked(result))
    assert b"MotionPhoto" not in result


def test_pictures_behind_the_map_are_still_where_the_index_says(tmp_path: Path) -> None:
    preview = encoded(scene(5, 90, 60), "JPEG")
    data = hdr()
    gain = indexed(data)[1]
    at = next(each for each in segments.header(data) if each.body and data[each.body :].startswith(b"MPF\0"))
    head = data[: at.start] + data[at.end : segments.end(data)]
    for images in ((gain, preview), (preview, gain)):
        result, _ = copy(listed(head, *images), tmp_path, metadata="keep", max_dimension=240, quality=80)
        first, *rest = indexed(result)
        assert preview == rest[images.index(preview)]
        assert_shows_the_same(first, rest[images.index(gain)])
        assert f'Length="{len(rest[images.index(gain)])}"'.encode() in packet_of(result)


# -- what is damaged, too large or missing -----------------------------------------------------------------------------


def damaged(what: str) -> bytes:
    data = hdr(iso="iso" in what)
    picture, gain = indexed(data)
    start = len(picture)
    match what:
        case "cut off":
            return data[: start + len(gain) // 2]
        case "cut short":
            return data[:-2]
        case "missing":
            return picture
        case "too many pixels":
            at = next(each for each in segments.header(gain) if each.marker in segments.FRAMES).body + start + 1
            return data[:at] + struct.pack(">HH", 60_000, 60_000) + data[at + 4 :]
        case "more pixels than the picture":
            return listed(
                with_segments(encoded(scene(3, *SIZE), "JPEG"), xmp_part(of_picture())),
                with_segments(encoded(scene(3, SIZE[0] + 8, SIZE[1]).convert("L"), "JPEG"), xmp_part(of_map(STATED))),
            )
        case "no JPEG":
            return picture + encoded(scene(3, 60, 40), "PNG")
        case "numbers missing":
            return picture + gain.replace(b"hdrgm:Version", b"hdrgm:Versatz")
        case "numbers that are none":
            return data.replace(b'hdrgm:Gamma="1.2"', b'hdrgm:Gamma="&x;"')
        case "huge packet":
            pieces = [(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"<" * 65_000)] * 300
            return data[:start] + with_segments(gain, *pieces)
        case "nested packet":
            deep = described("", "<dc:a>" * 9_000 + "</dc:a>" * 1)
            return data[:start] + gain.replace(of_map(STATED), deep[:60_000])
        case "inks":
            return data[:start] + with_segments(
                encoded(scene(3, 60, 40).convert("CMYK"), "JPEG"), xmp_part(of_map(STATED))
            )
        case "12 bits":
            at = next(each for each in segments.header(gain) if each.marker in segments.FRAMES).body + start
            return data[:at] + b"\x0c" + data[at + 1 :]
    raise AssertionError(what)


@pytest.mark.parametrize(
    "what",
    [
        "cut off",
        "cut short",
        "missing",
        "too many pixels",
        "more pixels than the picture",
        "no JPEG",
        "numbers missing",
        "numbers that are none",
        "huge packet",
        "nested packet",
        "inks",
        "12 bits",
    ],
)
def test_a_map_that_is_none_leaves_no_trace(what: str, tmp_path: Path) -> None:
    data = damaged(what)
    result = rendered(data, tmp_path, KEPT["cover"])[1]["p"]
    assert_no_trace(result)
    assert result == rendered(data, tmp_path, Preset("p", 200, 60, fit="cover"))[1]["p"]
    for rule in ("keep", "safe"):
        for longest in (None, 200):
            result, _ = copy(data, tmp_path, metadata=rule, quality=70, max_dimension=longest)
            assert_no_trace(result)


@pytest.mark.parametrize("at", [30, 34, 38, 40, 54, 58, 66, 70, 74])
@pytest.mark.parametrize("number", [0, 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_wrong_numbers_in_the_index_are_not_believed(at: int, number: int, tmp_path: Path) -> None:
    data = hdr()
    place = data.index(b"MPF\0") + 4 + at
    data = data[:place] + struct.pack(">I", number) + data[place + 4 :]
    checked(rendered(data, tmp_path, KEPT["contain"])[1]["p"])
    for rule in ("keep", "safe"):
        checked(copy(data, tmp_path, metadata=rule, quality=80)[0])


@pytest.mark.parametrize("number", ["0   ", "17  ", "9999", "-1  ", "x   "])
def test_a_wrong_length_in_the_directory_is_not_believed(number: str, tmp_path: Path) -> None:
    data = re.sub(rb'I:Length="[1-9]\d{3}"', f'I:Length="{number}"'.encode(), hdr())
    assert f'"{number}"'.encode() in data
    checked(rendered(data, tmp_path, KEPT["contain"])[1]["p"])
    for rule in ("keep", "safe"):
        for longest in (None, 240):
            checked(copy(data, tmp_path, metadata=rule, quality=80, max_dimension=longest)[0])


def test_an_index_of_far_too_many_values_is_none(tmp_path: Path) -> None:
    data = hdr()
    at = next(each for each in segments.header(data) if data[each.body :].startswith(b"MPF\0"))
    values = b"MM\0*\0\0\0\x08" + struct.pack(">H", 5000) + struct.pack(">HHII", 0xB001, 4, 1, 2) * 5000
    data = data[: at.start] + segments.written(0xE2, b"MPF\0" + values) + data[at.end :]
    checked(rendered(data, tmp_path, KEPT["contain"])[1]["p"])
    for rule in ("keep", "safe"):
        checked(copy(data, tmp_path, metadata=rule, quality=80)[0])
    for cut in (segments.end(data), len(data)):
        copy(data[:cut] + bytes(range(256)), tmp_path, metadata="keep", quality=80)


@pytest.mark.parametrize("cut", range(0, 400, 23))
def test_no_cut_is_an_error(cut: int, tmp_path: Path) -> None:
    data = hdr(iso=True)
    start = segments.end(data)
    length = len(data) - start
    result = rendered(data[: start + length * cut // 400], tmp_path, KEPT["contain"])[1]["p"]
    assert_no_trace(result)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool (apt install libimage-exiftool-perl)")
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("kind", ["thumbnail", "keep", "safe", "as it was"])
def test_exiftool_agrees(kind: str, orientation: int, tmp_path: Path) -> None:
    data = hdr(orientation=orientation, iso=True, quality=60 if kind == "as it was" else 97)
    if kind == "thumbnail":
        result = rendered(data, tmp_path, KEPT["cover"])[1]["p"]
    elif kind == "as it was":
        result, _ = copy(data, tmp_path, quality=95)
    else:
        result, _ = copy(data, tmp_path, metadata=kind, quality=80, max_dimension=240)
    file = tmp_path / "result.jpg"
    file.write_bytes(result)
    asked = ["exiftool", "-json", "-struct", "-warning", "-XMP:all", "-MPF:all", str(file)]
    told = json.loads(subprocess.run(asked, capture_output=True, check=True, timeout=120).stdout)[0]
    assert "Warning" not in told, told
    assert told["NumberOfImages"] == 2
    extracted = subprocess.run(["exiftool", "-b", "-MPImage2", str(file)], capture_output=True, check=True, timeout=120)
    assert extracted.stdout == indexed(result)[1]
    lengths = [int(found) for found in re.findall(r'"Length": (\d+)', json.dumps(told))]
    assert lengths[-1] == len(extracted.stdout)


def test_the_map_is_reserved_for_where_it_is_decoded() -> None:
    data = hdr()
    picture, plain = open_image(data, Limits()), open_image(data[: segments.end(data)], Limits())
    for plan in (Plan((KEPT["cover"],)), Plan((), OptimizeSpec())):
        assert peak(picture, plan, plan.names()) > peak(plain, plan, plan.names())
    for plan in (Plan((Preset("p", 160, 160),)), Plan((KEPT["cover"],), OptimizeSpec(metadata="strip"))):
        assert peak(picture, plan, ("p",) * (not plan.optimize)) == peak(plain, plan, ("p",) * (not plan.optimize))


def test_a_map_that_takes_too_long_ends_as_its_picture_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object) -> None:
        raise SourceError(Reason.TIMEOUT, "it takes too long")

    monkeypatch.setattr("hotfolder.imaging.rendering.gainmap.Base", late)
    with pytest.raises(SourceError, match="too long"):
        rendered(hdr(), tmp_path, KEPT["cover"])
