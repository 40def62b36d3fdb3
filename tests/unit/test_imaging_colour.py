"""Patches of colour by each way that a picture can take (the core, Pillow, deep) into each format, against LittleCMS by
itself; and profiles that are judged by their curves, whatever they are called."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image, ImageCms

from hotfolder.imaging import Limits, native, open_image
from hotfolder.imaging.colour import convert as colour
from hotfolder.imaging.colour import profiles
from hotfolder.presets import Colorspace, Preset
from tests.unit.imaging import copy, encoded, rendered
from tests.unit.test_imaging_deep import with_chunks
from tests.unit.test_imaging_layouts import png
from tests.unit.tiffs import Page, Samples, tiff

SIDE = 16
RGB = [
    (0, 0, 0),
    (255, 255, 255),
    (128, 128, 128),
    (60, 180, 90),
    (200, 40, 30),
    (30, 60, 210),
    (240, 220, 40),
    (20, 24, 30),
]
GREYS = [0, 255, 128, 24, 60, 200, 90, 180]
NEAR = {"png": 2, "jpeg": 5, "webp": 7, "avif": 7}
"""Of 255, by the format that is written."""


def s15(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def gamma(power: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(power * 256)) + b"\0\0"


def parametric(kind: int, *numbers: float) -> bytes:
    return b"para" + struct.pack(">IHH", 0, kind, 0) + s15(*numbers)


def table(values: np.ndarray[Any, Any]) -> bytes:
    return b"curv" + struct.pack(">II", 0, len(values)) + bytes(np.rint(values * 65535).astype(">u2").tobytes())


RAMP = np.linspace(0, 1, 1024)
STRAIGHT = {
    "curve of none": b"curv" + bytes(8),
    "curve of one": gamma(1),
    "table of two": table(RAMP[[0, -1]]),
    "table": table(RAMP),
    "power": parametric(0, 1),
    "line": parametric(1, 1, 1, 0),
    "line and more": parametric(3, 1, 1, 0, 1, 0.04),
}
BENT = {
    "gamma 2.2": gamma(2.2),
    "table of sRGB's": table(np.where(RAMP <= 0.04045, RAMP / 12.92, ((RAMP + 0.055) / 1.055) ** 2.4)),
    "sRGB's": parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
    "all of it": parametric(4, 2.2, 0.95, 0.05, 0.1, 0.04, 0.0, 0.0),
    "dot gain": table(0.6 * RAMP**1.7 + 0.4 * RAMP**3),
}
CURVES = STRAIGHT | BENT


def icc(model: str, curve: bytes, name: str, pcs: str = "XYZ ", primaries: int = 1) -> bytes:
    """A profile by hand: of RGB primaries, or for grey."""
    columns = zip(*profiles.columns(*profiles.PRIMARIES[primaries]), strict=True)
    words = name.encode("utf-16-be")
    tags = {
        b"desc": b"mluc" + struct.pack(">III4sII", 0, 1, 12, b"enUS", len(words), 28) + words,
        b"wtpt": b"XYZ \0\0\0\0" + s15(0.9642, 1, 0.82491),
    }
    if model == "GRAY":
        tags[b"kTRC"] = curve
    else:
        tags |= {
            each: b"XYZ \0\0\0\0" + s15(*row) for each, row in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)
        }
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    at, body, entries = 132 + 12 * len(tags), b"", struct.pack(">I", len(tags))
    for tag, value in tags.items():
        entries += tag + struct.pack(">II", at + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"", 0x04000000, b"mntr", model.encode(), pcs.encode())
    head = (head.ljust(36, b"\0") + b"acsp").ljust(68, b"\0") + s15(0.9642, 1, 0.82491)
    return head.ljust(128, b"\0") + entries + body


def patches(mode: str) -> Samples:
    """One beside the other."""
    values = np.array(GREYS if mode == "L" else RGB, np.uint8).reshape(1, len(GREYS), -1)
    return values.repeat(SIDE, axis=0).repeat(SIDE, axis=1)


def by_littlecms(samples: Samples, profile: bytes | None, target: bytes | None = None) -> Samples:
    """The patches by LittleCMS alone, in RGB of the target, sRGB where none is named."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else srgb
    goal = ImageCms.ImageCmsProfile(io.BytesIO(target)) if target else srgb
    image = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    if profile is None:
        image = image.convert("RGB")
    transform = ImageCms.buildTransform(
        source, goal, image.mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    )
    shown = ImageCms.applyTransform(image, transform)
    return middle(np.asarray(shown))


