"""What optimized copies carry of EXIF, XMP and IPTC under each rule, in every format, encoded anew or rewritten."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, IptcImagePlugin
from PIL.PngImagePlugin import PngInfo

from hotfolder.imaging.containers import segments
from hotfolder.imaging.metadata import claims, credits
from hotfolder.imaging.metadata.claims import Truth
from hotfolder.presets import Format, Preset
from tests.unit.imaging import copy, encoded, noise, rendered
from tests.unit.test_imaging_optimize import planted

PRIVATE = (
    b"SERIAL-XMP",
    b"LENS-XMP",
    b"CAPTION-XMP",
    b"52,31.1N",
    b"SERIAL-BODY",
    b"SERIAL-LENS",
    b"MAKER-NOTE",
    b"GPS-SECRET",
    b"CITY-IPTC",
    b"CAPTION-IPTC",
    b"OWNER-NAME",
    b"UNIQUE-ID",
    b"THUMB-APP0",
    b"RESOURCE-SECRET",
)
XMP = f"""<?xpacket begin="\ufeff"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{credits.RDF}">
<rdf:Description rdf:about="" xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" aux:SerialNumber="SERIAL-XMP"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="52,31.1N" xmlns:dc="{credits.PREFIXES["dc"]}"
 xmlns:photoshop="{credits.PREFIXES["photoshop"]}" photoshop:Credit="Ann &amp; Co"
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6">
<aux:LensSerialNumber>LENS-XMP</aux:LensSerialNumber>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">CAPTION-XMP</rdf:li></rdf:Alt></dc:description>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">© Ann &lt;2024&gt;</rdf:li></rdf:Alt></dc:rights>
<dc:creator><rdf:Seq><rdf:li>Ann</rdf:li><rdf:li>Bob</rdf:li></rdf:Seq></dc:creator>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()


def dataset(number: int, value: bytes) -> bytes:
    return struct.pack(">BBBH", 0x1C, 2, number, len(value)) + value


def resource(number: int, body: bytes) -> bytes:
    return struct.pack(">4sHHI", b"8BIM", number, 0, len(body)) + body + b"\0" * (len(body) & 1)


IPTC = (
    credits.PHOTOSHOP
    + resource(0x040C, b"RESOURCE-SECRET")
    + resource(
        0x0404,
        dataset(90, b"CITY-IPTC") + dataset(116, b"(c) Ann IPTC") + dataset(120, b"CAPTION-IPTC") + dataset(80, b"Ann"),
    )
)


def source(plugin: str, quality: int = 97) -> bytes:
    image = noise(200, 140).reduce(2).resize((200, 140))
    options: dict[str, Any] = {"exif": planted(6), "quality": quality}
    if plugin == "PNG":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        return encoded(image, plugin, pnginfo=text, compress_level=9, **options)
    if plugin == "TIFF":
        exif = Image.Exif()
        exif.load(planted(6))
        exif[700] = XMP
        return encoded(image, plugin, exif=exif)
    if plugin != "JPEG":
        return encoded(image, plugin, xmp=XMP, **options)
    data = encoded(
        image,
        plugin,
        xmp=XMP,
        progressive=True,
        optimize=True,
        extra=b"\xff\xed" + struct.pack(">H", len(IPTC) + 2) + IPTC,
        **options,
    )
    jfif = b"JFIF\0\1\1\0\0\1\0\1\4\1" + b"THUMB-APP0..".ljust(12)
    return data[:2] + b"\xff\xe0" + struct.pack(">H", len(jfif) + 2) + jfif + data[20:]


def found_in(data: bytes) -> set[bytes]:
    return {secret for secret in PRIVATE if secret in data}


def xmp_in(data: bytes) -> bytes:
    image = Image.open(io.BytesIO(data))
    image.load()
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return packet.encode() if isinstance(packet, str) else packet


