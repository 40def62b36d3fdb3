from __future__ import annotations

import io
import tempfile
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from hotfolder import imaging
from hotfolder.errors import MissingExtra, Reason, SourceError
from hotfolder.imaging import formats
from hotfolder.imaging.plan import Plan
from hotfolder.presets import BUILT_IN, OPTIMIZED, OptimizeSpec, Preset
from tests.helpers import jpeg, picture

PLAN = Plan(tuple(BUILT_IN.values()), OptimizeSpec())
LIMITS = imaging.Limits()


def render(data: bytes, plan: Plan = PLAN, wanted: tuple[str, ...] | None = None) -> dict[str, bytes]:
    files: dict[str, BinaryIO] = {}

    def create(name: str) -> BinaryIO:
        files[name] = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed below
        return files[name]

    imaging.render(imaging.open_image(data, LIMITS), plan, wanted or plan.names(), create)
    found = {}
    for name, file in files.items():
        file.seek(0)
        found[name] = file.read()
        file.close()
    return found


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@settings(max_examples=15, deadline=None)
@given(
    st.sets(st.sampled_from([*BUILT_IN, OPTIMIZED]), min_size=1),
    st.tuples(st.integers(20, 1900), st.integers(20, 1500)),
    st.booleans(),
)
def test_bytes_never_depend_on_what_else_is_made(wanted: set[str], size: tuple[int, int], copies: bool) -> None:
    plan = Plan(tuple(BUILT_IN.values()), OptimizeSpec() if copies else None)
    chosen = tuple(wanted & set(plan.names())) or ("small",)
    data = jpeg(*size)
    everything = render(data, plan)
    for name, content in render(data, plan, chosen).items():
        assert content == everything[name], name


def test_plan_round_trip_and_order() -> None:
    turned = Plan(tuple(reversed(PLAN.presets)), PLAN.optimize)
    assert turned.signature == PLAN.signature
    assert Plan.from_json(PLAN.to_json()) == PLAN


@given(st.tuples(st.integers(1, 40_000), st.integers(1, 40_000)))
@settings(deadline=None)
def test_plan_for_any_size(size: tuple[int, int]) -> None:
    made = set()
    for step in PLAN.steps(size):
        assert step.parent is None or step.parent in made
        assert min(*step.size, *step.canvas) >= 1
        if step.preset.fit == "contain":
            assert step.size[0] <= min(step.preset.width, size[0])
            assert step.size[1] <= min(step.preset.height, size[1])
        else:
            assert step.canvas == (step.preset.width, step.preset.height)
        made.add(step.preset.name)
    assert made == set(BUILT_IN)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_told_no_more(orientation: int) -> None:
    upright = Image.new("RGB", (300, 200), "white")
    upright.paste((200, 0, 0), (0, 0, 60, 60))  # red in the upper left corner
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that the camera "did"
    lying = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name, content in render(encoded(lying, "JPEG", quality=95, exif=exif)).items():
        if name in ("square", "banner"):
            continue
        with opened(content) as image:
            assert image.width > image.height, name
            assert image.getexif().get(0x0112, 1) == 1
            red, green, _ = image.convert("RGB").getpixel((4, 4))  # type: ignore[misc]
            assert red > 150 > green, name


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"just some words", Reason.NOT_AN_IMAGE),
        (bytes(200), Reason.NOT_AN_IMAGE),
        (b"%PDF-1.7 ...", Reason.UNSUPPORTED),
        (b"8BPS" + bytes(50), Reason.UNSUPPORTED),
        (jpeg()[:2000], Reason.TRUNCATED),
        (b"\xff\xd8\xff\xe0" + bytes(300), Reason.DAMAGED),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), Reason.DAMAGED),
    ],
)
def test_reasons(data: bytes, reason: Reason) -> None:
    with pytest.raises(SourceError) as caught:
        render(data)
    assert caught.value.reason is reason


def test_missing_extra_names_it() -> None:
    if formats.of("jxl").is_installed:
        pytest.skip("the extra is installed")
    with pytest.raises(MissingExtra, match=r"hotfolder\[jxl\]"):
        imaging.open_image(b"\x00\x00\x00\x0cJXL " + bytes(50), LIMITS)


