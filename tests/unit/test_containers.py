"""The walkers of containers: bounded whatever the bytes are, and in step with the decoders, so that no limit is passed
by what one of both skips and the other does not."""

from __future__ import annotations

import io
import struct
import warnings
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging import Limits, formats, open_image
from hotfolder.imaging.containers import Endless, boxes, chunks, directories, resources, riff, segments
from tests.helpers import jpeg
from tests.unit.imaging import corner, encoded
from tests.unit.test_hostile import FRAME, chunk, gif, png, tiff
from tests.walkers import WALKERS

PICTURE = jpeg(64, 64)
MANY = 40_000_000
EXIF = b"".join(b"\xff\xe1\xff\xff" + b"Exif\0\0".ljust(65533, b"\0") for _ in range(600))
COMMENTS = b"\xff\xfe\0\2" * 1_000_000
SCANS = b"\xff\xda\0\x08\1\1\0\1\5\x10" * 3000


def refused(data: bytes, name: bytes = b"x") -> Reason:
    with pytest.raises(SourceError) as caught:
        open_image(data, Limits(), name)
    return caught.value.reason


# -- what stands between, or is no segment -----------------------------------------------------------------------------

BETWEEN = {
    "nothing": b"",
    "a zero": b"\0",
    "rubbish": b"rubbish\xff\0",
    "fill bytes": b"\xff\xff\xff",
    "a restart marker": b"\xff\xd0",
    "a second start": b"\xff\xd8",
    "an end": b"\xff\xd9",
    "a reserved marker": b"\xff\xf0",
    "JPG": b"\xff\xc8",
    "a length of 0": b"\xff\xe5\0\0",
    "a length of 1": b"\xff\xe5\0\1",
    "a stuffed zero": b"\xff\0",
    "tables": b"\xff\xdd\0\4\0\0",
}


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("what", [EXIF, COMMENTS], ids=["exif", "comments"])
def test_no_metadata_of_a_jpeg_passes_behind_what_decoders_skip(between: str, what: bytes) -> None:
    assert refused(PICTURE[:20] + BETWEEN[between] + what + PICTURE[20:]) == Reason.TOO_MANY_BYTES


@pytest.mark.parametrize("between", ["nothing", "a zero", "fill bytes", "a restart marker", "a length of 0", "tables"])
def test_no_scans_of_a_jpeg_pass_either(between: str) -> None:
    whole = jpeg(64, 64, progressive=True)
    assert refused(whole[:20] + BETWEEN[between] + whole[20:-2] + SCANS + whole[-2:]) == Reason.UNSUPPORTED


def test_a_restart_marker_has_no_length_that_could_lead_to_a_lie() -> None:
    """Taken for a segment, it led into a comment, to a frame and a scan in which all seems to be said."""
    whole = jpeg(64, 64, progressive=True)
    lie = b"\xff\xc0\0\x0b\x08\0\x40\0\x40\1\1\x11\0\xff\xda\0\x08\1\1\0\0\x3f\0"
    at = 2 + 2 + 0xFFE1  # behind the marker, with what follows it as its length
    before = b"\xff\xd0\xff\xe1\xff\xff".ljust(6 + 65533, b"\0") + b"\xff\xe1\xff\xff".ljust(4 + 65533, b"\0")
    data = bytearray(whole[:2] + before + whole[2:-2] + SCANS + whole[-2:])
    data[at : at + len(lie)] = lie
    assert not formats.of("jpeg").keeps_coefficients(PICTURE)
    assert formats.of("jpeg").keeps_coefficients(bytes(data))
    assert refused(bytes(data)) == Reason.UNSUPPORTED


def test_scans_between_which_something_stands() -> None:
    scans = SCANS.replace(b"\xff\xda", b"\xff\xd3\xff\xfe\0\4\0\0\0\xff\xff\xda")
    assert refused(jpeg(64, 64, progressive=True)[:-2] + scans + b"\xff\xd9") == Reason.UNSUPPORTED


