"""Decode once, make every rendition: sizes, colours, alpha; the same bytes whatever they are made together with."""

from __future__ import annotations

import io
import os
import resource
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging import Limits, Plan, open_image, render
from hotfolder.imaging.colour import convert as colour
from hotfolder.imaging.rendering import resize
from hotfolder.presets import BUILT_IN, OPTIMIZED, Colorspace, Fit, Format, OptimizeSpec, Preset
from tests.unit.imaging import corner, encoded, noise, rendered, thumb

SIX = tuple(BUILT_IN.values())
MORE = (
    *SIX,
    Preset("alpha", 300, 200, format="webp"),
    Preset("framed", 500, 500, fit="pad", background="#102030"),
    Preset("interesting", 100, 300, fit="cover", gravity="attention", sharpen=0.5),
    Preset("wide", 250, 250, colorspace="p3", contrast=0.2),
)
PHOTO = encoded(noise(1700, 1300).reduce(4).resize((1700, 1300)), "JPEG", quality=90)


@pytest.fixture(scope="module", params=[None, OptimizeSpec()], ids=["thumbnails", "full"])
def everything(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[OptimizeSpec | None, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("everything")
    return request.param, rendered(PHOTO, folder, *MORE, optimize=request.param)[1]


@given(wanted=st.sets(st.sampled_from([preset.name for preset in MORE] + [OPTIMIZED])))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_subset_gives_the_same_bytes(
    everything: tuple[OptimizeSpec | None, dict[str, bytes]], wanted: set[str], tmp_path: Path
) -> None:
    optimize, whole = everything
    wanted &= set(whole)
    _, written = rendered(PHOTO, tmp_path, *MORE, optimize=optimize, wanted=wanted)
    assert [name for name in wanted if written[name] != whole[name]] == []  # a diff of bytes would take minutes
    assert set(written) == wanted


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (40, 30), (1, 3000), (3000, 1), (1, 1)])
def test_sizes_are_those_of_the_contract(size: tuple[int, int], tmp_path: Path) -> None:
    result, written = rendered(encoded(Image.new("RGB", size, "teal"), "PNG"), tmp_path, *SIX)
    for output in result.outputs:
        preset = BUILT_IN[output.preset]
        assert Image.open(io.BytesIO(written[output.preset])).size == (output.width, output.height)
        if preset.fit == "cover":
            assert (output.width, output.height) == (preset.width, preset.height)
        else:
            assert output.width <= min(size[0], preset.width)
            assert output.height <= min(size[1], preset.height)


@pytest.mark.parametrize("fit", ["contain", "cover", "stretch", "pad"])
@pytest.mark.parametrize("format_name", ["jpeg", "png", "webp", "avif"])
def test_fits_and_formats(fit: Fit, format_name: Format, tmp_path: Path) -> None:
    preset = Preset("p", 80, 80, fit=fit, format=format_name, background="#00ff00")
    image = thumb(encoded(corner(), "PNG"), tmp_path, preset)
    assert (image.format or "").lower() == format_name
    assert image.size == ((80, 40) if fit == "contain" else (80, 80))
    red, green, blue = image.convert("RGB").getpixel((4, 4))  # type: ignore[misc]
    assert (green > 200 > 50 > red) if fit == "pad" else (red > 200 > 50 > max(green, blue))


def test_thumbnails_are_progressive_jpegs_unless_told(tmp_path: Path) -> None:
    presets = (Preset("p", 90, 90), Preset("b", 90, 90, progressive=False), Preset("low", 90, 90, quality=20))
    written = rendered(PHOTO, tmp_path, *presets)[1]
    assert [("progressive" in Image.open(io.BytesIO(written[name])).info) for name in "pb"] == [True, False]
    assert len(written["low"]) < len(written["p"])


def test_alpha_lies_on_the_background_and_leaves_no_dark_fringes(tmp_path: Path) -> None:
    image = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    image.paste((255, 255, 255, 255), (0, 0, 200, 400))
    data = encoded(image, "PNG")
    pixels = np.asarray(thumb(data, tmp_path, Preset("p", 50, 50, quality=100)))
    assert pixels.min() >= 250, "white on white shows an edge"
    red = np.asarray(thumb(data, tmp_path, Preset("p", 50, 50, background="#ff0000")))
    assert red[25, 45].tolist() == pytest.approx([254, 0, 0], abs=3)


def test_grey_stays_grey(tmp_path: Path) -> None:
    assert thumb(encoded(noise(300, 200).convert("L"), "JPEG"), tmp_path, Preset("p", 90, 90)).mode == "L"


def test_only_the_first_frame_of_an_animation_is_shown(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (90, 60), name) for name in ("red", "blue", "green")]
    for plugin in ("GIF", "PNG", "WEBP", "AVIF"):
        data = encoded(frames[0], plugin, save_all=True, append_images=frames[1:], duration=50)
        red, _, blue = thumb(data, tmp_path).convert("RGB").getpixel((5, 5))  # type: ignore[misc]
        assert red > 200 > 50 > blue, plugin


