"""Metadata whose truth depends on pixels, or on bytes elsewhere, are carried, corrected or dropped as one: each row of
the table in docs/formats.md. And credits are found wherever editors put them."""

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, IptcImagePlugin

from hotfolder.imaging import Limits, open_image
from hotfolder.imaging.containers import chunks, directories
from hotfolder.imaging.containers.directories import Value
from hotfolder.imaging.metadata import claims, credits, exif, patching, xmp
from hotfolder.presets import Format, Preset
from tests.unit import test_imaging_gainmap as gainmaps
from tests.unit import test_imaging_notes as notes
from tests.unit.imaging import copy, encoded, noise, rendered
from tests.unit.test_imaging_metadata import dataset, indexed, resource, xmp_in
from tests.unit.test_imaging_notes import SIZE, exif_block, parts, picture, source, with_parts

RDF = credits.RDF
RIGHTS = '<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">© Ann</rdf:li></rdf:Alt></dc:rights>'


def packet(properties: str = "", inside: str = RIGHTS, root: str = "x:xmpmeta") -> bytes:
    """A packet with these properties as attributes, and these as elements."""
    wrapper = f'{root} xmlns:{root.split(":")[0]}="adobe:ns:meta/"'
    text = (
        f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<{wrapper}><rdf:RDF xmlns:rdf="{RDF}">\n'
        f'<rdf:Description rdf:about="" xmlns:dc="{credits.PREFIXES["dc"]}" {properties}>\n{inside}\n</rdf:Description>'
        f'</rdf:RDF></{root}>\n<?xpacket end="w"?>'
    )
    return text.encode()


# -- credits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ["x:xmpmeta", "x:xapmeta", "xmp:xmpmeta", "xmpmeta:xmpmeta"])
@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_credits_are_found_in_any_wrapper(plugin: str, root: str, tmp_path: Path) -> None:
    result, _ = copy(with_xmp(plugin, packet(root=root)), tmp_path, metadata="safe", max_dimension=150)
    assert "© Ann".encode() in xmp_in(result)


def test_credits_are_found_without_any_wrapper() -> None:
    bare = re.sub(rb"</?x:xmpmeta[^>]*>", b"", packet())
    assert b"xmpmeta" not in bare
    assert "© Ann".encode() in credits.of_xmp(bare)


def with_xmp(plugin: str, content: bytes, **options: Any) -> bytes:
    image = picture()
    if plugin == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt(chunks.XMP, content.decode())
        return encoded(image, plugin, pnginfo=info, compress_level=1, **options)
    return encoded(image, plugin, xmp=content, quality=97, **options)


@pytest.mark.parametrize("rule", ["safe", "keep"])
@pytest.mark.parametrize("size", [64_990, 65_000, 300_000])
@pytest.mark.parametrize("plugin", ["PNG", "WEBP", "AVIF"])
def test_a_long_packet_keeps_its_credits(plugin: str, size: int, rule: str, tmp_path: Path) -> None:
    content = packet(inside=RIGHTS + "<dc:subject>HISTORY</dc:subject>")
    content = content.replace(b"HISTORY", b"HISTORY".ljust(size - len(content) + 7, b"."))
    assert len(content) == size
    result, _ = copy(with_xmp(plugin, content), tmp_path, metadata=rule, max_dimension=150)
    assert "© Ann".encode() in xmp_in(result)
    assert (b"HISTORY" in result) == (rule == "keep")


def test_a_packet_that_a_jpeg_has_no_room_for_gives_its_credits(tmp_path: Path) -> None:
    content = packet(inside=RIGHTS + f"<dc:subject>{'HISTORY' * 10_000}</dc:subject>")
    result, _ = copy(with_xmp("PNG", content), tmp_path, metadata="keep", format="jpeg")
    assert "© Ann".encode() in xmp_in(result)
    assert b"HISTORY" not in result


FIRST = resource(0x0404, dataset(80, b"Ann") + dataset(90, b"CITY"))
SECOND = resource(0x0404, dataset(116, b"(c) Ann") + dataset(120, b"CAPTION"))