@pytest.mark.parametrize("goal", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("rule", ["safe", "strip"])
def test_nothing_private_gets_into_any_format(plugin: str, goal: Format, rule: str, tmp_path: Path) -> None:
    data = source(plugin)
    assert len(found_in(data)) >= 6
    result, _ = copy(data, tmp_path, metadata=rule, format=goal)
    assert found_in(result) == set()
    assert (b"Ann" in xmp_in(result)) == (rule == "safe"), "credits stay under safe, and there alone"


@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("rule", ["safe", "strip"])
def test_nothing_private_stays_where_the_picture_is_kept_bit_for_bit(plugin: str, rule: str, tmp_path: Path) -> None:
    data = source(plugin, quality=25)
    result, note = copy(data, tmp_path, metadata=rule)
    assert note == ""
    if plugin == "JPEG":
        assert result[result.index(b"\xff\xc2") :] == data[data.index(b"\xff\xc2") :], "it was encoded anew"
    assert found_in(result) == set()
    assert (b"Ann" in xmp_in(result)) == (rule == "safe")
    assert Image.open(io.BytesIO(result)).size == (200, 140)


@pytest.mark.parametrize("quality", [97, 25], ids=["encoded", "rewritten"])
def test_the_credits_of_xmp_and_iptc_stay_under_safe(quality: int, tmp_path: Path) -> None:
    result, _ = copy(source("JPEG", quality), tmp_path, metadata="safe")
    packet = xmp_in(result).decode()
    assert "© Ann &lt;2024&gt;" in packet
    assert "Ann &amp; Co" in packet
    assert packet.count("<rdf:li>") == 2, "both creators"
    iptc = IptcImagePlugin.getiptcinfo(Image.open(io.BytesIO(result)))
    assert iptc == {(2, 116): b"(c) Ann IPTC", (2, 80): b"Ann"}


@pytest.mark.parametrize("goal", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP"])
def test_keep_keeps_xmp_in_every_format(plugin: str, goal: Format, tmp_path: Path) -> None:
    result, _ = copy(source(plugin), tmp_path, metadata="keep", format=goal, max_dimension=150)
    packet = xmp_in(result)
    assert b"SERIAL-XMP" in packet
    assert b'tiff:Orientation="1"' in packet
    assert b"SERIAL-BODY" in result


@pytest.mark.parametrize("goal", ["jpeg", "png", "webp", "avif"])
def test_thumbnails_carry_nothing(goal: Format, tmp_path: Path) -> None:
    for plugin in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
        _, files = rendered(source(plugin), tmp_path, Preset("p", 90, 90, format=goal, quality=80))
        image = Image.open(io.BytesIO(files["p"]))
        assert dict(image.getexif()) == {}
        assert not {"xmp", "exif", "comment", "photoshop", "XML:com.adobe.xmp"} & set(image.info)
        assert b"Ann" not in files["p"]


@pytest.mark.parametrize(
    "packet",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&a;</x:xmpmeta>',
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><!DOCTYPE y></x:xmpmeta>',
        b"<x:xmpmeta",
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'/>".encode("utf-16"),
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b"<a>" * 9000,
        b"\xff\xfe\0",
    ],
)
def test_what_is_no_plain_packet_is_dropped(packet: bytes) -> None:
    assert credits.of_xmp(packet) == b""
    assert claims.made_true(packet + b" http://ns.adobe.com/hdr-gain-map/1.0/", Truth((9, 9))) == b""


@pytest.mark.parametrize("cut", range(len(credits.PHOTOSHOP), len(IPTC), 5))
def test_damaged_iptc_is_no_error(cut: int) -> None:
    kept = credits.of_iptc([IPTC[:cut]])
    assert b"SECRET" not in kept
    assert b"CITY" not in kept


def ultra_hdr(quality: int) -> bytes:
    """A picture with a gain map behind it, as phones write them: told by XMP and by the multi-picture index (MPF)."""
    xmp = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{credits.RDF}"><rdf:Description rdf:about=""'
        f' xmlns:hdrgm="{claims.BEHIND[0]}" hdrgm:Version="1.0" xmlns:C="{claims.BEHIND[2]}"'
        f' xmlns:Item="{claims.BEHIND[3]}" xmlns:dc="{credits.PREFIXES["dc"]}"><dc:rights><rdf:Alt>'
        '<rdf:li xml:lang="x-default">Ann</rdf:li></rdf:Alt></dc:rights><C:Directory><rdf:Seq><rdf:li>'
        '<C:Item Item:Semantic="GainMap" Item:Mime="image/jpeg" Item:Length="900"/></rdf:li></rdf:Seq>'
        "</C:Directory></rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()
    base = noise(200, 140).reduce(2).resize((200, 140))
    gain = noise(50, 35).convert("L")
    data = encoded(base, "MPO", save_all=True, append_images=[gain], quality=quality, xmp=xmp, progressive=True)
    numbers = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{credits.RDF}"><rdf:Description rdf:about=""'
        f' xmlns:hdrgm="{claims.BEHIND[0]}" hdrgm:Version="1.0" hdrgm:GainMapMax="3" hdrgm:HDRCapacityMax="3"/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()
    at = data.rindex(b"\xff\xd8\xff")
    said = segments.written(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + numbers)
    length = struct.pack("<I", len(data) - at)
    assert data.count(length) == 1
    data = data[: at + 2] + said + data[at + 2 :]
    return data.replace(length, struct.pack("<I", len(data) - at))


def indexed(data: bytes) -> list[bytes]:
    """The images that the multi-picture index of a JPEG lists (CIPA DC-007)."""
    base = data.index(b"MPF\0") + 4
    order = "<" if data[base : base + 2] == b"II" else ">"
    first = base + struct.unpack_from(order + "I", data, base + 4)[0]
    for number in range(struct.unpack_from(order + "H", data, first)[0]):
        tag, _, size, place = struct.unpack_from(order + "HHII", data, first + 2 + 12 * number)
        if tag == 0xB002:
            images = list(struct.iter_unpack(order + "4sIIHH", data[base + place : base + place + size]))
            return [data[(at := base + offset if offset else 0) : at + size] for _, size, offset, *_ in images]
    raise AssertionError("it lists no images")


@pytest.mark.parametrize("rule", ["keep", "safe", "strip"])
@pytest.mark.parametrize("quality", [97, 25], ids=["encoded", "as it was"])
def test_a_gain_map_is_kept_whole_or_dropped_whole(quality: int, rule: str, tmp_path: Path) -> None:
    data = ultra_hdr(quality)
    assert b"MPF\0" in data
    result, _ = copy(data, tmp_path, metadata=rule, min_saving=0.03 if quality == 97 else 0.9)
    found = {
        "xmp": b"hdr-gain-map" in result or b"GainMap" in result,
        "index": b"MPF\0" in result,
        "map": result.count(b"\xff\xd8\xff") > 1,
    }
    assert set(found.values()) == {rule != "strip"}, found
    assert (b"Ann" in result) == (rule != "strip"), "the credits beside it stay"
    assert Image.open(io.BytesIO(result)).size == (200, 140)
    if rule != "strip":
        first, second = indexed(result)
        assert Image.open(io.BytesIO(first)).size == (200, 140)
        assert Image.open(io.BytesIO(second)).size == (50, 35), "a map that is kept lies where its index says"


def test_the_gain_map_is_no_part_of_a_thumbnail(tmp_path: Path) -> None:
    data = ultra_hdr(90)
    plain = rendered(data[: data.index(b"\xff\xd9") + 2], tmp_path, Preset("p", 90, 90))[1]["p"]
    assert rendered(data, tmp_path, Preset("p", 90, 90))[1]["p"] == plain
