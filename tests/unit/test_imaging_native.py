"""The accelerator beside Pillow: the same pictures, and the same word on what is wrong with a source."""

from __future__ import annotations

import ctypes
import importlib.util
import io
import itertools
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile
from pytest import MonkeyPatch

from hotfolder.errors import SourceError
from hotfolder.imaging import Limits, native, open_image
from hotfolder.imaging.colour.convert import display_p3
from hotfolder.presets import BUILT_IN, Preset
from tests.unit.imaging import encoded, noise, rendered

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for path in (ROOT / "native").glob("*.c") if path.name not in ("failing.c", "tracing.c"))
built = pytest.mark.skipif(native.core is None, reason="the accelerator is not built here")


def scene(width: int, height: int) -> Image.Image:
    """Soft shapes in strong colours, unlike in every corner: shows turns, shifts and wrong colours."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    planes = (127 + 120 * np.sin(9 * x + 2 * y), 127 + 120 * np.cos(7 * y - 3 * x), 255 * (x + y) / 2)
    return Image.fromarray(np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8))


def turned(image: Image.Image, orientation: int, **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, "JPEG", exif=exif, **{"quality": 95, **options})


def both(
    data: bytes, folder: Path, *presets: Preset, patch: MonkeyPatch
) -> tuple[dict[str, Image.Image], dict[str, Image.Image]]:
    """The thumbnails made by the accelerator, and those made without."""
    found: list[dict[str, Image.Image]] = []
    for core in (native.core, None):
        with patch.context() as patched:
            patched.setattr(native, "core", core)
            place = folder / str(core is None)
            place.mkdir(exist_ok=True)
            result, files = rendered(data, place, *presets)
            assert all((o.width, o.height) == Image.open(io.BytesIO(files[o.preset])).size for o in result.outputs)
            found.append({name: Image.open(io.BytesIO(content)) for name, content in files.items()})
    return found[0], found[1]


def distance(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of a sample (0–255)."""
    a, b = (np.asarray(image.convert("RGB"), dtype=float) for image in (one, other))
    return float(np.abs(a - b).mean())


def uses_planes(data: bytes, scale: int = 1) -> bool:
    return native.decode(open_image(data, Limits()), scale) is not None


