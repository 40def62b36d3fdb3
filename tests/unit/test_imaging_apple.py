"""Apple's gain maps in HEIC: a JPEG made of one multiplies the same light by the same numbers; or there is no trace of
them."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hotfolder.errors import SourceError
from hotfolder.imaging import Limits, Plan, formats, open_image, peak
from hotfolder.imaging.colour.profiles import display_p3
from hotfolder.imaging.formats import apple
from hotfolder.imaging.metadata import gainmap
from hotfolder.presets import OptimizeSpec, Preset
from tests.unit import heifs
from tests.unit.heifs import Part, Samples, Signal
from tests.unit.imaging import copy, rendered, scene
from tests.unit.test_imaging_gainmap import ANNOUNCED, ISO, assert_no_trace, iso_of, opened, packet_of
from tests.unit.test_imaging_metadata import indexed

SIZE = (320, 240)
KIND = b"urn:com:apple:photo:2020:aux:hdrgainmap"
KEEP = Preset("p", 160, 160, hdr="keep", quality=95)
GREY = Signal(8, 6, True, "400")


@pytest.fixture(autouse=True)
def _installed() -> None:
    if not formats.of("heif").is_installed:
        pytest.skip("the extra 'heif' is not installed (requirements-extras.lock)")


def picture() -> Samples:
    return heifs.levels(scene(3, *SIZE))


def the_map() -> Samples:
    """Half as wide and high, of all brightnesses, no two parts alike."""
    wide, high = SIZE[0] // 2, SIZE[1] // 2
    y, x = np.mgrid[0:high, 0:wide]
    found: Samples = np.clip(0.9 * x / wide * (0.4 + 0.6 * y / high) + 0.1 * np.sin(x / 9), 0, 1)
    return np.repeat(found[..., None], 3, axis=2)


def maker_note(room: float | None, gain: float | None, order: bytes = b"MM") -> bytes:
    said = [(tag, value) for tag, value in ((0x21, room), (0x30, gain)) if value is not None]
    said.insert(0, (0x01, 14))
    head = b"Apple iOS\0\0\1" + order + struct.pack(">H", len(said))
    behind = len(head) + 12 * len(said) + 4
    entries, values = b"", b""
    for tag, value in said:
        if tag == 0x01:
            entries += struct.pack(">HHIi", tag, 9, 1, int(value))
            continue
        entries += struct.pack(">HHII", tag, 10, 1, behind + len(values))
        values += struct.pack(">ii", round(value * 1_000_000), 1_000_000)
    return head + entries + bytes(4) + values


def exif(note: bytes) -> bytes:
    head = b"MM\0*" + struct.pack(">IHHHIII", 8, 1, 0x8769, 4, 1, 26, 0)
    return head + struct.pack(">HHHIII", 1, 0x927C, 7, len(note), 44, 0) + note


def packet(version: int | None, headroom: float | None = None) -> bytes:
    said = f' g:HDRGainMapVersion="{version}"' if version is not None else ""
    more = f"<g:HDRGainMapHeadroom>{headroom}</g:HDRGainMapHeadroom>" if headroom is not None else ""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:g="http://ns.apple.com/HDRGainMap/1.0/"{said}>{more}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def heic(
    *,
    version: int | None = 65536,
    headroom: float | None = None,
    room: float | None = 1.2,
    gain: float | None = 0.005,
    turned: tuple[bytes, ...] = (),
    map_turned: tuple[bytes, ...] | None = None,
    codes: Samples | None = None,
    change: Callable[[Part], Part] = lambda part: part,
    colours: bytes = heifs.nclx(1, 13, 6),
) -> bytes:
    """As a phone writes it: the picture, its map, what is said of that, and EXIF with a maker note."""
    base = heifs.without(heifs.coded(heifs.hevc(picture(), Signal())), b"colr").said(colours, *turned)
    numbers = heifs.coded(heifs.hevc(the_map() if codes is None else codes, GREY))
    numbers = heifs.without(numbers, b"colr").said(heifs.auxc(KIND)).to(b"auxl", 1)
    numbers = change(numbers.said(*(turned if map_turned is None else map_turned)))
    said = Part(b"mime", packet(version, headroom), named=heifs.XMP).to(b"cdsc", 2)
    block = Part(b"Exif", bytes(4) + exif(maker_note(room, gain))).to(b"cdsc", 1)
    return heifs.heif(base, numbers, said, block)


def by_apple(codes: Samples, headroom: float) -> Samples:
    """What light is multiplied by: "Applying Apple HDR effect to your photos"."""
    linear = np.where(codes < 0.081, codes / 4.5, ((codes + 0.099) / 1.099) ** (1 / 0.45))
    return 1 + (headroom - 1) * linear


def told(result: bytes) -> tuple[Samples, float]:
    """What the JPEG says that light is to be multiplied by (ISO 21496-1), and its headroom; all that says so agrees."""
    _, gain = indexed(result)
    stated = {name: float(values[0]) for name, values in gainmap.numbers(packet_of(gain)).items() if name[0] != "B"}
    most = stated["GainMapMax"]
    assert stated == {
        "Version": 1,
        "GainMapMin": 0,
        "GainMapMax": most,
        "Gamma": 1,
        "OffsetSDR": 0,
        "OffsetHDR": 0,
        "HDRCapacityMin": 0,
        "HDRCapacityMax": most,
    }
    assert gainmap.numbers(packet_of(gain))["BaseRenditionIsHDR"] == ["False"]
    assert iso_of(result) == ANNOUNCED
    body = iso_of(gain).removeprefix(ISO)
    assert body[:5] == bytes(4) + b"\x40"
    parts = struct.unpack(">4I iI iI II iI iI", body[5:])
    ratios = [above / below for above, below in zip(parts[::2], parts[1::2], strict=True)]
    assert ratios == pytest.approx([0, most, 0, most, 1, 0, 0], abs=1e-5)
    numbers = opened(gain)
    assert numbers.mode == "L"
    return 2 ** (heifs.levels(numbers) * most), 2**most


def assert_multiplies_alike(result: bytes, codes: Samples, headroom: float) -> None:
    found, most = told(result)
    assert most == pytest.approx(headroom, rel=1e-4)
    meant = by_apple(codes[..., 0], headroom).astype(np.float32)
    meant = np.asarray(Image.fromarray(meant).resize((found.shape[1], found.shape[0]), Image.Resampling.BOX))
    stops = np.abs(np.log2(found) - np.log2(meant))
    assert stops.mean() < 0.03, stops.mean()
    assert stops.max() < 0.4
    mirrored = np.abs(np.log2(found[:, ::-1]) - np.log2(meant))
    assert mirrored.mean() > 5 * stops.mean(), "told from its mirror image"


@pytest.mark.parametrize(
    ("room", "gain", "stops"),
    [
        (0.5, 0.005, 1.7),
        (0.5, 0.5, 1.5505),
        (0.9, 0.0, 1.8),
        (0.0, 8.0, 0.793),
        (1.2, 0.005, 2.65),
        (1.2, 0.5, 2.1515),
        (1.0, 0.0, 3.0),
        (1.2, None, 3.0),
    ],
)
def test_the_maker_note_says_how_bright(room: float, gain: float | None, stops: float, tmp_path: Path) -> None:
    result = rendered(heic(room=room, gain=gain), tmp_path, KEEP)[1]["p"]
    assert_multiplies_alike(result, the_map(), 2**stops)


@pytest.mark.parametrize("headroom", [1.5, 4.0, 8.0])
def test_its_own_note_says_how_bright(headroom: float, tmp_path: Path) -> None:
    data = heic(version=131072, headroom=headroom)
    assert_multiplies_alike(rendered(data, tmp_path, KEEP)[1]["p"], the_map(), headroom)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "preset",
    [
        KEEP,
        replace(KEEP, width=200, height=60, fit="cover"),
        replace(KEEP, width=400, height=400),
        replace(KEEP, sharpen=0.3),
    ],
    ids=["contain", "cover", "large", "sharpened"],
)
def test_it_is_cropped_scaled_and_turned_with_its_picture(preset: Preset, quarters: int, tmp_path: Path) -> None:
    data = heic(turned=(heifs.irot(quarters),) if quarters else ())
    result = rendered(data, tmp_path, preset)[1]["p"]
    codes = np.rot90(the_map(), quarters)
    if preset.fit == "cover":
        high = round(codes.shape[1] * 60 / 200)
        top = (codes.shape[0] - high) // 2
        codes = codes[top : top + high]
    assert_multiplies_alike(result, codes, 2**2.65)
    picture, gain = (opened(each) for each in indexed(result))
    assert picture.width / gain.width == pytest.approx(picture.height / gain.height, rel=0.03)
    assert picture.width > gain.width


@pytest.mark.parametrize("quarters", [0, 1])
def test_it_may_be_of_tiles(quarters: int, tmp_path: Path) -> None:
    """As that of large photos is."""
    turn = (heifs.irot(quarters),) if quarters else ()
    base = heifs.without(heifs.coded(heifs.hevc(picture(), Signal())), b"colr").said(heifs.nclx(1, 13, 6), *turn)
    whole = np.pad(the_map(), ((0, 8), (0, 0), (0, 0)), mode="edge")
    tiles = [
        heifs.without(heifs.coded(heifs.hevc(whole[y : y + 64, x : x + 80], GREY)), b"colr")
        for y in (0, 64)
        for x in (0, 80)
    ]
    made = heifs.grid(2, 2, SIZE[0] // 2, SIZE[1] // 2, 3, 4, 5, 6).said(heifs.auxc(KIND), *turn).to(b"auxl", 1)
    said = Part(b"mime", packet(131072, 4.0), named=heifs.XMP).to(b"cdsc", 2)
    result = rendered(heifs.heif(base, made, *tiles, said), tmp_path, KEEP)[1]["p"]
    assert_multiplies_alike(result, np.rot90(the_map(), quarters), 4)


def test_colours_are_converted_beside_it(tmp_path: Path) -> None:
    """Light of any primaries is multiplied by one number."""
    data = heic(colours=heifs.icc(display_p3()))
    result = rendered(data, tmp_path, KEEP)[1]["p"]
    assert_multiplies_alike(result, the_map(), 2**2.65)
    assert not opened(result).info.get("icc_profile")


@pytest.mark.parametrize("rule", ["keep", "safe"])
@pytest.mark.parametrize("longest", [None, 200])
@pytest.mark.parametrize("mode", ["lossy", "auto", "lossless"])
@pytest.mark.parametrize("quarters", [0, 1])
def test_copies_that_become_jpegs_carry_it(
    quarters: int, mode: str, longest: int | None, rule: str, tmp_path: Path
) -> None:
    data = heic(turned=(heifs.irot(quarters),) if quarters else ())
    result, _ = copy(data, tmp_path, format="jpeg", mode=mode, metadata=rule, max_dimension=longest)
    assert_multiplies_alike(result, np.rot90(the_map(), quarters), 2**2.65)
    assert (b"Apple iOS" in result) == (rule == "keep")
    assert KIND not in result
    assert b"HDRGainMap" not in result


@pytest.mark.parametrize(
    "options",
    [{"metadata": "strip", "format": "jpeg"}, {"format": "png"}, {"format": "webp"}, {"format": "avif"}],
    ids=str,
)
def test_other_copies_have_no_trace_of_it(options: dict[str, Any], tmp_path: Path) -> None:
    result, _ = copy(heic(), tmp_path, **options)
    assert not [each for each in (b"hdr-gain-map", b"hdrgm", b"HDRGainMap", ISO[:-1], KIND) if each in result]


@pytest.mark.parametrize("preset", [replace(KEEP, hdr="drop"), replace(KEEP, fit="pad")], ids=["drop", "pad"])
def test_thumbnails_have_none_unless_they_are_to(preset: Preset, tmp_path: Path) -> None:
    assert_no_trace(rendered(heic(), tmp_path, preset)[1]["p"])


def larger(part: Part) -> Part:
    return replace(heifs.coded(heifs.hevc(heifs.levels(scene(3, 640, 480)), GREY)), refers=part.refers).said(
        heifs.auxc(KIND)
    )


UNSOUND: dict[str, dict[str, Any]] = {
    "without a version": {"version": None},
    "version 2 without headroom": {"version": 131072, "room": None},
    "without a headroom in the maker note": {"room": None},
    "as bright as white": {"version": 131072, "headroom": 1.0},
    "far too bright": {"version": 131072, "headroom": 999.0},
    "turned otherwise": {"turned": (heifs.irot(1),), "map_turned": ()},
    "mirrored alone": {"map_turned": (heifs.imir(1),)},
    "cropped": {"turned": (heifs.clap_at(10, 10, 200, 200, SIZE),), "map_turned": ()},
    "cropped as its picture is": {"turned": (heifs.clap(160, 120, 0, 0),)},
    "of another kind": {"change": lambda part: heifs.without(part, b"auxC").said(heifs.auxc(b"urn:com:apple:other"))},
    "of nothing": {"change": lambda part: replace(part, refers=())},
    "damaged": {"change": lambda part: replace(part, data=bytes(len(part.data)))},
    "empty": {"change": lambda part: replace(part, data=b"")},
    "larger than its picture": {"change": larger},
    "bright itself": {"change": lambda part: part.said(heifs.nclx(9, 16, 6))},
}


@pytest.mark.parametrize("what", UNSOUND)
def test_what_is_unsound_leaves_no_trace_and_costs_no_picture(what: str, tmp_path: Path) -> None:
    data = heic(**UNSOUND[what])
    result, files = rendered(data, tmp_path, KEEP, optimize=OptimizeSpec(format="jpeg", metadata="keep"))
    assert result.outputs[0].bytes
    for each in files.values():
        picture = each.replace(b"HDRGainMap", b"")
        assert_no_trace(picture)


def test_a_picture_without_a_map_is_the_same_whatever_is_asked(tmp_path: Path) -> None:
    data = heifs.hevc(picture(), Signal())
    (tmp_path / "drop").mkdir()
    kept, dropped = (
        rendered(data, folder, preset)[1]["p"]
        for folder, preset in ((tmp_path, KEEP), (tmp_path / "drop", replace(KEEP, hdr="drop")))
    )
    assert kept == dropped


def test_the_map_is_reserved_for_where_it_is_decoded() -> None:
    data = heic()
    without, with_it = (
        peak(open_image(data, Limits()), Plan((preset,)), ("p",)) for preset in (replace(KEEP, hdr="drop"), KEEP)
    )
    assert with_it > without


@pytest.mark.parametrize("seed", range(40))
def test_no_damage_costs_a_picture_that_has_one_without_it(seed: int, tmp_path: Path) -> None:
    """Bytes of what says where the map is and what it means."""
    chance = np.random.default_rng(seed)
    data = bytearray(heic())
    tables = data.index(b"mdat")
    for _ in range(3):
        data[int(chance.integers(40, tables))] = int(chance.integers(0, 256))
    note = data.index(b"Apple iOS")
    data[note + int(chance.integers(0, 60))] = int(chance.integers(0, 256))
    verdicts = []
    for number, preset in enumerate((replace(KEEP, hdr="drop"), KEEP)):
        (tmp_path / f"{number}").mkdir()
        try:
            rendered(bytes(data), tmp_path / f"{number}", preset)
            verdicts.append("")
        except SourceError as error:
            verdicts.append(error.message)
    assert verdicts[0] == verdicts[1]


def test_a_note_that_points_nowhere_says_nothing() -> None:
    whole = bytes(4) + exif(maker_note(1.2, 0.005))
    assert math.log2(apple.of_note(whole)) == pytest.approx(2.65)
    for cut in range(len(whole)):
        assert apple.of_note(whole[:cut]) in (0.0, apple.of_note(whole), pytest.approx(8.0))
    assert apple.of_note(bytes(4) + exif(maker_note(1.2, 0.005, b"II"))) == 0