@pytest.mark.parametrize(
    "bodies",
    [
        [FIRST, SECOND],
        [FIRST + SECOND[:9], SECOND[9:]],
        [resource(0x040C, b"thumbnail"), FIRST, SECOND],
        [resource(0x040C, b"odd")[:-1], FIRST, SECOND],
    ],
    ids=["two", "cut in two", "behind another", "without padding"],
)
@pytest.mark.parametrize("quality", [97, 25], ids=["encoded", "rewritten"])
def test_iptc_of_every_segment_counts(bodies: list[bytes], quality: int, tmp_path: Path) -> None:
    data = encoded(picture(), "JPEG", quality=quality, progressive=True)
    data = with_parts(data, (0xED, b"Adobe_CM\0other"), *((0xED, credits.PHOTOSHOP + body) for body in bodies))
    result, _ = copy(data, tmp_path, metadata="safe")
    found = IptcImagePlugin.getiptcinfo(Image.open(io.BytesIO(result)))
    assert found == {(2, 80): b"Ann", (2, 116): b"(c) Ann"}


@pytest.mark.parametrize("kind", [4, 13, 16, 18])
def test_a_bigtiff_tells_its_shot_by_pointers_of_any_type(kind: int, tmp_path: Path) -> None:
    block = Image.Exif()
    block[0x8298] = "(c) Ann"
    block[directories.EXIF] = {0x9003: "2023:03:04 05:06:07", 0x829A: 0.004}
    data = bytearray(encoded(picture(), "TIFF", exif=block.tobytes(), big_tiff=True))
    at = data.index(struct.pack("<H", directories.EXIF), 16)
    struct.pack_into("<H", data, at + 2, kind)
    shot = exif.read(open_image(bytes(data), Limits(), b"x"), gps=True)
    assert (shot.taken_at, shot.exposure_time) == ("2023-03-04T05:06:07", 0.004)
    result, _ = copy(bytes(data), tmp_path, format="jpeg")
    assert b"2023:03:04 05:06:07" in result


# -- density -----------------------------------------------------------------------------------------------------------


def with_density(plugin: str, unit: int, across: int, down: int) -> bytes:
    data = encoded(picture(), plugin, quality=97, dpi=(72, 72))
    if plugin == "JPEG":
        return data[:13] + struct.pack(">BHH", unit, across, down) + data[18:]
    at = data.index(b"pHYs")
    body = b"pHYs" + struct.pack(">IIB", across, down, unit)
    return data[:at] + body + struct.pack(">I", zlib.crc32(body)) + data[at + 17 :]


def density(data: bytes) -> tuple[int, int, int]:
    """Unit, across, down, as the file has them."""
    if data.startswith(b"\xff\xd8"):
        return struct.unpack_from(">BHH", data, 13)
    found = next((data[each.body : each.stop] for each in chunks.walk(data) if each.kind == b"pHYs"), bytes(9))
    across, down, unit = struct.unpack(">IIB", found)
    return unit, across, down


@pytest.mark.parametrize("rule", ["safe", "keep", "strip"])
@pytest.mark.parametrize("stated", [(1, 300, 300), (1, 72, 144), (2, 118, 118), (0, 2, 1)])
@pytest.mark.parametrize("mode", ["lossy", "auto", "lossless"])
def test_the_density_of_a_jpeg_is_kept(stated: tuple[int, int, int], mode: str, rule: str, tmp_path: Path) -> None:
    data = with_density("JPEG", *stated)
    assert density(copy(data, tmp_path, metadata=rule, mode=mode, target=60)[0]) == stated
    assert density(copy(data, tmp_path, metadata=rule, mode=mode, max_dimension=100)[0]) == stated


@pytest.mark.parametrize("rule", ["safe", "keep", "strip"])
@pytest.mark.parametrize("stated", [(1, 11811, 11811), (1, 2835, 5669), (0, 2, 1)])
@pytest.mark.parametrize("mode", ["lossy", "lossless"])
def test_the_density_of_a_png_is_kept(stated: tuple[int, int, int], mode: str, rule: str, tmp_path: Path) -> None:
    data = with_density("PNG", *stated)
    assert density(copy(data, tmp_path, metadata=rule, mode=mode, min_saving=0)[0]) == stated
    result, _ = copy(data, tmp_path, metadata=rule, mode=mode, max_dimension=100)
    assert density(result) == stated
    Image.open(io.BytesIO(result)).load()