def test_what_only_looks_like_scans_is_none() -> None:
    """In a comment, and in a video behind the picture."""
    whole = jpeg(64, 64, progressive=True)
    video = b"\0\0\0\x18ftypmp42" + SCANS
    assert open_image(whole[:2] + b"\xff\xfe\x75\x32" + SCANS[:30_000] + whole[2:] + video, Limits()).size == (64, 64)


@pytest.mark.parametrize("rubbish", [b"\0" * MANY, b"\xff" * MANY, b"\xff\xd0" * 1_000_000, b"\xff\0" * (MANY // 2)])
def test_rubbish_before_the_first_scan_counts(rubbish: bytes) -> None:
    """Pillow steps through it byte by byte."""
    data = PICTURE[:20] + rubbish + PICTURE[20:]
    assert refused(data) == Reason.TOO_MANY_BYTES


def test_twelve_bits_are_seen_behind_tables_and_rubbish() -> None:
    at = PICTURE.index(b"\xff\xc0")
    frame = PICTURE[at : at + 4] + b"\x0c" + PICTURE[at + 5 :]
    with pytest.raises(SourceError, match="12-bit"):
        open_image(PICTURE[:at] + b"\0\xff\xd0\xff\xc4\0\2" + frame, Limits())


PARTS = st.sampled_from(
    [*BETWEEN.values(), b"\xff\xe0\0\x07JFIF\0", b"\xff\xe3\0\5abc", b"\xff\xfe\0\4hi", b"\xff\xfe\0\2"]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(PARTS | st.binary(max_size=6), max_size=8))
def test_jpeg_segments_are_those_that_pillow_finds(parts: list[bytes]) -> None:
    data = PICTURE[:2] + b"".join(parts) + PICTURE[2:]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Any = Image.open(io.BytesIO(data), formats=["JPEG"])
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, IndexError, struct.error, ZeroDivisionError):
        return  # refused by both, or by Pillow alone
    found = [data[s.body : s.end] for s in segments.header(data) if s.marker in (*segments.APPLICATION, segments.COM)]
    assert found == [body for _, body in image.applist]


# -- PNG, WebP, GIF, TIFF, JPEG XL -------------------------------------------------------------------------------------

BIG_EXIF = chunk(b"eXIf", b"MM\0*" + bytes(MANY))


def test_metadata_behind_the_picture_of_a_png_count() -> None:
    end = chunk(b"IEND", b"")
    assert refused(png(10, 10).removesuffix(end) + BIG_EXIF + end) == Reason.TOO_MANY_BYTES


@pytest.mark.parametrize("before", [chunk(b"abCd", b"x"), chunk(b"tEXt", b"a\0b")[:-4] + bytes(4), chunk(b"IDAT", b"")])
def test_a_chunk_that_is_broken_or_unknown_hides_nothing(before: bytes) -> None:
    assert refused(png(10, 10, before, BIG_EXIF)) == Reason.TOO_MANY_BYTES


def webp(*parts: tuple[bytes, bytes], length: int | None = None) -> bytes:
    picture = encoded(corner(), "WEBP", lossless=True)
    head = b"VP8X", b"\x08\0\0\0" + struct.pack("<I", 199)[:3] + struct.pack("<I", 99)[:3]
    found = riff.written(b"WEBP", [head, *parts, (b"VP8L", picture[20:])])
    return found if length is None else found[:4] + struct.pack("<I", length) + found[8:]


@pytest.mark.parametrize("before", [b"", b"x", b"xy", b"xyz"])
def test_metadata_behind_an_odd_chunk_count(before: bytes) -> None:
    assert refused(webp((b"abcd", before), (b"EXIF", bytes(MANY)))) == Reason.TOO_MANY_BYTES


def test_what_stands_behind_the_end_of_a_webp_is_none_of_it() -> None:
    data = webp() + b"EXIF" + struct.pack("<I", MANY) + bytes(MANY)
    assert open_image(data, Limits()).size == (200, 100)


COMMENT = b"\x21\xfe" + (b"\xff" + bytes(255)) * 100 + b"\0"
LOOP = b"\x21\xff\x0bNETSCAPE2.0"


@pytest.mark.parametrize(
    "before",
    [b"", b"\0", b"rubbish", FRAME, FRAME + b"\0", b"\x21\xf9\0\2ab\0", LOOP + b"\0\2ab\0", LOOP + b"\3\1\0\0\0"],
    ids=["nothing", "a zero", "rubbish", "a frame", "a frame and a zero", "an empty block", "an empty loop", "a loop"],
)
def test_no_comments_of_a_gif_pass_behind_what_decoders_skip(before: bytes) -> None:
    assert refused(gif(10, 10, before, COMMENT * 1000, FRAME)) == Reason.TOO_MANY_BYTES


GIF_PARTS = st.sampled_from(
    [
        b"\0",
        b"\x21\xfe\2hi\0",
        b"\x21\xfe\0",
        b"\x21\xf9\4\0\0\0\0\0",
        b"\x21\xf9\0\2ab\0",
        LOOP + b"\3\1\0\0\0",
        LOOP + b"\0\2!!\0",
        b"\x21\xff\0\3!\xfe\0\0",
        b"\x21\x01\2ab\1c\0",
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(GIF_PARTS, max_size=8))
def test_comments_of_a_gif_are_those_that_pillow_finds(parts: list[bytes]) -> None:
    data = gif(10, 10, *parts, FRAME)
    image = Image.open(io.BytesIO(data), formats=["GIF"])
    # Each extension's blocks, their lengths and ends: what is left are the comments.
    read = sum(formats.of("gif").pieces(data))
    assert read >= len(image.info.get("comment", b""))
    assert read <= sum(map(len, parts))


def test_every_directory_of_a_tiff_counts() -> None:
    """BigTIFF; three pointers to EXIF; a pointer of its own type."""
    values = bytes(MANY + 4000)
    big = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) + struct.pack("<Q", 1) + struct.pack("<HHQQ", 700, 7, MANY, 64)
    assert refused(big + bytes(8) + values) == Reason.TOO_MANY_BYTES
    for kind in (4, 13):
        plain = tiff((34665, kind, 1, 1000), (34853, kind, 1, 1100), tail=values)
        at = 1000
        inner = struct.pack("<H", 3) + struct.pack("<HHII", 0xA005, kind, 1, 1100)
        inner += struct.pack("<HHII", 34853, kind, 1, 8) + struct.pack("<HHII", 0x927C, 7, MANY, 500)
        assert refused(plain[:at] + inner + plain[at + len(inner) :]) == Reason.TOO_MANY_BYTES


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(256, 40000), st.integers(0, 20), st.integers(0, 9), st.integers(0, 600)),
        max_size=12,
        unique_by=lambda entry: entry[0],
    )
)
def test_tags_of_a_tiff_are_those_that_pillow_finds(entries: list[tuple[int, int, int, int]]) -> None:
    own = {256, 257, 258, 259, 262, 273, 277, 278, 279, 34665, 34853, 330, 700, 34675, 33723, 34377}
    data = tiff(*[entry for entry in entries if entry[0] not in own])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image: Any = Image.open(io.BytesIO(data), formats=["TIFF"])
        except (UnidentifiedImageError, OSError):
            return
    structure = directories.structure(data)
    assert structure is not None
    found = {
        entry.tag
        for entry in structure.entries(structure.first())
        if entry.size and entry.at + entry.size <= len(data) and entry.kind not in (17, 18, 129)
    }
    assert set(image.tag_v2) <= found