@pytest.mark.parametrize("goal", ["srgb", "p3", "keep"])
@pytest.mark.parametrize("format_name", ["jpeg", "png", "webp", "avif"])
def test_colours_are_shown_right_in_every_space(goal: Colorspace, format_name: Format, tmp_path: Path) -> None:
    data = encoded(Image.new("RGB", (90, 90), (60, 180, 90)), "PNG", icc_profile=colour.display_p3())
    image = thumb(data, tmp_path, Preset("p", 60, 60, format=format_name, colorspace=goal, quality=95))
    carried = image.info.get("icc_profile")
    assert (carried is None) == (goal == "srgb")
    shown, _, _ = colour.convert(image.convert("RGB"), carried)
    expected, _, _ = colour.convert(Image.new("RGB", (1, 1), (60, 180, 90)), colour.display_p3())
    assert shown.getpixel((30, 30)) == pytest.approx(expected.getpixel((0, 0)), abs=6)
    assert shown.getpixel((30, 30)) != pytest.approx((60, 180, 90), abs=6), "the profile was ignored"


def test_the_p3_profile_is_p3() -> None:
    white, _, _ = colour.convert(Image.new("RGB", (1, 1), "white"), colour.display_p3())
    assert white.getpixel((0, 0)) == (255, 255, 255)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(colour.display_p3()))
    assert ImageCms.getProfileDescription(profile).strip() == "Display P3"


@pytest.mark.parametrize("profile", [b"no profile at all", colour.display_p3()[:300], bytes(9000)])
def test_a_broken_profile_is_noted_and_left_out(profile: bytes, tmp_path: Path) -> None:
    result, written = rendered(encoded(corner(), "JPEG", icc_profile=profile), tmp_path, Preset("p", 60, 60))
    assert result.notes == ("icc_ignored",)
    assert profile[:20] not in written["p"]


def test_a_profile_of_another_colour_model_is_left_out(tmp_path: Path) -> None:
    data = encoded(corner().convert("L"), "JPEG", icc_profile=colour.display_p3())
    assert rendered(data, tmp_path, Preset("p", 60, 60))[0].notes == ("icc_ignored",)


def test_attention_finds_where_something_happens(tmp_path: Path) -> None:
    image = Image.new("RGB", (600, 200), "grey")
    image.paste(noise(150, 200), (430, 0))
    square = Preset("p", 100, 100, fit="cover", gravity="attention", format="png")
    assert np.asarray(thumb(encoded(image, "PNG"), tmp_path, square)).std() > 20
    centred = Preset("p", 100, 100, fit="cover", format="png")
    assert np.asarray(thumb(encoded(image, "PNG"), tmp_path, centred)).std() < 1


def test_both_resizers_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    if resize.simd is None:
        pytest.skip("the extra 'fast' is not installed")
    for mode in ("L", "RGB", "RGBA", "CMYK"):
        image = noise(403, 301, 4).convert("RGBA").reduce(3).resize((403, 301)).convert(mode)
        fast = resize.scale(image, (90, 70), (10.5, 3.25, 390.0, 300.0))
        with monkeypatch.context() as patch:
            patch.setattr(resize, "simd", None)
            slow = resize.scale(image, (90, 70), (10.5, 3.25, 390.0, 300.0))
        assert (fast.size, fast.mode) == (slow.size, slow.mode)
        assert np.abs(np.asarray(fast).astype(int) - np.asarray(slow)).mean() < 1


def test_two_threads_give_what_one_gives(tmp_path: Path) -> None:
    results: list[dict[str, bytes]] = []

    def work(folder: Path) -> None:
        folder.mkdir()
        results.append(rendered(PHOTO, folder, *MORE)[1])

    threads = [threading.Thread(target=work, args=(tmp_path / str(at),)) for at in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("format_name", ["jpeg", "png", "webp", "avif"])
def test_half_a_rendition_is_never_taken_for_a_whole_one(format_name: Format, tmp_path: Path) -> None:
    """A full disk is an OSError with its number. Pillow itself takes a short write of a JPEG for success."""
    opened = open_image(encoded(noise(400, 300), "PNG"), Limits())
    file = (tmp_path / "x").open("w+b")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
        with pytest.raises(OSError) as caught:
            render(opened, Plan((Preset("p", 300, 300, format=format_name),)), ["p"], lambda _: file)
        assert caught.value.errno == 27  # EFBIG
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
        os.truncate(tmp_path / "x", 0)
        file.close()


def test_what_a_format_cannot_carry_is_said(tmp_path: Path) -> None:
    data = encoded(Image.new("L", (17_000, 4)), "PNG")
    with pytest.raises(SourceError, match="16383") as caught:
        rendered(data, tmp_path, Preset("p", 20_000, 20_000, format="webp"))
    assert caught.value.reason is Reason.UNSUPPORTED
    result, written = rendered(data, tmp_path, optimize=OptimizeSpec(format="webp"))
    assert (result.outputs[0].note, written) == ("kept", {})


def test_stages_are_told_once_each(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    opened = open_image(PHOTO, Limits())
    with (tmp_path / "x").open("w+b") as file:
        render(opened, Plan((Preset("p", 60, 60),)), ["p"], lambda _: file, lambda *stage: told.append(stage))
    assert [name for name, _ in told] == ["decode", "resize", "encode"]
    assert all(seconds >= 0 for _, seconds in told)