@pytest.mark.parametrize(
    ("plugin", "stated", "goal", "expected"),
    [
        ("JPEG", (1, 300, 300), "png", (1, 11811, 11811)),
        ("JPEG", (2, 118, 59), "png", (1, 11800, 5900)),
        ("PNG", (1, 11811, 11811), "jpeg", (1, 300, 300)),
        ("PNG", (1, 11800, 5900), "jpeg", (2, 118, 59)),
        ("PNG", (0, 4, 3), "jpeg", (0, 4, 3)),
        ("PNG", (1, 4_000_000_000, 1), "jpeg", (0, 1, 1)),
        ("PNG", (9, 300, 300), "jpeg", (0, 1, 1)),
        ("JPEG", (1, 0, 300), "png", (0, 0, 0)),
    ],
)
def test_density_is_translated(
    plugin: str, stated: tuple[int, int, int], goal: Format, expected: tuple[int, int, int], tmp_path: Path
) -> None:
    assert density(copy(with_density(plugin, *stated), tmp_path, format=goal)[0]) == expected


def test_density_turns_with_the_picture_and_thumbnails_have_none(tmp_path: Path) -> None:
    data = source("JPEG", exif_block(orientation=6))
    data = data[:13] + struct.pack(">BHH", 1, 100, 200) + data[18:]
    assert density(copy(data, tmp_path, max_dimension=100)[0]) == (1, 200, 100)
    assert density(rendered(data, tmp_path, Preset("p", 90, 90))[1]["p"]) == (0, 1, 1)


# -- panoramas ---------------------------------------------------------------------------------------------------------

PANO = f'xmlns:GPano="{claims.PANORAMA}" '


def panorama(wide: int, high: int, full: tuple[int, int], left: int, top: int, *, elements: bool = False) -> bytes:
    stated = {
        "ProjectionType": "equirectangular",
        "UsePanoramaViewer": "True",
        "CroppedAreaImageWidthPixels": wide,
        "CroppedAreaImageHeightPixels": high,
        "FullPanoWidthPixels": full[0],
        "FullPanoHeightPixels": full[1],
        "CroppedAreaLeftPixels": left,
        "CroppedAreaTopPixels": top,
        "PoseHeadingDegrees": "271.5",
        "CaptureSoftware": "SOFTWARE",
    }
    if elements:
        return packet(PANO, RIGHTS + "".join(f"<GPano:{name}>{value}</GPano:{name}>" for name, value in stated.items()))
    return packet(PANO + " ".join(f'GPano:{name}="{value}"' for name, value in stated.items()))


def shown(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}

    def note(space: str, name: str, value: str) -> str:
        if space == claims.PANORAMA:
            found[name] = value
        return value

    xmp.changed(xmp_in(data), note)
    return found


@pytest.mark.parametrize("elements", [False, True], ids=["attributes", "elements"])
@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("rule", ["safe", "keep"])
def test_a_panorama_stays_one_with_true_sizes(plugin: str, rule: str, elements: bool, tmp_path: Path) -> None:
    data = with_xmp(plugin, panorama(*SIZE, (400, 200), 100, 30, elements=elements))
    for longest, factor in ((None, 1.0), (100, 0.5)):
        found = shown(copy(data, tmp_path, metadata=rule, max_dimension=longest)[0])
        assert found["ProjectionType"] == "equirectangular"
        assert (found["CroppedAreaImageWidthPixels"], found["CroppedAreaImageHeightPixels"]) == (
            str(round(200 * factor)),
            str(round(140 * factor)),
        )
        assert (found["FullPanoWidthPixels"], found["FullPanoHeightPixels"]) == (
            str(round(400 * factor)),
            str(round(200 * factor)),
        )
        assert (found["CroppedAreaLeftPixels"], found["CroppedAreaTopPixels"]) == (
            str(round(100 * factor)),
            str(round(30 * factor)),
        )
        assert ("PoseHeadingDegrees" in found) == ("CaptureSoftware" in found) == (rule == "keep")


@pytest.mark.parametrize("longest", range(101, 199, 7))
def test_a_panoramas_part_lies_within_its_whole_however_sizes_round(longest: int, tmp_path: Path) -> None:
    data = with_xmp("JPEG", panorama(*SIZE, (333, 151), 133, 11))
    result, _ = copy(data, tmp_path, max_dimension=longest)
    found = {name: int(value) for name, value in shown(result).items() if name.endswith("Pixels")}
    image = Image.open(io.BytesIO(result))
    assert image.size == (found["CroppedAreaImageWidthPixels"], found["CroppedAreaImageHeightPixels"])
    assert found["CroppedAreaLeftPixels"] + image.width <= found["FullPanoWidthPixels"]
    assert found["CroppedAreaTopPixels"] + image.height <= found["FullPanoHeightPixels"]


