"""What a picture will take is told from its header alone, before anything is decoded."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFile

from hotfolder.imaging import PHOTO_PIXELS, Limits, Opened, Plan, native, open_image, peak, photo_peak
from hotfolder.presets import BUILT_IN, OPTIMIZED, OptimizeSpec
from tests.unit.imaging import encoded, noise

MEGAPIXELS = 0.24
THUMBS, FULL = Plan(()), Plan((), OptimizeSpec())


def opened(format_name: str, mode: str = "RGB", **options: Any) -> Opened:
    return open_image(encoded(noise(600, 400).convert(mode), format_name, **options), Limits())


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "TGA"])
def test_opening_decodes_nothing(format_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(noise(600, 400), format_name)

    def load(image: ImageFile.ImageFile) -> None:
        raise AssertionError("decoded before anything was reserved for it")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    name = b"a." + format_name.lower().encode()
    found = open_image(data, Limits(), name)
    assert found.size == (600, 400)
    assert peak(found, THUMBS, ()) > 0


def test_exif_behind_the_picture_of_a_png_turns_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(noise(60, 40), "PNG", exif=exif)
    at = data.index(b"eXIf") - 4
    chunk = data[at : at + 12 + int.from_bytes(data[at : at + 4], "big")]
    end = len(data) - 12
    late = data[:at] + data[at + len(chunk) : end] + chunk + data[end:]
    assert Image.open(io.BytesIO(late)).info.get("exif") is None
    assert open_image(late, Limits()).size == (40, 60)


def test_a_progressive_jpeg_is_kept_as_coefficients_at_any_scale() -> None:
    plan = Plan((BUILT_IN["small"],))
    plain = peak(opened("JPEG", subsampling=0), plan, plan.names())
    for subsampling, samples in ((0, 3), (2, 1.5)):
        more = peak(opened("JPEG", progressive=True, subsampling=subsampling), plan, plan.names()) - plain
        assert more >= 2 * samples * MEGAPIXELS * 1e6 * 0.9
        assert more <= 2 * samples * MEGAPIXELS * 1e6 * 1.2


def test_a_scan_for_each_component_is_kept_as_coefficients_too(tmp_path: Path) -> None:
    benchmarks = Path(__file__).parents[2] / "benchmarks"
    for kind in ("4:4:4", "4:4:4 scans"):
        command = [sys.executable, str(benchmarks / "generated.py"), f"jpeg {kind}", str(tmp_path / f"{kind}.jpg"), "1"]
        subprocess.run(command, check=True)
    plan = Plan((BUILT_IN["small"],))
    one, many = (
        peak(open_image((tmp_path / f"{kind}.jpg").read_bytes(), Limits()), plan, plan.names())
        for kind in ("4:4:4", "4:4:4 scans")
    )
    assert many - one > 6e6 * 0.9


@pytest.mark.skipif(native.core is None, reason="needs the core")
def test_what_stays_planes_reserves_less_and_what_may_not_does_not() -> None:
    data = encoded(noise(1200, 800), "JPEG")
    copy = Plan((), OptimizeSpec())

    def need(data: bytes, plan: Plan = copy, *, lenient: bool = False) -> int:
        return peak(open_image(data, Limits(lenient=lenient)), plan, [OPTIMIZED])

    planes = need(data)
    assert need(data, lenient=True) > planes
    assert need(data[:-2]) > planes
    assert need(data, Plan((), OptimizeSpec(sharpen=0.5))) > planes
    assert need(data, Plan((), OptimizeSpec(format="webp"))) > planes
    odd = bytearray(data)
    odd[data.index(b"\xff\xc0") + 11] = 0x41  # brightness sampled 4×1: Pillow decodes it
    assert need(bytes(odd)) > planes


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP"])
def test_a_photo_of_50_megapixels_takes_no_more_than_is_said(format_name: str, copied: bool) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    options = {"exif": turned} if format_name not in ("GIF", "BMP") else {}
    small = open_image(encoded(noise(1000, 500), format_name, **options), Limits())
    plan = Plan(tuple(BUILT_IN.values()), OptimizeSpec() if copied else None)
    fixed = 10_000_000
    need = (peak(small, plan, plan.names()) - fixed) * PHOTO_PIXELS / 500_000 + PHOTO_PIXELS
    assert need < photo_peak(plan, [small.format])


def test_what_costs_more_reserves_more() -> None:
    photo = opened("JPEG")
    assert peak(photo, FULL, [OPTIMIZED]) > peak(photo, FULL, ())
    avif = Plan((), OptimizeSpec(format="avif"))
    assert peak(photo, avif, [OPTIMIZED]) > 3 * peak(photo, FULL, [OPTIMIZED]) - 30_000_000
    alpha = opened("PNG", "RGBA")
    webp = Plan((), OptimizeSpec(format="webp"))
    assert peak(alpha, webp, [OPTIMIZED]) > peak(opened("PNG"), webp, [OPTIMIZED])
    turned = Image.Exif()
    turned[0x0112] = 6
    assert peak(opened("JPEG", exif=turned), FULL, [OPTIMIZED]) > peak(photo, FULL, [OPTIMIZED])
