"""HEIC, JPEG XL and camera RAW, by the extras that decode them. Without these installed the tests are skipped."""

from __future__ import annotations

import io
from ctypes import c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging import Limits, Plan, formats, native, open_image, peak
from hotfolder.imaging.colour.profiles import display_p3
from hotfolder.imaging.formats.values import Samples
from hotfolder.presets import OPTIMIZED, OptimizeSpec, Preset
from tests.unit.imaging import THUMB, corner, encoded, noise, rendered, thumb
from tests.unit.rawfile import dng

PLUGINS = {"heif": "HEIF", "jxl": "JXL"}


def need(extra: str) -> None:
    if not formats.of(extra).is_installed:
        pytest.skip(f"the extra '{extra}' is not installed (requirements-extras.lock)")


def written(kind: str, image: Image.Image, **options: Any) -> bytes:
    need(kind)
    if kind == "heif":
        import pillow_heif

        pillow_heif.register_heif_opener()
    else:
        import pillow_jxl  # noqa: F401 - registers itself
    return encoded(image, PLUGINS[kind], **options)


def red_corner(image: Image.Image) -> str:
    """Which corner of the picture of `corner()` is red: top or low, left or right."""
    image = image.convert("RGB")
    right, low = image.width - 4, image.height - 4
    places = {"top left": (3, 3), "top right": (right, 3), "low left": (3, low), "low right": (right, low)}
    found = [name for name, at in places.items() if image.getpixel(at)[0] > 150]  # type: ignore[index]
    assert len(found) == 1, found
    return found[0]


def elsewhere(image: Image.Image) -> tuple[int, int, int]:
    """The colour that most of the picture has, which is not that of the red corner."""
    colours = np.asarray(image.convert("RGB").resize((2, 2), Image.Resampling.BOX)).reshape(4, 3)
    red, green, blue = min(colours.tolist(), key=lambda colour: colour[0])
    return (red, green, blue)


@pytest.mark.parametrize("kind", PLUGINS)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_it_is_decoded(kind: str, mode: str, tmp_path: Path) -> None:
    picture = noise(120, 80, 4).convert("RGBA").reduce(4).resize((120, 80)).convert(mode)
    data = written(kind, picture, quality=95)
    result, files = rendered(data, tmp_path, Preset("p", 120, 80, format="png"), name=b"x.JPG")
    assert (result.format, result.width, result.height, result.notes) == (kind, 120, 80, ("misnamed",))
    shown = np.asarray(Image.open(io.BytesIO(files["p"])).convert(mode)).astype(int)
    assert np.abs(shown - np.asarray(picture)).mean() < 6
    assert result.decoder.startswith({"heif": "pillow-heif ", "jxl": "pillow-jxl-plugin "}[kind])


EXPECTED = {
    1: "top left",
    2: "top right",
    3: "low right",
    4: "low left",
    5: "top left",
    6: "top right",
    7: "low right",
    8: "low left",
}