@pytest.mark.parametrize("rule", ["safe", "keep"])
def test_a_panorama_that_was_turned_or_cut_is_none(rule: str, tmp_path: Path) -> None:
    turned = source("JPEG", exif_block(orientation=6), xmp=panorama(*SIZE, (400, 200), 100, 30))
    cut = with_xmp("JPEG", panorama(400, 200, (400, 200), 0, 0))
    for data in (turned, cut):
        result, _ = copy(data, tmp_path, metadata=rule, max_dimension=150)
        assert shown(result) == {}
        assert "© Ann".encode() in xmp_in(result)


def test_what_a_panorama_says_in_words_is_not_safe(tmp_path: Path) -> None:
    properties = f'{PANO} GPano:ProjectionType="equirectangular" GPano:PosePitchDegrees="Ann was here"'
    assert shown(copy(with_xmp("JPEG", packet(properties)), tmp_path)[0]) == {"ProjectionType": "equirectangular"}


@pytest.mark.parametrize("rule", ["safe", "keep"])
def test_a_panorama_whose_pixels_are_kept_keeps_its_sizes(rule: str, tmp_path: Path) -> None:
    data = with_xmp("JPEG", panorama(*SIZE, (400, 200), 100, 30))
    result, _ = copy(data, tmp_path, metadata=rule, mode="lossless")
    assert shown(result)["CroppedAreaImageWidthPixels"] == "200"


# -- what lies behind --------------------------------------------------------------------------------------------------

VIDEO = b"\0\0\0\x18ftypmp42" + b"\0\0\0\0mp42isom" + b"\0\0\1\0mdat" + bytes(range(248))
CONTAINER = (
    'xmlns:Container="http://ns.google.com/photos/1.0/container/" '
    'xmlns:Item="http://ns.google.com/photos/1.0/container/item/"'
)
MOTION = packet(
    'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" '
    f'GCamera:MicroVideo="1" GCamera:MicroVideoOffset="{len(VIDEO)}" GCamera:SpecialTypeID="PORTRAIT" {CONTAINER}',
    RIGHTS
    + '<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="image/jpeg"'
    + ' Item:Semantic="Primary"/></rdf:li><rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="video/mp4"'
    + f' Item:Semantic="MotionPhoto" Item:Length="{len(VIDEO)}"/></rdf:li></rdf:Seq></Container:Directory>',
)


@pytest.mark.parametrize("mode", ["lossy", "auto", "lossless"])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("longest", [None, 100])
@pytest.mark.parametrize("rule", ["safe", "keep", "strip"])
def test_a_video_and_what_promises_it_go_together(
    rule: str, longest: int | None, orientation: int, mode: str, tmp_path: Path
) -> None:
    data = source("JPEG", exif_block(orientation=orientation), xmp=MOTION) + VIDEO
    result, _ = copy(data, tmp_path, metadata=rule, max_dimension=longest, mode=mode, target=60)
    there = result.endswith(VIDEO)
    promised = [word in result for word in (b"MotionPhoto", b"MicroVideo", b"Container:Directory", b"Item:Length")]
    assert set(promised) == {there}
    assert VIDEO[:40] not in result or there
    unturned = orientation == 1 or (mode == "lossless" and longest is None)
    assert there == (rule == "keep" and unturned)
    assert (b"PORTRAIT" in result) == (rule == "keep"), "what says nothing of the video stays"
    assert ("© Ann".encode() in xmp_in(result)) == (rule != "strip")
    Image.open(io.BytesIO(result)).load()


@pytest.mark.parametrize("goal", ["png", "webp", "avif"])
def test_no_other_format_promises_a_video(goal: Format, tmp_path: Path) -> None:
    result, _ = copy(with_xmp("JPEG", MOTION) + VIDEO, tmp_path, metadata="keep", format=goal)
    assert b"MotionPhoto" not in xmp_in(result)
    assert b"Item:" not in xmp_in(result)
    assert b"PORTRAIT" in xmp_in(result)
    assert VIDEO not in result