@built
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(640, 480), (641, 483), (487, 649)])
def test_same_pictures_at_any_orientation(
    size: tuple[int, int], orientation: int, tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    data = turned(scene(*size), orientation)
    presets = (
        Preset("contain", 201, 201),
        Preset("cover", 151, 77, fit="cover"),
        Preset("stretch", 90, 33, fit="stretch"),
        Preset("larger", 1300, 1301, fit="cover"),
        Preset("child", 99, 99),
        Preset("dot", 1, 1, fit="cover"),
        Preset("look", 120, 50, fit="cover", gravity="attention"),
    )
    ours, plain = both(data, tmp_path, *presets, patch=monkeypatch)
    assert uses_planes(data)
    for name, picture in ours.items():
        assert picture.size == plain[name].size
        assert distance(picture, plain[name]) < (15 if name == "dot" else 2.5), name  # of one pixel any mean is one


@built
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}])
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_any_usual_sampling_at_any_scale(subsampling: str, options: dict[str, object], scale: int) -> None:
    picture = scene(333, 251)
    data = encoded(picture, "JPEG", quality=95, subsampling=subsampling, **options)
    small = native.decode(open_image(data, Limits()), scale)
    assert small is not None
    assert small.size == (333, 251)
    image = small.scaled((-(-333 // scale), -(-251 // scale)), (0, 0, 333, 251), halved=False).image()
    wide, high = 333 // scale, 251 // scale
    reference = picture.crop((0, 0, wide * scale, high * scale)).resize((wide, high), Image.Resampling.BOX)
    assert distance(image.crop((0, 0, wide, high)), reference) < 3
    again = Image.open(io.BytesIO(small.scaled((100, 75)).jpeg(90)))
    assert distance(again, picture.resize((100, 75), Image.Resampling.LANCZOS)) < 3


@built
def test_grey_stays_grey(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    data = encoded(scene(400, 300).convert("L"), "JPEG", quality=95)
    ours, plain = both(data, tmp_path, *BUILT_IN.values(), patch=monkeypatch)
    assert uses_planes(data)
    assert all(picture.mode == "L" and distance(picture, plain[name]) < 1.5 for name, picture in ours.items())


@built
def test_few_scans_or_one_and_libjpegs_quality() -> None:
    planes = native.decode(open_image(encoded(scene(64, 48), "JPEG"), Limits()), 1)
    assert planes is not None
    for progressive, small, scans in ((True, False, 8), (True, True, 8), (False, False, 1)):
        data = planes.scaled((64, 48)).jpeg(85, progressive=progressive, small=small)
        assert data.count(b"\xff\xda") == scans
        ours = Image.open(io.BytesIO(data))
        assert bool(ours.info.get("progressive")) is progressive
        reference = Image.open(io.BytesIO(encoded(scene(64, 48), "JPEG", quality=85)))
        assert ours.quantization == reference.quantization  # type: ignore[attr-defined]
        assert [layer[1:3] for layer in ours.layer] == [(2, 2), (1, 1), (1, 1)]  # type: ignore[attr-defined]


PICTURES = st.tuples(
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["noise", "edges", "flat", "soft"]),
)


def picture_of(width: int, height: int, seed: int, kind: str) -> Image.Image:
    dice = np.random.default_rng(seed)
    if kind == "soft":
        return scene(width, height)
    shape = (height, width, 3) if kind != "flat" else (1, 1, 3)
    values = dice.integers(0, 2, shape) * 255 if kind == "edges" else dice.integers(0, 256, shape)
    return Image.fromarray(np.broadcast_to(values, (height, width, 3)).astype(np.uint8))


def by_libjpeg(data: bytes) -> bytes:
    """The same JPEG with a filling byte before its end: libjpeg passes it, our own decoder gives such a file back."""
    assert data.endswith(b"\xff\xd9")
    return data[:-2] + b"\xff\xff\xd9"


OPTIONS = st.fixed_dictionaries(
    {"quality": st.integers(1, 100), "subsampling": st.sampled_from(["4:4:4", "4:2:2", "4:2:0"])},
    optional={
        "restart_marker_blocks": st.integers(1, 40),
        "optimize": st.just(True),
        "progressive": st.booleans(),
    },
)


@built
@settings(deadline=None, max_examples=300)
@given(PICTURES, OPTIONS, st.booleans(), st.sampled_from([1, 2, 4, 8]))
def test_our_decoder_reads_what_libjpeg_would(
    what: tuple[int, int, int, str], options: dict[str, Any], grey: bool, scale: int
) -> None:
    core = native.core
    assert core is not None
    width, height, seed, kind = what
    picture = picture_of(4 * width, 2 * height, seed, kind)
    with patch.object(ImageFile, "MAXBLOCK", 1 << 20):  # otherwise Pillow has no room to optimize noise
        data = encoded(picture.convert("L") if grey else picture, "JPEG", **options)
    ours, reference = (core.decode(each, *picture.size, scale) for each in (data, by_libjpeg(data)))
    assert (ours.direct, reference.direct) == (True, False)
    assert [ours.plane(i) for i in range(ours.count)] == [reference.plane(i) for i in range(reference.count)]


SCRIPTS = {
    "libjpeg's": "",
    "bits one by one": "0,1,2: 0-0, 0, 2; 0,1,2: 0-0, 2, 1; 0,1,2: 0-0, 1, 0; 0: 1-63, 0, 3; 0: 1-63, 3, 2;"
    " 0: 1-63, 2, 1; 0: 1-63, 1, 0; 1: 1-63, 0, 1; 2: 1-63, 0, 0; 1: 1-63, 1, 0;",
    "many bands": "0: 0-0, 0, 0; 1: 0-0, 0, 0; 2: 0-0, 0, 0; 2: 1-2, 0, 1; 2: 3-63, 0, 0; 2: 1-2, 1, 0; 1: 1-63, 0, 0;"
    " 0: 1-1, 0, 0; 0: 2-9, 0, 0; 0: 10-62, 0, 1; 0: 63-63, 0, 0; 0: 10-62, 1, 0;",
    "two parts at once": "0: 0-0, 0, 1; 1,2: 0-0, 0, 0; 0: 0-0, 1, 0; 0: 1-63, 0, 0; 1: 1-63, 0, 0; 2: 1-63, 0, 0;",
}


def jpegtran(data: bytes, tmp_path: Path, script: str, *options: str) -> bytes:
    (tmp_path / "scans").write_text(script)
    how = ["-scans", str(tmp_path / "scans")] if script else ["-progressive"]
    return subprocess.run(["jpegtran", *how, *options], input=data, capture_output=True, check=True).stdout


@built
@pytest.mark.skipif(shutil.which("jpegtran") is None, reason="jpegtran (libjpeg-turbo-progs) is not installed")
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("options", [(), ("-restart", "3B"), ("-optimize",)])
@pytest.mark.parametrize(("width", "height"), [(333, 211), (17, 8), (1, 1)])
def test_scans_in_any_order(script: str, options: tuple[str, ...], width: int, height: int, tmp_path: Path) -> None:
    core = native.core
    assert core is not None
    for kind in ("noise", "edges", "flat", "soft"):
        for subsampling in ("4:4:4", "4:2:0"):
            data = encoded(picture_of(width, height, 5, kind), "JPEG", quality=93, subsampling=subsampling)
            data = jpegtran(data, tmp_path, SCRIPTS[script], *options)
            for scale in (1, 2):
                ours, reference = (core.decode(each, width, height, scale) for each in (data, by_libjpeg(data)))
                assert (ours.direct, reference.direct) == (True, False)
                assert [ours.plane(i) for i in range(3)] == [reference.plane(i) for i in range(3)]


@built
@pytest.mark.skipif(shutil.which("jpegtran") is None, reason="jpegtran (libjpeg-turbo-progs) is not installed")
@pytest.mark.parametrize(
    "script",
    [
        "0,1,2: 0-0, 0, 0; 0: 1-63, 0, 1; 1: 1-63, 0, 0; 2: 1-63, 0, 0;",  # a bit is missing: libjpeg smooths
        "0,1,2: 0-0, 0, 0; 0: 1-9, 0, 0; 1: 1-63, 0, 0; 2: 1-63, 0, 0;",  # a band
        "0,1,2: 0-0, 0, 0;",
    ],
)
def test_scans_that_are_missing_are_libjpegs_to_fill(script: str, tmp_path: Path) -> None:
    core = native.core
    assert core is not None
    data = jpegtran(encoded(picture_of(90, 70, 5, "soft"), "JPEG"), tmp_path, script)
    assert not core.decode(data, 90, 70, 1).direct


@built
@settings(deadline=None, max_examples=300)
@given(st.integers(0, 10_000), st.integers(0, 255), st.integers(0, 3))
def test_damaged_scans_that_are_read_libjpeg_reads_too(at: int, value: int, cut: int) -> None:
    """Samples may differ: what is damaged leads to sums that overflow, here otherwise than there."""
    core = native.core
    assert core is not None
    whole = encoded(picture_of(90, 70, 5, "edges"), "JPEG", progressive=True, quality=80)
    first = whole.index(b"\xff\xda")
    at = first + at % (len(whole) - first - 2)
    data = whole[:at] + bytes([value]) * (1 if not cut else 0) + whole[at + max(1, cut) :]
    try:
        ours = core.decode(data, 90, 70, 1)
    except core.Declined:
        return
    if ours.direct:
        reference = core.decode(by_libjpeg(data), 90, 70, 1)
        assert (reference.direct, reference.size, reference.count) == (False, ours.size, ours.count)


@built
def test_coefficients_as_large_as_they_come() -> None:
    """Steps of 255 take a small error of the wave far out of the range of samples; both clip it alike."""
    core = native.core
    assert core is not None
    for steps, progressive in itertools.product((255, 128, 1), (False, True)):
        how = {"qtables": [[steps] * 64] * 2, "subsampling": "4:2:0", "progressive": progressive}
        data = encoded(noise(200, 200), "JPEG", **how)
        for scale in (1, 2, 4, 8):
            ours, reference = (core.decode(each, 200, 200, scale) for each in (data, by_libjpeg(data)))
            assert ours.direct
            assert [ours.plane(i) for i in range(3)] == [reference.plane(i) for i in range(3)]


@built
def test_what_our_decoder_gives_back_to_libjpeg() -> None:
    core = native.core
    assert core is not None
    picture = noise(120, 90)
    data = encoded(picture, "JPEG", restart_marker_blocks=2)
    assert core.decode(data, 120, 90, 1).direct
    assert core.decode(data + b"more", 120, 90, 1).direct  # behind the end: previews, gain maps
    whole = encoded(picture, "JPEG", progressive=True)
    assert core.decode(whole, 120, 90, 1).direct
    for other in (whole[:-2] + b"\xff\xff\xd9", data[:-2] + b"abc\xff\xd9"):  # read by libjpeg in silence
        assert not core.decode(other, 120, 90, 1).direct
    at = data.index(b"\xff\xd3")
    for damaged in (
        data[:at] + b"\xff\xd5" + data[at + 2 :],
        data[:at] + data[at + 2 :],
        data[:at] + b"abc" + data[at:],
        data[: at - 3] + data[at:],
        data[:-2],
        data[:-2] + data[-40:],
    ):
        with pytest.raises(core.Declined):
            core.decode(damaged, 120, 90, 1)


def planes_of(picture: Image.Image) -> Any:
    """Its planes, the colour at half size."""
    core = native.core
    assert core is not None
    data = encoded(picture, "JPEG", quality=100, subsampling="4:4:4")
    whole = (0.0, 0.0, float(picture.width), float(picture.height))
    return core.decode(data, *picture.size, 1).resized(picture.size, whole, 1, True)


def samples(planes: Any) -> list[Image.Image]:
    return [Image.frombytes("L", *planes.plane(number)) for number in range(planes.count)]


@built
@settings(deadline=None, max_examples=150)
@given(PICTURES, st.integers(1, 100), st.booleans(), st.booleans())
def test_our_encoder_writes_what_libjpegs_would(
    what: tuple[int, int, int, str], quality: int, small: bool, grey: bool
) -> None:
    core = native.core
    assert core is not None
    picture = picture_of(*what)
    planes = planes_of(picture.convert("L") if grey else picture)
    data = planes.jpeg(quality, core.SMALL if small else core.FAST)
    ours = Image.open(io.BytesIO(data))
    ours.load()
    decoded = samples(core.decode(data, *picture.size, 1))
    for number, plane in enumerate(samples(planes)):
        tables = [ours.quantization[min(number, 1)]]  # type: ignore[attr-defined]
        reference = Image.open(io.BytesIO(encoded(plane, "JPEG", qtables=tables)))
        assert reference.tobytes() == decoded[number].tobytes()


@built
def test_long_runs_of_nothing_and_codes_of_any_length() -> None:
    """Runs over 32,767 blocks are cut, and a picture of all there is needs codes that have to be shortened."""
    core = native.core
    assert core is not None
    picture = Image.new("RGB", (2600, 1800), "teal")
    picture.paste(picture_of(500, 400, 7, "noise"), (900, 1000))
    picture.paste(picture_of(600, 400, 7, "soft"), (1900, 1300))
    planes = planes_of(picture)
    for quality in (30, 85, 100):
        ours = [planes.jpeg(quality, scans) for scans in (core.BASELINE, core.FAST, core.SMALL)]
        assert len({Image.open(io.BytesIO(data)).tobytes() for data in ours}) == 1
        assert len(ours[1]) < len(ours[0])


@built
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler")
def test_processors_without_avx2_get_the_same_bytes(tmp_path: Path) -> None:
    core = native.core
    assert core is not None
    include = sysconfig.get_paths()["include"]
    command = [
        "gcc",
        "-O2",
        "-DPLAIN",
        "-shared",
        "-fPIC",
        "-std=gnu11",
        f"-I{include}",
        "-o",
        str(tmp_path / "_planes.so"),
        *os.environ.get("CFLAGS", "").split(),
    ]
    subprocess.run([*command, *SOURCES, "-ljpeg", "-lm"], check=True)
    spec = importlib.util.spec_from_file_location("_planes", tmp_path / "_planes.so")
    assert spec is not None
    assert spec.loader is not None
    plain = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain)
    for kind, progressive in itertools.product(("noise", "edges", "flat", "soft"), (False, True)):
        data = encoded(picture_of(333, 211, 3, kind), "JPEG", quality=100, progressive=progressive)
        for scale in (1, 2, 4, 8):
            one, other = (each.decode(data, 333, 211, scale) for each in (core, plain))
            assert [one.plane(i) for i in range(3)] == [other.plane(i) for i in range(3)]
            assert other.direct
        for quality, scans in ((5, core.FAST), (85, core.SMALL), (100, core.FAST)):
            made = [
                each.decode(data, 333, 211, 1)
                .resized((333, 211), (0.0, 0.0, 333.0, 211.0), 1, True)
                .jpeg(quality, scans)
                for each in (core, plain)
            ]
            assert made[0] == made[1]


@built
def test_what_cannot_stay_planes_comes_from_the_same_decode(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    data = turned(scene(900, 700), 6)
    presets = (
        Preset("jpeg", 300, 300),
        Preset("png", 290, 290, format="png"),
        Preset("webp", 200, 200, format="webp"),
        Preset("sharp", 150, 150, sharpen=1.0),
        Preset("pad", 100, 140, fit="pad", background="#102030"),
        Preset("p3", 120, 120, colorspace="p3"),
    )
    ours, plain = both(data, tmp_path, *presets, patch=monkeypatch)
    assert {name for name, picture in ours.items() if picture.info.get("icc_profile")} == {"p3"}
    for name, picture in ours.items():
        assert (picture.size, picture.format, picture.mode) == (plain[name].size, plain[name].format, plain[name].mode)
        assert distance(picture, plain[name]) < 2.5, name


@built
def test_a_wide_profile_is_converted(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    thumb = Preset("thumb", 100, 100)
    unconverted, _ = both(encoded(scene(300, 200), "JPEG", quality=95), tmp_path, thumb, patch=monkeypatch)
    for profile, plain_colours in ((display_p3(), False), (srgb, True)):
        data = encoded(scene(300, 200), "JPEG", quality=95, icc_profile=profile)
        ours, plain = both(data, tmp_path, thumb, patch=monkeypatch)
        assert distance(ours["thumb"], plain["thumb"]) < 2.5
        assert (distance(ours["thumb"], unconverted["thumb"]) < 0.5) is plain_colours


@built
def test_declines_what_is_unusual_or_damaged() -> None:
    cmyk = encoded(scene(64, 64).convert("CMYK"), "JPEG")
    rgb = encoded(scene(64, 64), "JPEG", keep_rgb=True)
    whole = encoded(noise(256, 256), "JPEG")
    for data in (cmyk, rgb, whole[: len(whole) // 2], whole[:-2]):
        assert not uses_planes(data)
    assert uses_planes(whole)
    core = native.core
    assert core is not None
    for wrong in ((whole, 255, 256, 1), (b"", 256, 256, 1), (b"\xff\xd8\xff", 1, 1, 1)):
        with pytest.raises(core.Declined):
            core.decode(*wrong)
    for wrong in ((whole, 256, 256, 3), (whole, 0, 256, 1), (whole, 70_000, 256, 1), (whole, 256, 256, -1)):
        with pytest.raises(ValueError, match="denominator"):
            core.decode(*wrong)
    planes = core.decode(whole, 256, 256, 1)
    box = (0.0, 0.0, 256.0, 256.0)
    for size, part, orientation in (
        ((0, 1), box, 1),
        ((1, 70_000), box, 1),
        ((9, 9), box, 0),
        ((9, 9), box, 9),
        ((9, 9), (0.0, 0.0, 257.0, 9.0), 1),
        ((9, 9), (-1.0, 0.0, 9.0, 9.0), 1),
        ((9, 9), (9.0, 0.0, 9.0, 9.0), 1),
        ((9, 9), (0.0, 0.0, float("nan"), 9.0), 1),
    ):
        with pytest.raises(ValueError, match="box"):
            planes.resized(size, part, orientation, True)
    with pytest.raises(ValueError, match="halved"):
        core.decode(encoded(scene(64, 64), "JPEG", subsampling="4:4:4"), 64, 64, 1).jpeg(85, 1)
    with pytest.raises(IndexError):
        planes.plane(3)


SIZES = """
#include "planes.h"
size_t asked(size_t count, size_t each, size_t more) { return bytes(count, each, more); }
int made(size_t width, size_t height) {
    Plane plane = {0};
    int good = plane_new(&plane, width, height);
    free(plane.data);
    return good;
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler")
def test_products_of_sizes_never_wrap(tmp_path: Path) -> None:
    source, library = tmp_path / "sizes.c", tmp_path / "sizes.so"
    source.write_text(SIZES)
    command = ["gcc", "-shared", "-fPIC", "-std=gnu11", f"-I{ROOT / 'native'}", "-o", str(library), str(source)]
    subprocess.run(command, check=True)
    core = ctypes.CDLL(str(library))
    core.asked.restype = ctypes.c_size_t

    def asked(*numbers: int) -> int:
        return int(core.asked(*map(ctypes.c_size_t, numbers)))

    most = ctypes.c_size_t(-1).value
    half = most // 2 + 1
    assert asked(65500, 65500, 32) == 65500 * 65500 + 32
    for numbers in (
        (half, 2, 0),
        (half, 2, 64),
        (half + 1, 2, 0),
        (most, most, most),
        (most, 1, 1),
        (65536, most // 65535, 0),
    ):
        assert asked(*numbers) == most
    assert core.made(ctypes.c_size_t(100), ctypes.c_size_t(100)) == 1
    for width, height in ((half, 2), (2, half), (2**31, 1), (most, most), (2**31 - 1, 2**31 - 1)):
        assert core.made(ctypes.c_size_t(width), ctypes.c_size_t(height)) == 0


CLAIMS = """
import resource, sys
from PIL import Image
from hotfolder.imaging.native import core
from tests.unit.imaging import encoded, noise

resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000, 2_000_000_000))
for progressive in (False, True):
    for side in (65500, 65535):
        data = bytearray(encoded(noise(64, 64), "JPEG", progressive=progressive))
        at = data.index(b"\\xff\\xc2" if progressive else b"\\xff\\xc0")
        data[at + 5 : at + 9] = side.to_bytes(2, "big") * 2
        for scale in (1, 2, 4, 8):
            try:
                core.decode(bytes(data), 65500, 65500, scale)
            except (MemoryError, core.Declined) as error:
                print(type(error).__name__)
"""


@built
def test_a_header_that_claims_the_largest_picture_ends_in_words() -> None:
    """Its planes take more than four gigabytes at full size, and there is room for two."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", CLAIMS], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.split()
    assert len(said) == 16
    assert said[0] == said[8] == "MemoryError"
    assert set(said[4:8] + said[12:]) == {"Declined"}


@built
@given(st.integers(0, 2**32), st.booleans(), st.sampled_from([1, 2, 4, 8]))
@settings(max_examples=60, deadline=None)
def test_the_same_reason_for_any_damage(seed: int, progressive: bool, scale: int) -> None:
    dice = random.Random(seed)
    data = bytearray(encoded(scene(120, 90), "JPEG", progressive=progressive, optimize=True))
    for _ in range(dice.randint(1, 8)):
        data[dice.randrange(2, len(data))] = dice.randrange(256)
    del data[dice.choice((len(data), dice.randrange(2, len(data)))) :]
    answers = []
    for core in (native.core, None):
        with MonkeyPatch.context() as patch:
            patch.setattr(native, "core", core)
            answers.append(_answer(bytes(data), Preset("thumb", 100 // scale, 90 // scale)))
    assert answers[0] == answers[1]


def _answer(data: bytes, preset: Preset) -> object:
    with tempfile.TemporaryDirectory() as folder:
        try:
            result, _ = rendered(data, Path(folder), preset)
        except SourceError as error:
            return error.reason
        return [(o.width, o.height) for o in result.outputs]


@built
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler")
def test_another_libjpeg_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "jpeglib.h").write_text("#include_next <jpeglib.h>\n#undef LIBJPEG_TURBO_VERSION_NUMBER\n")
    command = ["gcc", "-std=gnu11", "-fsyntax-only", str(ROOT / "native" / "jpeg.c")]
    assert subprocess.run(command, check=False).returncode == 0
    done = subprocess.run([*command, f"-I{tmp_path}"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "hotfolder's core needs libjpeg-turbo, and this jpeglib.h is another libjpeg's" in done.stderr


@pytest.mark.parametrize("broken", [{"CC": "false"}, {"CPATH": "/nonexistent", "CFLAGS": "-nostdinc"}])
def test_installs_without_a_compiler_or_headers(broken: dict[str, str], tmp_path: Path) -> None:
    """`pip install` goes on, and what is installed works in pure Python."""
    for name in ("daemon", "native", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        source = ROOT / name
        ignore = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info")
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=ignore)
        else:
            shutil.copy(source, tmp_path)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--disable-pip-version-check",
        "--target",
        str(tmp_path / "site"),
        str(tmp_path),
    ]
    done = subprocess.run(command, env={**os.environ, **broken}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "site").rglob("*.so"))
    code = "from hotfolder.imaging import native; print(repr(native.library()))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert said.stdout == "''\n"