def test_the_size_of_a_jpeg_xl_is_found_though_it_is_cut_into_boxes() -> None:
    stream = b"\xff\x0a" + (0 | 2 << 1 | 199_999 << 3 | 0 << 21 | 2 << 24 | 199_999 << 26).to_bytes(8, "little")
    head = b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a" + b"\0\0\0\x14ftypjxl \0\0\0\0jxl "
    whole = head + struct.pack(">I", 8 + len(stream)) + b"jxlc" + stream
    long = head + struct.pack(">I4sQ", 1, b"jxlc", 16 + len(stream)) + stream
    last = head + struct.pack(">I", 0) + b"jxlc" + stream
    parts = b"".join(struct.pack(">I4sI", 13, b"jxlp", n) + bytes([byte]) for n, byte in enumerate(stream))
    for data in (stream, whole, long, last, head + parts, head + struct.pack(">I4s", 9, b"free") + b"x" + parts):
        assert list(formats.of("jxl").claimed(data)) == [(200_000, 200_000)]


# -- whatever the bytes are --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WALKERS)
def test_no_kept_file_leads_a_walker_astray(name: str) -> None:
    files = WALKERS[name].files(name)
    assert len(files) > len(WALKERS[name].whole())
    for data in files:
        WALKERS[name].check(data)


