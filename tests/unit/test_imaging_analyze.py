"""The analysis against what is known: generated series have to be ranked as they were made."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter

from hotfolder.imaging import Limits, Record, analyze_bytes
from hotfolder.imaging.analysis import measure
from hotfolder.imaging.record import BLURRED_BELOW
from hotfolder.presets import AnalyzeSpec
from tests.unit.imaging import encoded, scene

ALL = AnalyzeSpec(gps=True)


def noisy(image: Image.Image, deviation: float) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    noise = np.random.default_rng(3).normal(0, deviation, pixels.shape)
    return Image.fromarray(np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8))


def blurred(image: Image.Image, radius: float) -> Image.Image:
    """`radius` in pixels of a picture 512 pixels long, so that it means the same at any size."""
    return image.filter(ImageFilter.GaussianBlur(radius * max(image.size) / 512)) if radius else image


def record(image: Image.Image, **options: Any) -> Record:
    return analyze_bytes(encoded(image, "PNG", **options), b"x.png", Limits(), ALL)


def spearman(truth: Sequence[float], found: Sequence[float]) -> float:
    def ranks(values: Sequence[float]) -> np.ndarray:
        ordered = np.asarray(values)
        return np.array([(ordered < value).sum() + ((ordered == value).sum() - 1) / 2 for value in ordered])

    return float(np.corrcoef(ranks(truth), ranks(found))[0, 1])


def value(name: str, images: Sequence[Image.Image]) -> list[float]:
    return [getattr(record(image), name) for image in images]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("deviation", [0, 12])
def test_blur_is_ranked_by_its_radius_with_noise_and_without(seed: int, deviation: float) -> None:
    radii = (0, 0.5, 1, 1.5, 2, 3, 4, 6)
    series = [noisy(blurred(scene(seed, 800, 600), radius), deviation) for radius in radii]
    sharpness = value("sharpness", series)
    assert spearman(radii, [-each for each in sharpness]) >= 0.95
    assert sharpness[0] > 0.2 > BLURRED_BELOW > sharpness[4]
    if not deviation:  # the variance of the Laplacian takes noise for detail; that is why there is `sharpness`
        assert spearman(radii, value("blur", series)) >= 0.95


@pytest.mark.parametrize("seed", range(4))
def test_sharpness_depends_neither_on_noise_nor_on_size(seed: int) -> None:
    for radius in (0, 1.5):
        image = blurred(scene(seed), radius)
        goal = record(image).sharpness
        assert goal is not None
        for deviation in (4, 10, 20):
            assert record(noisy(image, deviation)).sharpness == pytest.approx(goal, rel=0.15), deviation
        for width in (1200, 800, 560):
            smaller = image.resize((width, width * 3 // 4), Image.Resampling.LANCZOS)
            assert record(smaller).sharpness == pytest.approx(goal, rel=0.15), width
    assert record(noisy(scene(seed, 512, 384), 20)).blur != pytest.approx(record(scene(seed, 512, 384)).blur, rel=0.15)


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_ranked_by_its_deviation_and_measured(seed: int) -> None:
    deviations = (0, 1, 2, 4, 8, 12, 16, 24)
    found = value("noise", [noisy(scene(seed, 512, 384), deviation) for deviation in deviations])
    assert spearman(deviations, found) >= 0.95
    assert found[4] == pytest.approx(8 * math.hypot(0.299, 0.587, 0.114), rel=0.15)  # of brightness


@pytest.mark.parametrize("seed", range(3))
def test_exposure_and_clipping_are_ranked_by_stops(seed: int) -> None:
    stops = (-3, -2, -1, -0.5, 0, 0.5, 1, 2, 3)
    series = [scene(seed, 400, 300).point(lambda v, s=stop: min(255, round(v * 2**s))) for stop in stops]
    assert spearman(stops, value("exposure", series)) >= 0.95
    high = value("clipped_high", series)
    assert high == sorted(high)
    assert high[0] == high[3] == 0
    assert high[-1] > 0.5
    assert record(Image.new("RGB", (300, 200), (1, 1, 1))).clipped_low == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_contrast_and_colourfulness_are_ranked_by_how_much_there_is(seed: int) -> None:
    factors = (0, 0.2, 0.4, 0.6, 0.8, 1.0)
    image = scene(seed, 400, 300)
    assert spearman(factors, value("contrast", [ImageEnhance.Contrast(image).enhance(f) for f in factors])) >= 0.95
    series = [ImageEnhance.Color(image).enhance(f) for f in factors]
    found = value("colourfulness", series)
    assert spearman(factors, found) >= 0.95
    assert found[0] < 1


def test_colours_are_those_of_the_picture_with_their_shares() -> None:
    image = Image.new("RGB", (300, 100), "#204080")
    image.paste("#f0e010", (0, 0, 90, 100))
    image.paste("#ffffff", (270, 0, 300, 100))
    colours = record(image).colours
    assert colours is not None
    assert dict(colours).keys() == {"#204080", "#f0e010", "#ffffff"}
    assert [share for _, share in colours] == pytest.approx([0.6, 0.3, 0.1], abs=0.01)


def distance(one: Record, other: Record) -> int:
    assert one.phash is not None
    assert other.phash is not None
    return (int(one.phash, 16) ^ int(other.phash, 16)).bit_count()


@pytest.mark.parametrize(
    "changed",
    [
        lambda image: image.resize((233, 175)),
        lambda image: Image.open(io.BytesIO(encoded(image, "JPEG", quality=50))),
        lambda image: image.crop((8, 6, image.width - 8, image.height - 6)),
        lambda image: image.convert("L").convert("RGB"),
        lambda image: image.point(lambda v: min(255, round(v * 1.2))),
    ],
    ids=["resized", "quality 50", "cropped", "grey", "brighter"],
)
def test_the_hash_survives_what_leaves_a_picture_the_same(changed: Callable[[Image.Image], Image.Image]) -> None:
    originals = [record(scene(seed, 800, 600)) for seed in range(6)]
    for seed, original in enumerate(originals):
        assert distance(original, record(changed(scene(seed, 800, 600)))) <= 8
    others = [distance(a, b) for at, a in enumerate(originals) for b in originals[:at]]
    assert min(others) > 12


def test_the_placeholder_is_a_thumbhash_of_the_right_shape() -> None:
    wide, clear = record(scene(1, 600, 300)), scene(1, 300, 600).convert("RGBA")
    clear.putalpha(clear.getchannel("R"))
    for found, landscape, alpha in ((wide, True, False), (record(clear), False, True)):
        assert found.placeholder is not None
        data = base64.b64decode(found.placeholder)
        header = int.from_bytes(data[:5], "little")
        assert bool(header >> 39) == landscape
        assert bool(header >> 23 & 1) == alpha
        assert len(data) <= 25
    flat = base64.b64decode(record(Image.new("RGB", (50, 50), (255, 0, 0))).placeholder or "")
    light, warm, rose = flat[0] & 63, (flat[0] >> 6 | flat[1] << 2) & 63, flat[1] >> 4 | (flat[2] & 3) << 4
    assert (light, warm, rose) == (21, 47, 63)  # red: a third of the light, half towards yellow, wholly towards red


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 900),
    st.sampled_from(("1", "L", "LA", "P", "RGB", "RGBA")),
    st.booleans(),
    st.integers(0, 255),
)
def test_any_shape_and_mode_can_be_measured(short: int, long: int, mode: str, turned: bool, shade: int) -> None:
    size = (long, short) if turned else (short, long)
    found = record(Image.new("L", size, shade).convert(mode))
    assert (found.width, found.height) == size
    for name in ("sharpness", "blur", "exposure", "clipped_low", "clipped_high", "contrast"):
        assert 0 <= getattr(found, name) <= 1, name
    assert not found.blurred
    assert Record.from_json(found.to_json()) == found


def test_a_plain_page_is_blank_and_not_blurred() -> None:
    page = record(Image.new("RGB", (800, 600), "white"))
    assert page.blank
    assert not page.blurred
    assert record(blurred(scene(0, 800, 600), 6)).blurred


def test_parts_that_are_switched_off_are_not_there() -> None:
    data = encoded(scene(0, 300, 200), "PNG")
    none = analyze_bytes(data, b"", Limits(), AnalyzeSpec(exif=False, pixels=False, phash=False, placeholder=False))
    assert (none.format, none.mode, none.megapixels) == ("png", "RGB", 0.06)
    assert (none.sharpness, none.phash, none.placeholder, none.colours) == (None, None, None, None)
    assert analyze_bytes(data, b"", Limits(), AnalyzeSpec(pixels=False)).phash == record(scene(0, 300, 200)).phash


def test_transparent_parts_count_as_white() -> None:
    clear = Image.new("RGBA", (200, 100), (0, 0, 0, 0))
    assert record(clear).exposure == 1.0


def test_the_measured_picture_is_never_enlarged_and_at_most_512_long() -> None:
    for size in ((30, 20), (512, 100), (513, 100), (1023, 1), (5000, 40), (3000, 2000)):
        small = measure.small(Image.new("RGB", size)).size
        assert max(small) == min(512, max(size))