def test_a_video_that_is_gone_already_is_promised_no_more(tmp_path: Path) -> None:
    result, _ = copy(with_xmp("JPEG", MOTION) + bytes(900), tmp_path, metadata="keep")
    assert b"MotionPhoto" not in result
    assert not result.endswith(b"\0")


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("longest", [None, 100])
def test_the_index_of_further_pictures_is_corrected(longest: int | None, native: bool, tmp_path: Path) -> None:
    data = encoded(picture(), "MPO", save_all=True, append_images=[noise(50, 35)], quality=97)
    options = {} if native else {"sharpen": 0.1}
    result, _ = copy(data, tmp_path, metadata="keep", max_dimension=longest, **options)
    assert len(result) < len(data)
    first, second = indexed(result)
    assert first.endswith(b"\xff\xd9")
    assert Image.open(io.BytesIO(first)).size == (SIZE if longest is None else (100, 70))
    assert second == indexed(data)[1]


@pytest.mark.parametrize("rule", ["safe", "keep"])
def test_further_pictures_go_with_their_index_where_the_first_is_turned(rule: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(picture(), "MPO", save_all=True, append_images=[noise(50, 35)], quality=97, exif=exif)
    result, _ = copy(data, tmp_path, metadata=rule)
    assert b"MPF\0" not in result
    assert result.count(b"\xff\xd8\xff") == 1


@pytest.mark.parametrize("orientation", [1, 6])
def test_photoshops_thumbnail_goes_where_the_picture_is_turned(orientation: int, tmp_path: Path) -> None:
    body = credits.PHOTOSHOP + FIRST + resource(0x040C, b"THUMBNAIL") + SECOND
    data = with_parts(source("JPEG", exif_block(orientation=orientation)), (0xED, body))
    found = [body for marker, body in parts(copy(data, tmp_path, metadata="keep")[0]) if marker == 0xED]
    assert found == [body if orientation == 1 else credits.PHOTOSHOP + FIRST + SECOND]


@pytest.mark.parametrize("rule", ["safe", "keep"])
def test_exif_names_the_colour_space_that_inks_were_converted_to(rule: str, tmp_path: Path) -> None:
    block = Image.Exif()
    block[directories.EXIF] = {0xA001: 0xFFFF}
    data = encoded(picture().convert("CMYK"), "JPEG", exif=block, quality=95)
    result, _ = copy(data, tmp_path, metadata=rule, format="webp")
    assert Image.open(io.BytesIO(result)).getexif().get_ifd(directories.EXIF)[0xA001] == 1
    result, _ = copy(data, tmp_path, metadata=rule, max_dimension=100)
    assert Image.open(io.BytesIO(result)).getexif().get_ifd(directories.EXIF)[0xA001] == 0xFFFF


@pytest.mark.parametrize("cut", range(0, 82, 6))
def test_a_damaged_index_costs_no_picture(cut: int, tmp_path: Path) -> None:
    data = encoded(picture(), "MPO", save_all=True, append_images=[noise(50, 35)], quality=97)
    at = data.index(b"MPF\0") + 4 + cut
    result, _ = copy(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :], tmp_path, metadata="keep")
    assert Image.open(io.BytesIO(result)).size == SIZE


def test_gain_map_marker_goes_with_the_map(tmp_path: Path) -> None:
    marker = (0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0")
    data = with_parts(encoded(picture(), "JPEG", quality=97), marker)
    assert marker not in parts(copy(data, tmp_path, metadata="keep")[0])
    gain = with_parts(encoded(noise(50, 35), "JPEG"), (0xE2, marker[1] + bytes(57)))
    assert marker in parts(copy(data + gain, tmp_path, metadata="keep", min_saving=0)[0])


# -- the coding's own --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("transform", "stays"), [(1, True), (0, False)])
def test_adobes_colour_mark_is_true(transform: int, stays: bool, tmp_path: Path) -> None:
    """Without JFIF's segment decoders go by it."""
    mark = (0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))
    data = encoded(picture(), "JPEG", quality=97, keep_rgb=not stays)
    data = with_parts(data, mark) if stays else data
    assert mark in parts(data)
    result, _ = copy(data, tmp_path, metadata="keep")
    assert (mark in parts(result)) == stays
    assert parts(result)[0][1].startswith(b"JFIF"), "YCbCr"