def test_pixels_are_bounded_by_the_header_alone() -> None:
    header = encoded(Image.new("1", (1, 1)), "PNG")
    huge = header[:16] + (65_535).to_bytes(4, "big") * 2 + header[24:]
    with pytest.raises(SourceError) as caught:
        imaging.open_image(huge, LIMITS)
    assert caught.value.reason in (Reason.TOO_MANY_PIXELS, Reason.DAMAGED)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"]))
def test_damaged_bytes_end_in_a_reason(seed: int, changes: int, kind: str) -> None:
    import random

    chance = random.Random(seed)
    data = bytearray(encoded(picture(40, 30), kind))
    for _ in range(changes):
        data[chance.randrange(len(data))] = chance.randrange(256)
    try:
        render(bytes(data), Plan((BUILT_IN["small"],)))
    except (SourceError, MissingExtra) as error:
        assert str(error)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_becomes_a_thumbnail(mode: str) -> None:
    if mode == "I;16":
        image = Image.new("I;16", (64, 64), 0xFFFF)
    else:
        image = picture(64, 64).convert("L" if mode in ("I", "F") else "RGB").convert(mode)
    kind = {"CMYK": "TIFF", "F": "TIFF", "I": "TIFF"}.get(mode, "PNG")
    found = render(encoded(image, kind), Plan((BUILT_IN["small"],)))
    with opened(found["small"]) as made:
        assert made.mode in ("L", "RGB")
        if mode == "I;16":
            assert made.convert("L").getpixel((9, 9)) == 255  # scaled, not clipped to nothing


def test_alpha_is_flattened_on_the_background() -> None:
    clear = encoded(Image.new("RGBA", (50, 50), (0, 0, 0, 0)), "PNG")
    red = Preset("x", 20, 20, suffix="_x", background="#ff0000")
    with opened(render(clear, Plan((red,)))["x"]) as image:
        r, g, _ = image.convert("RGB").getpixel((10, 10))  # type: ignore[misc]
        assert r > 240 > 20 > g


def test_profiles_are_converted_for_thumbnails_and_kept_in_copies() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    found = render(encoded(picture(600, 400), "JPEG", icc_profile=profile))  # of another colour model: ignored
    with opened(found["small"]) as image:
        assert "icc_profile" not in image.info


def test_optimized_copy_is_never_larger_and_carries_no_secrets() -> None:
    exif = Image.Exif()
    exif[0x010F] = "CameraMaker"
    exif[0x8298] = "Copyright Somebody"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[29] = "SECRET-GPS-DATE"
    exif.get_ifd(0x8769)[0xA431] = "SECRET-SERIAL"
    xmp = b"<x:xmpmeta>SECRET-XMP</x:xmpmeta>"
    for quality in (40, 95):  # re-encoded, and kept with rewritten metadata
        data = encoded(picture(700, 500), "JPEG", quality=quality, exif=exif, xmp=xmp, comment=b"SECRET-COMMENT")
        assert data.count(b"SECRET") == 4
        copy = render(data)[OPTIMIZED]
        assert len(copy) <= len(data)
        assert b"SECRET" not in copy
        assert b"Copyright Somebody" in copy
        assert b"CameraMaker" in copy
    small = encoded(picture(700, 500), "JPEG", quality=30, progressive=True)  # nothing to gain by encoding again
    with opened(render(small)[OPTIMIZED]) as kept, opened(small) as source:
        assert kept.tobytes() == source.tobytes()  # its own scans


def test_formats_that_cannot_be_written_are_kept() -> None:
    bmp = encoded(picture(), "BMP")
    found = render(bmp)
    assert OPTIMIZED not in found
    assert set(found) == set(BUILT_IN)


def test_only_listed_decoders_can_be_reached() -> None:
    allowed = {plugin for each in formats.known() for plugin in each.plugins}
    assert not allowed & {"EPS", "PDF", "WMF", "MIC", "FPX", "PSD", "SVG", "IPTC", "FITS"}
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    with pytest.raises(SourceError) as caught:
        imaging.open_image(eps, LIMITS, b"x.jpg")
    assert caught.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif"])
def test_thumbnails_carry_no_metadata(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SECRET-MAKER"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(picture(), "JPEG", exif=exif, comment=b"SECRET", xmp=b"SECRET", icc_profile=profile)
    preset = Preset("x", 99, 99, suffix="_x", format=kind)
    made = render(data, Plan((preset,)))["x"]
    assert b"SECRET" not in made
    with opened(made) as image:
        assert not image.info.get("icc_profile")