def oriented(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def jxl_of_jpeg(folder: Path, image: Image.Image, **options: Any) -> bytes:
    """A JPEG packed into JPEG XL without loss, with its EXIF and profile, as photos usually are."""
    need("jxl")
    import pillow_jxl  # noqa: F401 - registers itself

    image.save(folder / "x.jpg", quality=95, subsampling=0, **options)
    with Image.open(folder / "x.jpg") as photo:
        return encoded(photo, "JXL", lossless_jpeg=True)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_heic_becomes_upright(orientation: int, tmp_path: Path) -> None:
    image = thumb(written("heif", corner(), exif=oriented(orientation), quality=95), tmp_path)
    assert (image.size, red_corner(image)) == ((60, 30) if orientation < 5 else (30, 60), EXPECTED[orientation])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_a_packed_jpeg_becomes_upright(orientation: int, tmp_path: Path) -> None:
    image = thumb(jxl_of_jpeg(tmp_path, corner(), exif=oriented(orientation)), tmp_path)
    assert (image.size, red_corner(image)) == ((60, 30) if orientation < 5 else (30, 60), EXPECTED[orientation])


def test_jpeg_xl_is_turned_by_its_own_orientation_not_by_exif(tmp_path: Path) -> None:
    """ISO/IEC 18181-2: the codestream's counts; here that says upright."""
    image = thumb(written("jxl", corner(), exif=oriented(6), quality=95), tmp_path)
    assert (image.size, red_corner(image)) == ((60, 30), "top left")


def test_profiles_of_heic_are_respected(tmp_path: Path) -> None:
    data = written("heif", Image.new("RGB", (64, 64), (60, 180, 90)), icc_profile=display_p3(), quality=100)
    assert thumb(data, tmp_path).getpixel((9, 9)) == pytest.approx((0, 183, 81), abs=4)


def test_profiles_of_jpeg_xl_are_respected(tmp_path: Path) -> None:
    data = jxl_of_jpeg(tmp_path, Image.new("RGB", (64, 64), (60, 180, 90)), icc_profile=display_p3())
    assert thumb(data, tmp_path).getpixel((9, 9)) == pytest.approx((0, 183, 81), abs=4)


def test_heic_says_its_primaries_without_a_profile(tmp_path: Path) -> None:
    data = written(
        "heif",
        Image.new("RGB", (64, 64), (60, 180, 90)),
        quality=100,
        color_primaries=12,
        transfer_characteristics=13,
        matrix_coefficients=6,
        full_range_flag=1,
    )
    assert thumb(data, tmp_path).getpixel((9, 9)) == pytest.approx((0, 183, 81), abs=4)


def test_jpeg_xl_claims_are_checked_before_it_is_decoded() -> None:
    for width, height in ((640, 480), (8, 256), (1000, 1000), (77, 5000)):
        data = written("jxl", Image.new("L", (width, height)))
        assert list(formats.of("jxl").claimed(data)) == [(width, height)]
    claim = b"\xff\x0a" + (0 | 3 << 1 | (59_999 << 3) | 1 << 33).to_bytes(10, "little")
    with pytest.raises(SourceError) as caught:
        open_image(claim, Limits())
    assert caught.value.reason is Reason.TOO_MANY_PIXELS


@pytest.mark.parametrize("kind", PLUGINS)
def test_it_is_kept_or_converted_by_the_optimized_copy(kind: str, tmp_path: Path) -> None:
    data = written(kind, noise(120, 80), quality=90)
    assert rendered(data, tmp_path, optimize=OptimizeSpec())[0].outputs[0].note == "kept"
    _, files = rendered(data, tmp_path, optimize=OptimizeSpec(format="jpeg"))
    assert Image.open(io.BytesIO(files[OPTIMIZED])).size == (120, 80)


@pytest.mark.parametrize("kind", PLUGINS)
def test_what_is_cut_off_is_a_failure_with_its_decoder(kind: str, tmp_path: Path) -> None:
    data = written(kind, noise(120, 80), quality=90)
    for length in (40, len(data) // 2, len(data) - 100):
        with pytest.raises(SourceError) as caught:
            rendered(data[:length], tmp_path, THUMB)
        assert caught.value.reason in (Reason.TRUNCATED, Reason.DAMAGED)
        assert (caught.value.decoder or "").startswith("pillow-")


@pytest.mark.parametrize("kind", PLUGINS)
def test_too_many_pixels_are_refused(kind: str) -> None:
    with pytest.raises(SourceError, match=r"limits\.max_pixels") as caught:
        open_image(written(kind, noise(120, 80)), Limits(max_pixels=9000))
    assert caught.value.reason is Reason.TOO_MANY_PIXELS


def jpeg_preview(width: int, height: int, **options: Any) -> bytes:
    return encoded(corner(width, height), "JPEG", quality=92, **options)


@pytest.mark.parametrize(
    ("orientation", "expected"), [(1, "top left"), (3, "low right"), (6, "top right"), (8, "low left")]
)
def test_a_raw_without_preview_is_developed_upright(orientation: int, expected: str, tmp_path: Path) -> None:
    need("raw")
    data = dng(orientation=orientation)
    result, files = rendered(data, tmp_path, THUMB, name=b"DSC_1.DNG")
    assert (result.format, (result.width, result.height)) == ("raw", (256, 128) if orientation < 5 else (128, 256))
    image = Image.open(io.BytesIO(files["thumb"]))
    assert red_corner(image) == expected
    green = elsewhere(image)
    assert green[1] > 150 > green[2], "what is green to the sensor is developed, not taken from a preview"


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_large_preview_stands_for_the_raw(orientation: int, tmp_path: Path) -> None:
    need("raw")
    data = dng(orientation=orientation, preview=jpeg_preview(256, 128), preview_size=(256, 128))
    image = thumb(data, tmp_path, name=b"x.dng")
    assert red_corner(image) == {1: "top left", 3: "low right", 6: "top right", 8: "low left"}[orientation]
    assert elsewhere(image)[2] > 150, "the preview is blue where the sensor is green"


def test_a_preview_that_is_upright_already_is_not_turned(tmp_path: Path) -> None:
    need("raw")
    upright = corner(256, 128).transpose(Image.Transpose.ROTATE_270)
    data = dng(orientation=6, preview=encoded(upright, "JPEG", quality=92), preview_size=(128, 256))
    assert red_corner(thumb(data, tmp_path, name=b"x.dng")) == "top right"


def test_a_small_preview_is_not_taken(tmp_path: Path) -> None:
    need("raw")
    data = dng(preview=jpeg_preview(64, 32), preview_size=(64, 32))
    result, files = rendered(data, tmp_path, THUMB, name=b"x.dng")
    assert (result.width, result.height) == (256, 128)
    pixel = elsewhere(Image.open(io.BytesIO(files["thumb"])))
    assert pixel[1] > 150 > pixel[2]


def test_a_raw_is_known_by_its_content_and_never_copied(tmp_path: Path) -> None:
    need("raw")
    result, _ = rendered(dng(), tmp_path, THUMB, name=b"x.tif", optimize=OptimizeSpec())
    assert (result.format, result.notes, result.outputs[-1].note) == ("raw", ("misnamed",), "kept")


def test_a_raw_is_opened_without_developing_it() -> None:
    need("raw")
    opened = open_image(dng(width=2000, height=1500), Limits(), b"x.dng")
    assert opened.size == (2000, 1500)
    assert peak(opened, Plan((THUMB,)), ()) > 2000 * 1500 * 12


def test_what_is_no_raw_is_damaged(tmp_path: Path) -> None:
    need("raw")
    with pytest.raises(SourceError) as caught:
        rendered(dng()[:300], tmp_path, THUMB, name=b"x.dng")
    assert caught.value.reason in (Reason.DAMAGED, Reason.TRUNCATED)


def heic_of(size: tuple[int, int], **options: Any) -> bytes:
    soft = noise(8, 8, 3).resize(size, Image.Resampling.BICUBIC)
    return written("heif", soft, **{"quality": 90, "matrix_coefficients": 6} | options)


@pytest.mark.parametrize("size", [(640, 480), (641, 479), (130, 250)])
@pytest.mark.parametrize("options", [{}, {"full_range_flag": 0}, {"matrix_coefficients": 1}], ids=str)
def test_heic_stays_planes(size: tuple[int, int], options: dict[str, Any], tmp_path: Path) -> None:
    if native.core is None:
        pytest.skip("without the core Pillow serves")
    data = heic_of(size, **options)
    for scale in (1, 2):
        opened = open_image(data, Limits())
        planes = native.read(opened, scale)
        assert planes is not None
        small = (size[0] // 4, size[1] // 4)
        ours = np.asarray(planes.scaled(small, halved=False).image(), float)
        theirs = np.asarray(opened.image.resize(small, Image.Resampling.LANCZOS), float)
        assert np.abs(ours - theirs).mean() < 1.5


def test_heic_that_is_no_simple_planes_is_left_to_pillow() -> None:
    see_through = noise(64, 64, 4).convert("RGBA")
    see_through.putalpha(128)
    others = [
        written("heif", see_through, quality=90),
        heic_of((64, 64), chroma=444),
        written("heif", noise(64, 64, 4).convert("L"), quality=90),
    ]
    for data in others:
        assert native.read(open_image(data, Limits()), 1) is None
    cut = heic_of((640, 480))
    cut = cut[: len(cut) * 2 // 3]
    opened = open_image(cut, Limits())
    assert native.read(opened, 1) is None
    with pytest.raises(ValueError, match="Unexpected end of file"):
        opened.image.load()


def test_what_libheif_holds_is_given_back() -> None:
    need("heif")
    from hotfolder.imaging.formats import heifplanes

    given: list[str] = []

    class Library:
        def __getattr__(self, name: str) -> Any:
            return lambda pointer: given.append(name)

    held = heifplanes._Held(Library())
    for name in ("first", "second"):
        held.hold(c_void_p(1), name)
    samples = Samples((bytearray(), bytearray(), bytearray()), (0, 0), (0, 0, 0), False, 1, held)
    del held
    assert given == []
    del samples
    assert given == ["second", "first"]


@pytest.mark.parametrize(
    ("matrix", "full_range", "found"), [(6, 1, True), (5, 0, False), (2, 0, False), (1, 1, None), (9, 0, None)]
)
def test_which_colours_libheif_says_that_it_hands_over(matrix: int, full_range: int, found: bool | None) -> None:
    """Those of today bring all to full range and BT.601 by themselves; what another says is believed."""
    from hotfolder.imaging.formats import heifplanes

    freed: list[Any] = []

    class Library:
        heif_nclx_color_profile_free = staticmethod(freed.append)

        @staticmethod
        def heif_image_get_nclx_color_profile(image: Any, out: Any) -> Any:
            out._obj.contents = heifplanes._Nclx(1, 1, 13, matrix, full_range)
            return heifplanes._Error()

    assert heifplanes._is_full_range(Library(), c_void_p()) is found
    assert len(freed) == 1