def middle(samples: Samples) -> Samples:
    return samples[SIDE // 2, SIDE // 2 :: SIDE].astype(int)


def deep_tiff(samples: Samples, profile: bytes) -> bytes:
    grey = samples.shape[2] == 1
    return tiff(Page(samples.astype(np.uint16) * 257, 1 if grey else 2, tags={34675: profile}))


def deep_png(samples: Samples, profile: bytes) -> bytes:
    import zlib

    chunk = (b"iCCP", b"x\0\0" + zlib.compress(profile))
    return png(samples.astype(int) * 257, 0 if samples.shape[2] == 1 else 2, 16, chunk)


def with_alpha(samples: Samples, profile: bytes) -> bytes:
    image = Image.fromarray(np.concatenate([samples, np.full_like(samples[..., :1], 255)], axis=-1))
    return encoded(image, "PNG", icc_profile=profile)


def plain(format_name: str, **options: Any) -> Any:
    def write(samples: Samples, profile: bytes) -> bytes:
        image = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
        return encoded(image, format_name, icc_profile=profile, **options)

    return write


SOURCES = {
    "jpeg": plain("JPEG", quality=100, subsampling=0),
    "progressive jpeg": plain("JPEG", quality=100, subsampling=0, progressive=True),
    "png": plain("PNG"),
    "tiff": plain("TIFF"),
    "webp": plain("WEBP", lossless=True),
    "png with alpha": with_alpha,
    "png of 16 bits": deep_png,
    "tiff of 16 bits": deep_tiff,
}
PROFILES = [
    ("RGB ", "sRGB's", 1, "no name at all"),
    ("RGB ", "table", 1, "ACME Linear sRGB v4"),
    ("RGB ", "gamma 2.2", 9, "sRGB"),
    ("RGB ", "all of it", 12, "sRGB IEC61966-2.1"),
    ("RGB ", "dot gain", 1, "not sRGB"),
    ("GRAY", "curve of one", 1, "sRGB grey"),
    ("GRAY", "gamma 2.2", 1, "Grey Gamma 2.2"),
    ("GRAY", "dot gain", 1, "Dot Gain"),
]


def made(data: bytes, folder: Path, format_name: Any, goal: Colorspace) -> tuple[Samples, bytes | None]:
    """The patches of the rendition in RGB, and its profile."""
    preset = Preset("x", SIDE * len(RGB), SIDE, format=format_name, quality=100, colorspace=goal)
    result, written = rendered(data, folder, preset)
    assert result.notes == ()
    image = Image.open(io.BytesIO(written["x"]))
    profile = image.info.get("icc_profile")
    if profile:
        grey = profile[16:20] == b"GRAY"
        assert grey == (image.mode in ("L", "LA")), "readers ignore a profile of another model"
    return np.asarray(image.convert("L" if profile and grey else "RGB")), profile


@pytest.mark.parametrize("goal", get_args(Colorspace))
@pytest.mark.parametrize("format_name", list(NEAR))
@pytest.mark.parametrize("source", list(SOURCES))
@pytest.mark.parametrize(("model", "curve", "primaries", "name"), PROFILES, ids=[each[3] for each in PROFILES])
def test_patches_come_out_as_littlecms_has_them(
    model: str, curve: str, primaries: int, name: str, source: str, format_name: str, goal: Colorspace, tmp_path: Path
) -> None:
    if source == "webp" and model == "GRAY":
        pytest.skip("WebP has no grey")
    profile = icc(model, CURVES[curve], name, primaries=primaries)
    samples = patches("L" if model == "GRAY" else "RGB")
    data = SOURCES[source](samples, profile)
    if "jpeg" in source:
        opened = Image.open(io.BytesIO(data))
        samples = np.asarray(opened).reshape(*samples.shape)
        planes = native.decode(open_image(data, Limits()), 1)
        assert (planes is not None) == (native.core is not None)
    shown, carried = made(data, tmp_path, format_name, goal)
    found = by_littlecms(shown.reshape(*shown.shape[:2], -1), carried)
    meant = by_littlecms(samples, profile)
    tolerance = NEAR[format_name] + ("jpeg" in source)
    if goal == "keep" and curve in STRAIGHT and format_name != "png":
        tolerance += 25  # straight curves spread what encoders lose in shadows
    assert np.abs(found - meant).max() <= tolerance, (found.tolist(), meant.tolist())


@pytest.mark.parametrize("curve", list(CURVES))
@pytest.mark.parametrize("model", ["RGB ", "GRAY"])
def test_curves_tell_whether_a_profile_is_linear(model: str, curve: str) -> None:
    found = profiles.linear_space(icc(model, CURVES[curve], "sRGB"))
    assert (found is not None) == (curve in STRAIGHT)
    assert found is None or (found.columns is None) == (model == "GRAY")


@pytest.mark.parametrize("model", ["RGB ", "GRAY"])
def test_where_a_profile_has_tables_its_curves_say_nothing(model: str) -> None:
    profile = icc(model, gamma(1), "linear").replace(b"wtpt", b"A2B0")
    assert profiles.linear_space(profile) is None
    with pytest.raises(ValueError, match="without its curve"):
        profiles.coloured(profile)


@pytest.mark.parametrize("pcs", ["XYZ ", "Lab "])
@pytest.mark.parametrize("curve", list(CURVES))
def test_a_profile_for_grey_means_the_same_in_colour(curve: str, pcs: str) -> None:
    grey = icc("GRAY", CURVES[curve], "grey", pcs)
    meant = by_littlecms(patches("L"), grey)
    found = by_littlecms(patches("L").repeat(3, axis=2), profiles.coloured(grey))
    assert np.abs(found - meant).max() <= 2


@pytest.mark.parametrize("source", ["png", "png with alpha"])
def test_shadows_of_grey_are_exact(source: str, tmp_path: Path) -> None:
    samples = np.arange(256, dtype=np.uint8).reshape(1, 256, 1)
    data = SOURCES[source](samples, icc("GRAY", CURVES["curve of one"], "grey"))
    _, written = rendered(data, tmp_path, Preset("x", 256, 1, format="png"))
    light = np.arange(256) / 255
    meant = 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    found = np.asarray(Image.open(io.BytesIO(written["x"])).convert("L"))[0]
    assert np.abs(found - meant).max() <= 1


@pytest.mark.parametrize(
    "curve",
    [
        b"",
        b"curv",
        gamma(1)[:9],
        parametric(9),
        parametric(3, 2.4),
        parametric(1, 2, 0, 1),
        b"curv\0\0\0\0\xff\xff\xff\xff",
    ],
)
@pytest.mark.parametrize("model", ["RGB ", "GRAY"])
def test_broken_curves_are_no_profile(model: str, curve: bytes, tmp_path: Path) -> None:
    profile = icc(model, curve, "broken")
    assert profiles.linear_space(profile) is None
    samples = patches("L" if model == "GRAY" else "RGB")
    for source in ("jpeg", "png with alpha", "png of 16 bits"):
        preset = Preset("x", SIDE * len(RGB), SIDE, format="webp")
        result, _ = rendered(SOURCES[source](samples, profile), tmp_path, preset)
        assert result.notes in (("icc_ignored",), ())
        (tmp_path / "x").unlink()


@pytest.mark.parametrize("source", list(SOURCES))
def test_a_profile_for_grey_is_none_for_colours(source: str, tmp_path: Path) -> None:
    data = SOURCES[source](patches("RGB"), icc("GRAY", CURVES["dot gain"], "grey"))
    preset = Preset("x", SIDE * len(RGB), SIDE, format="png")
    result, written = rendered(data, tmp_path, preset)
    assert result.notes == ("icc_ignored",)
    shown = middle(np.asarray(Image.open(io.BytesIO(written["x"])).convert("RGB")))
    assert np.abs(shown - middle(patches("RGB"))).max() <= 3


def srgbs() -> Iterator[bytes]:
    """Profiles that are sRGB's."""
    yield ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for curve in ("sRGB's", "table of sRGB's"):
        yield icc("RGB ", CURVES[curve], "anything")


def test_what_is_srgb_stays_as_it_is_whatever_it_is_called() -> None:
    image = Image.fromarray(patches("RGB"))
    for profile in srgbs():
        assert colour.convert(image, profile)[0] is image
    for curve in set(CURVES) - {"sRGB's", "table of sRGB's"}:
        assert colour.convert(image, icc("RGB ", CURVES[curve], "sRGB"))[0] is not image, curve


@pytest.mark.parametrize("format_name", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("source", ["png", "png with alpha", "jpeg"])
def test_copies_of_grey_pictures_carry_a_profile_that_readers_take(
    source: str, format_name: str, tmp_path: Path
) -> None:
    profile = icc("GRAY", CURVES["gamma 2.2"], "grey")
    samples = patches("L")
    written, _ = copy(SOURCES[source](samples, profile), tmp_path, format=format_name, mode="lossy", quality=95)
    image = Image.open(io.BytesIO(written))
    carried = image.info["icc_profile"]
    assert (carried[16:20] == b"GRAY") == (image.mode in ("L", "LA"))
    shown = np.asarray(image.convert("L" if carried[16:20] == b"GRAY" else "RGB"))
    found = by_littlecms(shown.reshape(*shown.shape[:2], -1), carried)
    assert np.abs(found - by_littlecms(samples, profile)).max() <= 12


@pytest.mark.parametrize("number", [25_000, 45_455, 55_556, 100_000])
@pytest.mark.parametrize(
    ("kind", "bits"), [(0, 2), (0, 4), (0, 8), (0, 16), (4, 8), (4, 16), (2, 8), (2, 16), (6, 8), (6, 16)]
)
def test_the_gamma_of_every_kind_of_png(kind: int, bits: int, number: int, tmp_path: Path) -> None:
    levels = np.rint(np.linspace(0, 1, 8) * (2**bits - 1))
    channels = {0: 1, 4: 2, 2: 3, 6: 4}[kind]
    samples = levels.astype(int).reshape(1, 8, 1).repeat(channels, axis=2)
    if kind in (4, 6):
        samples[..., -1] = 2**bits - 1
    samples = samples.repeat(SIDE, axis=0).repeat(SIDE, axis=1)
    data = png(samples, kind, bits, (b"gAMA", struct.pack(">I", number)))
    light = (levels / (2**bits - 1)) ** (100_000 / number)
    meant = 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    if number == 45_455:
        meant = levels / (2**bits - 1) * 255
    found = middle(made(data, tmp_path, "png", "srgb")[0])
    assert np.abs(found - meant[:, None]).max() <= 2
    (tmp_path / "x").unlink()
    found = middle(made(with_chunks(data, (b"sRGB", b"\0")), tmp_path, "png", "srgb")[0])
    assert np.abs(found - (levels / (2**bits - 1) * 255)[:, None]).max() <= 1, "sRGB is stronger"