@pytest.mark.parametrize("rule", ["safe", "keep"])
def test_thumbnails_of_jfif_go(rule: str, tmp_path: Path) -> None:
    data = encoded(picture(), "JPEG", quality=97)
    jfif = b"JFIF\0\1\2\1\0\x60\0\x60\2\2" + b"THUMBNAIL..."
    data = with_parts(data[:2] + b"\xff\xe0" + struct.pack(">H", len(jfif) + 2) + jfif + data[20:])
    extension = (0xE0, b"JFXX\0\x10" + b"THUMBNAIL")
    at = 4 + len(jfif) + 2
    result, _ = copy(data[:at] + b"\xff\xe0\0\x11" + extension[1] + data[at:], tmp_path, metadata=rule)
    assert b"THUMBNAIL" not in result
    assert density(result) == (1, 96, 96)


SPOT = (20, 30, 40, 20)
"""A rectangle's centre, width and height in a picture of SIZE."""


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, (10, 15, 20, 10)),
        (2, (90, 15, 20, 10)),
        (3, (90, 55, 20, 10)),
        (4, (10, 55, 20, 10)),
        (5, (15, 10, 10, 20)),
        (6, (55, 10, 10, 20)),
        (7, (55, 90, 10, 20)),
        (8, (15, 90, 10, 20)),
    ],
)
def test_what_exif_tells_in_pixels_is_mapped(orientation: int, expected: tuple[int, ...], tmp_path: Path) -> None:
    shot = [Value(0x9214, 3, 4, struct.pack("<4H", *SPOT)), Value(0xA214, 3, 2, struct.pack("<2H", *SPOT[:2]))]
    shot += [Value(0xA20E, 5, 1, struct.pack("<2I", 4000, 3)), Value(0xA20F, 5, 1, struct.pack("<2I", 8000, 3))]
    main = [Value(0x0112, 3, 1, struct.pack("<H", orientation)), Value(directories.EXIF, 4, 1, shot)]
    block = b"Exif\0\0" + directories.written("<", main)
    told, full = (
        Image.open(io.BytesIO(copy(source("JPEG", block), tmp_path, metadata="keep", max_dimension=longest)[0]))
        .getexif()
        .get_ifd(directories.EXIF)
        for longest in (100, None)
    )
    assert all(abs(a - 2 * b) <= 1 for a, b in zip(full[0x9214], expected, strict=True)), full
    assert all(abs(a - b) <= 1 for a, b in zip(told[0x9214], expected, strict=True)), told
    assert told[0xA214] == told[0x9214][:2]
    fine = [round(float(told[tag]) * 3) for tag in (0xA20E, 0xA20F)]
    assert fine == ([2000, 4000] if orientation < 5 else [4000, 2000])


FACES = packet(
    'xmlns:R="http://www.metadataworkinggroup.com/schemas/regions/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    ' xmlns:d="http://ns.adobe.com/xap/1.0/sType/Dimensions#"',
    RIGHTS
    + '<R:Regions rdf:parseType="Resource"><R:AppliedToDimensions d:w="200" d:h="140" d:unit="pixel"/><R:RegionList>'
    + "<rdf:Bag><rdf:li>FACE</rdf:li></rdf:Bag></R:RegionList></R:Regions><xmp:Thumbnails><rdf:Alt><rdf:li>SMALL"
    + "</rdf:li></rdf:Alt></xmp:Thumbnails>",
)


@pytest.mark.parametrize("orientation", [1, 6])
def test_faces_in_xmp_lie_where_they_are_said_to_lie_or_go(orientation: int, tmp_path: Path) -> None:
    data = source("JPEG", exif_block(orientation=orientation), xmp=FACES)
    kept = xmp_in(copy(data, tmp_path, metadata="keep", max_dimension=100)[0])
    assert (b"FACE" in kept) == (b"SMALL" in kept) == (b'd:w="100" d:h="70"' in kept) == (orientation == 1)
    assert (b"R:" in kept) == (orientation == 1)
    assert "© Ann".encode() in kept


