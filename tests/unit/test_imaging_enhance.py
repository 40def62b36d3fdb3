"""Automatic improvement: only what the measures ask for and confirm, and fine pictures come back as they were."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from hotfolder.imaging.analysis import measure
from hotfolder.imaging.analysis.measure import Pixels
from hotfolder.imaging.optimizing import enhance
from hotfolder.imaging.optimizing.enhance import CLIPPED_MOST, MIDDLE, Change
from tests.unit.imaging import copy, encoded, noise, scene


def measured(image: Image.Image) -> Pixels:
    return measure.measure(measure.small(image).convert("RGB"))


def fine(seed: int = 0) -> Image.Image:
    """Of full range and middle brightness."""
    image = scene(seed, 700, 500)
    image.paste((8, 8, 8), (0, 0, 60, 500))
    image.paste((248, 248, 248), (640, 0, 700, 500))
    return image


def dark(image: Image.Image) -> Image.Image:
    return image.point(lambda value: round(value * 0.35))


def flat(image: Image.Image) -> Image.Image:
    return image.point(lambda value: round(80 + value * 0.35))


@pytest.mark.parametrize("seed", range(4))
def test_what_is_dark_or_flat_is_brought_nearer_to_what_it_was(seed: int) -> None:
    original = fine(seed)
    for spoilt in (dark(original), flat(original)):
        better = enhance.improved(spoilt)
        assert better is not spoilt
        before, after, goal = measured(spoilt), measured(better), measured(original)
        assert abs(after.contrast - goal.contrast) < abs(before.contrast - goal.contrast)
        assert after.clipped_high - before.clipped_high <= CLIPPED_MOST
        assert after.clipped_low - before.clipped_low <= CLIPPED_MOST
        assert abs(after.exposure - MIDDLE) <= abs(before.exposure - MIDDLE) + 0.02


@pytest.mark.parametrize(
    "picture",
    [
        fine(),
        fine(3),
        Image.new("RGB", (300, 200), "#888"),
        Image.new("RGB", (300, 200), "white"),
        fine().point(lambda v: 200 + v // 5),  # snow
        fine().point(lambda v: v // 40),  # as good as black
        fine().filter(ImageFilter.GaussianBlur(12)),  # blurred beyond mending
        fine().convert("CMYK"),
        noise(200, 200),
        Image.new("RGB", (1, 1)),
        Image.new("L", (3, 900), 90),
    ],
)
def test_what_is_fine_or_cannot_be_mended_is_the_very_same(picture: Image.Image) -> None:
    assert enhance.improved(picture) is picture


def test_night_with_lights_stays_night() -> None:
    night = dark(dark(fine()))
    night.paste((255, 250, 240), (300, 200, 370, 270))
    assert enhance.improved(night) is night


def test_a_soft_picture_is_sharpened_and_a_noisy_one_is_not() -> None:
    soft = fine(2).filter(ImageFilter.GaussianBlur(0.9))
    better = enhance.improved(soft)
    assert better is not soft
    assert measured(better).sharpness > 1.1 * measured(soft).sharpness
    grain = Image.blend(soft, noise(700, 500), 0.2)
    assert measured(grain).noise > enhance.NOISY_ABOVE
    assert enhance.improved(grain) is grain


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 120), st.integers(1, 100), st.sampled_from(("L", "RGB", "RGBA")))
def test_it_never_harms_whatever_the_tones(offset: int, percent: int, mode: str) -> None:
    image = fine().resize((175, 125)).point(lambda v: min(255, offset + v * percent // 100)).convert(mode)
    better = enhance.improved(image)
    assert (better.size, better.mode) == (image.size, image.mode)
    assert measured(better).contrast >= 0.95 * measured(image).contrast - 0.002


def test_alpha_stays() -> None:
    image = dark(fine()).convert("RGBA")
    alpha = Image.linear_gradient("L").resize(image.size)
    image.putalpha(alpha)
    assert enhance.improved(image).getchannel("A").tobytes() == alpha.tobytes()


@pytest.mark.parametrize(("spoil", "altered"), [(dark, True), (lambda image: image, False)])
def test_the_copy_is_improved_only_where_it_was_asked_for(
    spoil: Callable[[Image.Image], Image.Image], altered: bool, tmp_path: Path
) -> None:
    data = encoded(spoil(fine()), "JPEG", quality=95)
    plain, _ = copy(data, tmp_path)
    better, _ = copy(data, tmp_path, auto_enhance=True)
    assert (plain != better) == altered
    if altered:
        assert measured(Image.open(io.BytesIO(better))).exposure > measured(Image.open(io.BytesIO(plain))).exposure


def test_a_fine_source_that_cannot_be_saved_on_stays_as_it_is(tmp_path: Path) -> None:
    data = encoded(fine(), "JPEG", quality=40)
    assert copy(data, tmp_path, auto_enhance=True) == copy(data, tmp_path)


@pytest.mark.parametrize("harm", [Change(0, 120), Change(90, 255), Change(sharpen=True), Change(gamma=0.99)])
def test_what_does_not_help_on_trial_is_not_done(harm: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enhance, "chosen", lambda pixels, low, high: harm)
    picture = noise(400, 300) if harm.sharpen else fine()
    assert enhance.improved(picture) is picture