@pytest.mark.parametrize("name", WALKERS)
@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_walk_ends_goes_forward_and_raises_nothing(name: str, source: st.DataObject) -> None:
    data = bytearray(source.draw(st.sampled_from(WALKERS[name].files(name))))
    for _ in range(source.draw(st.integers(0, 6))):
        at = source.draw(st.integers(0, min(len(data), 400)))
        data[at : at + source.draw(st.integers(0, 4))] = source.draw(st.binary(max_size=8) | st.just(b"\xff" * 8))
    WALKERS[name].check(bytes(data))


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8", chunks.SIGNATURE, b"RIFF\xff\0\0\0WEBP", b"II*\0"]))
def test_any_bytes_at_all(rest: bytes, start: bytes) -> None:
    data = start + rest
    for walker in WALKERS.values():
        walker.check(data)
    for each in formats.known():
        list(each.claimed(data)), list(each.pieces(data)), each.cut_short(data), each.is_hollow(data), each.cicp(data)
        each.recognises(data, b""), each.exif_structures(data), each.is_deep(data), each.late_exif(data)
        each.gain_map(data)


@pytest.mark.parametrize(
    ("walk", "data"),
    [
        (segments.walk, b"\xff\xd8" + b"\xff\xd0" * 200),
        (chunks.walk, chunks.SIGNATURE + chunk(b"abcd", b"") * 200),
        (riff.walk, riff.written(b"WEBP", [(b"abcd", b"")] * 200)),
        (boxes.walk, b"\0\0\0\x08free" * 200),
    ],
)
def test_more_parts_than_wanted_are_endless(walk: Any, data: bytes) -> None:
    with pytest.raises(Endless):
        list(walk(data, most=100))
    assert len(list(islice(walk(data), 300))) == 200


def test_a_box_whose_long_length_is_cut_off_is_none() -> None:
    first = struct.pack(">I4s", 12, b"free") + b"body"
    long = struct.pack(">I4sQ", 1, b"mdat", 16)
    assert [box.kind for box in boxes.walk(first + long)] == [b"free", b"mdat"]
    assert [box.kind for box in boxes.walk(first + long[:-1])] == [b"free"]


def test_more_boxes_than_any_file_has_are_not_taken_for_a_file_cut_short() -> None:
    many = b"\0\0\0\x08free" * boxes.MOST
    assert not boxes.cut(many + b"\0\0")
    assert boxes.cut(many[8:] + b"\0\0\1")


def resource(number: int, body: bytes, name: bytes = b"\0\0") -> bytes:
    return struct.pack(">4sH", resources.MARK, number) + name + struct.pack(">I", len(body)) + body


def test_resources_end_where_a_name_or_a_length_leads_out_of_them() -> None:
    first = resource(1028, b"abcd")
    assert [each.number for each in resources.walk(first + resource(1, b"", b"\x03abc"))] == [1028, 1]
    assert [each.number for each in resources.walk(first + resource(1, b"", b"\xffab") + b"ab")] == [1028]
    assert [each.number for each in resources.walk(first + resource(1, b"")[:-1])] == [1028]


def test_more_resources_than_any_photo_has_are_endless() -> None:
    with pytest.raises(Endless):
        list(resources.walk(resource(1, b"") * (resources.MOST + 1)))


def test_a_directory_that_points_to_itself_is_read_once() -> None:
    structure = directories.structure(tiff((34665, 4, 1, 8), (34853, 4, 1, 8)))
    assert structure is not None
    assert len(list(structure.tree())) == 11