ROWS = {
    "orientation in EXIF and XMP": notes.test_keep_keeps_a_jpegs_segments_byte_for_byte,
    "sizes in EXIF and XMP": notes.test_keep_patches_orientation_and_sizes_and_turns_the_thumbnail,
    "where the subject is, and how fine the sensor was, in EXIF": test_what_exif_tells_in_pixels_is_mapped,
    "faces and small pictures in XMP": test_faces_in_xmp_lie_where_they_are_said_to_lie_or_go,
    "thumbnail in EXIF": notes.test_keep_patches_orientation_and_sizes_and_turns_the_thumbnail,
    "thumbnails of JFIF": test_thumbnails_of_jfif_go,
    "thumbnail of Photoshop": test_photoshops_thumbnail_goes_where_the_picture_is_turned,
    "maker note": notes.test_keep_patches_orientation_and_sizes_and_turns_the_thumbnail,
    "EXIF's colour space": test_exif_names_the_colour_space_that_inks_were_converted_to,
    "density (JFIF, pHYs)": test_density_is_translated,
    "panorama (GPano)": test_a_panorama_stays_one_with_true_sizes,
    "multi-picture index (MPF) and further pictures": test_the_index_of_further_pictures_is_corrected,
    "gain map: XMP, index, marker and map": gainmaps.test_a_copy_carries_its_map,
    "motion photo: XMP and video": test_a_video_and_what_promises_it_go_together,
    "long XMP in several parts": notes.test_extended_xmp_is_announced_where_it_is_alone,
    "signatures (C2PA) and other data computed from the source's bytes (APP11)": (
        notes.test_keep_drops_what_holds_for_the_very_bytes_of_the_source_alone
    ),
    "Adobe's colour mark (APP14)": test_adobes_colour_mark_is_true,
}


def test_each_row_of_the_table_has_its_test() -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    table = text.split("| what | in a copy that is encoded anew |\n")[1].split("\n\n")[0]
    assert [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[1:]] == list(ROWS)


# -- editing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"<x:xmpmeta" + b" a='>'" * 5000 + b"></x:xmpmeta>",
        b"<x:xmpmeta>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</x:xmpmeta>",
        b"<x:xmpmeta>" + b"<a>" * 5000,
        b"<!DOCTYPE x [<!ENTITY e 'eeee'>]><x:xmpmeta>&e;</x:xmpmeta>",
        b"<x:xmpmeta><a b='&lt;&#1;'/></x:xmpmeta>",
        b"\xff\xfe<\0x\0",
        b"",
    ],
)
def test_no_packet_is_too_much(content: bytes) -> None:
    def change(space: str, name: str, value: str) -> str | None:
        return None if name == "b" else value

    assert xmp.changed(content, change) in (content, b"")


def test_what_is_changed_leaves_the_rest_byte_for_byte() -> None:
    before = b"<?xpacket?> <x:xmpmeta xmlns:x='a'  xmlns:n=\"u\" n:one = 'old'\n n:two=\"go\"><n:three>old</n:three>"
    before += b"<n:four/><n:five><n:six>old</n:six></n:five >\xc3\xa9</x:xmpmeta><?end?>  "
    new = {"one": "1", "two": None, "three": "3", "four": None, "five": None, "six": "6"}
    after = b"<?xpacket?> <x:xmpmeta xmlns:x='a'  xmlns:n=\"u\" n:one = '1'><n:three>3</n:three>"
    after += b"\xc3\xa9</x:xmpmeta><?end?>  "
    assert xmp.changed(before, lambda _, name, value: new.get(name, value)) == after


BLOCK = exif_block(orientation=6)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(6, 400), st.binary(min_size=1, max_size=5)), min_size=1, max_size=6),
    st.integers(0, len(BLOCK)),
)
def test_no_block_is_too_damaged(changes: list[tuple[int, bytes]], end: int) -> None:
    damaged = bytearray(BLOCK)
    for at, new in changes:
        damaged[at : at + len(new)] = new
    for block in (bytes(damaged), bytes(damaged[:end])):
        assert len(patching.patched(block, SIZE, (9, 9), resized=True)) == len(block)
        assert len(patching.as_srgb(block)) == len(block)


def test_values_of_a_written_structure_are_read_again() -> None:
    inner = [Value(0x9003, 2, 3, b"ab\0"), Value(0x829A, 5, 1, bytes(8))]
    for order in "<>":
        block = directories.written(order, [Value(0x8298, 2, 5, b"abcd\0"), Value(directories.EXIF, 4, 1, inner)])
        structure = directories.structure(block)
        assert structure is not None
        found = {entry.tag: block[entry.at : entry.at + entry.size] for entry in structure.tree()}
        assert (found[0x9003], found[0x8298], found[0x829A]) == (b"ab\0", b"abcd\0", bytes(8))
