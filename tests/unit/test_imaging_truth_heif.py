"""Pictures of known truth in ISO boxes: whatever their properties say, what is shown is what was meant, as PNG and as
the JPEG that users get.

AVIF and HEIC alike: AVIF of planes that `avifenc` takes as they are, HEIC by the extra that decodes it. The truth is
computed here; it comes from no decoder.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from likeness import difference, ssim
from PIL import Image, ImageFilter

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging import formats
from hotfolder.imaging.colour.profiles import display_p3
from hotfolder.presets import Preset
from tests.unit import heifs
from tests.unit.heifs import Part, Samples, Signal
from tests.unit.imaging import rendered, scene

SIZE = (96, 64)
KINDS = ("avif", "heif")
EXACT = Preset("exact", 400, 400, format="png")
LOSSY = Preset("lossy", 400, 400, format="jpeg", quality=95)
LIKENESS, DIFFERENCE = 0.98, 2.0
PLAIN = Signal()


@cache
def picture(size: tuple[int, int] = SIZE) -> Samples:
    """Red, green and blue of sRGB from 0 to 1: shapes, no two parts of it alike."""
    image = scene(9, *size).filter(ImageFilter.GaussianBlur(1))
    image.paste((220, 30, 40), (4, 4, size[0] // 4, size[1] // 4))
    return heifs.levels(image.filter(ImageFilter.GaussianBlur(0.8)))


def need(kind: str) -> None:
    if kind == "avif" and shutil.which("avifenc") is None:
        pytest.skip("no avifenc (Debian: libavif-bin)")
    if not formats.of(kind).is_installed:
        pytest.skip(f"the extra '{kind}' is not installed (requirements-extras.lock)")


def coded(kind: str, folder: Path, codes: Samples, signal: Signal = PLAIN) -> Part:
    """An item of these codes that says nothing of its colours."""
    need(kind)
    file = heifs.avif(folder, codes, signal) if kind == "avif" else heifs.hevc(codes, signal)
    return heifs.without(heifs.coded(file), b"colr")


def eight(codes: Samples) -> Samples:
    found: Samples = np.rint(np.clip(codes, 0, 1) * 255).astype(np.uint8)
    return found


def assert_true(data: bytes, meant: Samples, folder: Path, name: bytes = b"") -> None:
    """Of the same size, likeness and colour, in each of the formats that are written in different ways."""
    for number, preset in enumerate((EXACT, LOSSY)):
        place = folder / f"{number}"
        place.mkdir()
        result, files = rendered(data, place, preset, name=name)
        shown = Image.open(io.BytesIO(files[preset.name]))
        high, wide = meant.shape[:2]
        assert (result.width, result.height, *shown.size) == (wide, high, wide, high), preset.name
        flat = Image.new("RGBA", shown.size, "white")
        flat.alpha_composite(shown.convert("RGBA"))
        found, truth = np.asarray(flat.convert("RGB")), eight(meant)
        how = (round(ssim(found, truth), 4), round(difference(found, truth), 2))
        assert how[0] >= LIKENESS, (preset.name, how)
        assert how[1] < DIFFERENCE, (preset.name, how)


# --- turned, mirrored, cropped


def turned(codes: Samples, quarters: int) -> Samples:
    return np.rot90(codes, quarters)


def mirrored(codes: Samples, axis: int) -> Samples:
    found: Samples = codes[:, ::-1] if axis else codes[::-1]
    return found


def cropped(codes: Samples, left: int, top: int, wide: int, high: int) -> Samples:
    return codes[top : top + high, left : left + wide]


Step = tuple[str, tuple[int, ...]]
STEPS: list[tuple[Step, ...]] = [
    *((("irot", (n,)),) for n in range(4)),
    *((("imir", (n,)),) for n in range(2)),
    *((("irot", (n,)), ("imir", (axis,))) for n in range(1, 4) for axis in range(2)),
    *((("imir", (axis,)), ("irot", (n,))) for n in range(1, 4) for axis in range(2)),
    (("clap", (10, 4, 70, 50)),),
    (("clap", (11, 5, 69, 51)),),
    (("clap", (0, 0, 95, 63)),),
    (("clap", (11, 5, 70, 41)), ("irot", (1,))),
    (("clap", (11, 5, 70, 41)), ("imir", (1,))),
    (("clap", (11, 5, 70, 41)), ("irot", (3,)), ("imir", (0,))),
    (("irot", (1,)), ("clap", (5, 11, 41, 70))),
    (("imir", (1,)), ("clap", (11, 5, 70, 41))),
    (("imir", (0,)), ("irot", (1,)), ("clap", (5, 11, 41, 70))),
    (("clap", (11, 5, 80, 50)), ("irot", (1,)), ("clap", (5, 11, 41, 60))),
]
MAKERS: dict[str, Callable[..., bytes]] = {
    "irot": lambda quarters, _: heifs.irot(quarters),
    "imir": lambda axis, _: heifs.imir(axis),
    "clap": heifs.clap_at,
}
MOVES: dict[str, Callable[..., Samples]] = {"irot": turned, "imir": mirrored, "clap": cropped}


def moved(codes: Samples, steps: tuple[Step, ...]) -> tuple[list[bytes], Samples]:
    """The properties that say so, in their order, and the picture that is meant."""
    said = []
    for kind, how in steps:
        size = (codes.shape[1], codes.shape[0])
        said.append(MAKERS[kind](*how, size))
        codes = MOVES[kind](codes, *how)
    return said, codes


def named(steps: tuple[Step, ...]) -> str:
    return " ".join(kind + "".join(map(str, how[:1])) for kind, how in steps)


SRGB = heifs.nclx(1, 13, 6)


@pytest.mark.parametrize("steps", STEPS, ids=named)
@pytest.mark.parametrize("kind", KINDS)
def test_what_moves_pixels_does_so_in_its_order(kind: str, steps: tuple[Step, ...], tmp_path: Path) -> None:
    part = coded(kind, tmp_path, picture())
    said, meant = moved(picture(), steps)
    assert_true(heifs.heif(part.said(SRGB, *said)), meant, tmp_path)


@pytest.mark.parametrize("exif", [3, 6, 8])
@pytest.mark.parametrize("steps", [STEPS[0][:0], STEPS[1], STEPS[4], STEPS[17]], ids=named)
@pytest.mark.parametrize("kind", KINDS)
def test_the_orientation_of_exif_turns_nothing(kind: str, steps: tuple[Step, ...], exif: int, tmp_path: Path) -> None:
    """ISO/IEC 23000-22, 7.3.6: only properties do."""
    note = Image.Exif()
    note[0x0112] = exif
    block = Part(b"Exif", bytes(4) + note.tobytes().removeprefix(b"Exif\0\0")).to(b"cdsc", 1)
    said, meant = moved(picture(), steps)
    part = coded(kind, tmp_path, picture())
    assert_true(heifs.heif(part.said(SRGB, *said), block), meant, tmp_path)


@pytest.mark.parametrize("bright", [False, True])
@pytest.mark.parametrize("aperture", [(101, 51, 0, 0, 2), (121, 81, -13, 9, 3), (141, 101, 3, 1, 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_an_aperture_between_pixels_is_within_one_of_them(
    kind: str, aperture: tuple[int, int, int, int, int], bright: bool, tmp_path: Path
) -> None:
    wide, high, x, y, by = aperture
    left, top = (SIZE[0] - wide / by) / 2 + x / by, (SIZE[1] - high / by) / 2 + y / by
    part = coded(kind, tmp_path, in_space(picture(), 9, 16) if bright else picture(), Signal(10 if bright else 8))
    data = heifs.heif(part.said(heifs.nclx(9, 16, 6) if bright else SRGB, heifs.clap(*aperture)))
    result, files = rendered(data, tmp_path, EXACT)
    assert abs(result.width - wide / by) < 1
    assert abs(result.height - high / by) < 1
    shown = np.asarray(Image.open(io.BytesIO(files["exact"])).convert("RGB"))
    near = [
        ssim(shown, eight(cropped(picture(), x, y, result.width, result.height)))
        for x in {int(left), int(left + 0.999)}
        for y in {int(top), int(top + 0.999)}
    ]
    assert max(near) > LIKENESS


# --- how it is coded


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("matrix", [0, 1, 5, 6, 9])
@pytest.mark.parametrize("chroma", ["400", "420", "422", "444"])
@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("kind", KINDS)
def test_every_way_to_code_light(kind: str, bits: int, chroma: str, matrix: int, whole: bool, tmp_path: Path) -> None:
    if matrix == 0 and (chroma != "444" or not whole):
        pytest.skip("there is no such thing")
    signal = Signal(bits, matrix, whole, chroma)
    part = coded(kind, tmp_path, picture(), signal)
    if kind == "heif" and chroma == "400":
        signal = Signal(bits, 6, whole, chroma)
    data = heifs.heif(part.said(heifs.nclx(1, 13, matrix, whole=whole)))
    assert_true(data, grey(picture(), signal.matrix) if chroma == "400" else picture(), tmp_path)


def grey(codes: Samples, matrix: int) -> Samples:
    of_red, of_blue = heifs.WEIGHTS[matrix]
    bright = codes @ [of_red, 1 - of_red - of_blue, of_blue]
    return np.repeat(bright[..., None], 3, axis=2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_size_that_is_not_the_coded_one_moves_nothing(kind: str, tmp_path: Path) -> None:
    """ISO/IEC 23008-12, 6.5.3: there is no such picture. AV1's decoder stretches it to what is stated; that of HEVC
    refuses it."""
    part = heifs.without(coded(kind, tmp_path, picture()), b"ispe")
    data = heifs.heif(part.said(heifs.ispe(2 * SIZE[0], 2 * SIZE[1]), SRGB))
    if kind == "heif":
        with pytest.raises(SourceError, match="size signaled") as caught:
            rendered(data, tmp_path, EXACT)
        assert caught.value.reason is Reason.DAMAGED
        return
    result, files = rendered(data, tmp_path, Preset("exact", *SIZE, format="png"))
    assert result.width * SIZE[1] == result.height * SIZE[0]
    shown = np.asarray(Image.open(io.BytesIO(files["exact"])).convert("RGB"))
    assert ssim(shown, eight(picture())) > LIKENESS
    assert difference(shown, eight(picture())) < DIFFERENCE


# --- what its numbers mean

WHITE = (0.3127, 0.3290)
PRIMARIES = {
    1: ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
"""Of red, green and blue (H.273, table 2), all under D65."""


def to_xyz(primaries: int) -> Samples:
    corners = np.array([(x / y, 1, (1 - x - y) / y) for x, y in (*PRIMARIES[primaries], WHITE)]).T
    whole: Samples = corners[:, :3] * np.linalg.solve(corners[:, :3], corners[:, 3])
    return whole


def light_of(codes: Samples) -> Samples:
    return np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)


def srgb(light: Samples) -> Samples:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def pq(nits: Samples) -> Samples:
    power = (nits / 10_000) ** (2610 / 16384)
    code: Samples = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    return code


def in_space(codes: Samples, primaries: int, transfer: int) -> Samples:
    """These numbers of sRGB as numbers of another space that mean the same; white is 203 cd/m² in HDR."""
    light = np.clip(light_of(codes) @ np.linalg.solve(to_xyz(primaries), to_xyz(1)).T, 0, 1)
    if transfer == 16:
        return pq(203 * light)
    if transfer == 18:
        shown = 0.203 * light
        bright = np.maximum(shown @ to_xyz(primaries)[1], 1e-9)[..., None]
        scene_light = shown * bright ** (1 / 1.2 - 1)
        a, b = 0.17883277, 1 - 4 * 0.17883277
        c = 0.5 - a * np.log(4 * a)
        bent = a * np.log(np.maximum(12 * scene_light - b, 1e-9)) + c
        code: Samples = np.where(scene_light <= 1 / 12, np.sqrt(3 * scene_light), bent)
        return code
    if transfer in (4, 5, 8):
        curved: Samples = light ** (1 / {4: 2.2, 5: 2.8, 8: 1.0}[transfer])
        return curved
    return srgb(light)  # that of television counts as that of sRGB, as browsers have it


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("transfer", [1, 4, 5, 8, 13, 16, 18])
@pytest.mark.parametrize("primaries", [1, 9, 12])
@pytest.mark.parametrize("kind", KINDS)
def test_what_code_points_declare(kind: str, primaries: int, transfer: int, bits: int, tmp_path: Path) -> None:
    if bits == 8 and transfer in (8, 16):
        pytest.skip("eight bits hold too little of it")
    part = coded(kind, tmp_path, in_space(picture(), primaries, transfer), Signal(bits))
    assert_true(heifs.heif(part.said(heifs.nclx(primaries, transfer, 6))), picture(), tmp_path)


@pytest.mark.parametrize("transfer", [16, 18])
@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("chroma", ["400", "420", "422", "444"])
@pytest.mark.parametrize("kind", KINDS)
def test_bright_ones_in_every_coding(kind: str, chroma: str, bits: int, transfer: int, tmp_path: Path) -> None:
    codes = in_space(picture() * [[0.6]], 9, transfer)
    meant = picture() * 0.6
    if chroma == "400":
        meant = np.repeat((picture() * 0.6)[..., :1], 3, axis=2)
        codes = in_space(meant, 9, transfer)
    part = coded(kind, tmp_path, codes, Signal(bits, 9 if kind == "avif" else 6, False, chroma))
    said = heifs.nclx(9, transfer, 9 if kind == "avif" else 6, whole=False)
    assert_true(heifs.heif(part.said(said)), meant, tmp_path)


@pytest.mark.parametrize("level", [0.02, 0.15, 0.3])
@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("chroma", ["400", "444"])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_dark_ones_stay_dark(kind: str, whole: bool, chroma: str, bits: int, level: float, tmp_path: Path) -> None:
    """How deep a picture is is said, not to be guessed from how bright it is."""
    meant = picture() * level
    if chroma == "400":
        meant = np.repeat(meant[..., :1], 3, axis=2)
    part = coded(kind, tmp_path, in_space(meant, 9, 16), Signal(bits, 6, whole, chroma))
    assert_true(heifs.heif(part.said(heifs.nclx(9, 16, 6, whole=whole))), meant, tmp_path)


@pytest.mark.parametrize("steps", [STEPS[1], STEPS[8], STEPS[14], STEPS[21], STEPS[22]], ids=named)
@pytest.mark.parametrize("transfer", [16, 18])
@pytest.mark.parametrize("kind", KINDS)
def test_bright_ones_are_moved_alike(kind: str, transfer: int, steps: tuple[Step, ...], tmp_path: Path) -> None:
    part = coded(kind, tmp_path, in_space(picture(), 9, transfer), Signal(10))
    said, meant = moved(picture(), steps)
    assert_true(heifs.heif(part.said(heifs.nclx(9, transfer, 6), *said)), meant, tmp_path)


@pytest.mark.parametrize("first", ["profile", "code points"])
@pytest.mark.parametrize("primaries", [1, 9])
@pytest.mark.parametrize("kind", KINDS)
def test_a_profile_goes_before_code_points(kind: str, primaries: int, first: str, tmp_path: Path) -> None:
    part = coded(kind, tmp_path, in_space(picture(), 12, 13), Signal(8, 1, False))
    both = [heifs.icc(display_p3()), heifs.nclx(primaries, 13, 1, whole=False)]
    said = both if first == "profile" else both[::-1]
    assert_true(heifs.heif(part.said(*said)), picture(), tmp_path)


# --- alpha


def disc(size: tuple[int, int] = SIZE) -> Samples:
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    away = np.hypot(x / size[0] - 0.5, y / size[1] - 0.5)
    alpha: Samples = np.clip(1.3 - 2.2 * away, 0.1, 1)
    return alpha


def on_white(codes: Samples, alpha: Samples) -> Samples:
    return codes * alpha[..., None] + 1 - alpha[..., None]


def with_alpha(
    kind: str, folder: Path, codes: Samples, *said: bytes, signal: Signal = PLAIN, multiplied: bool = False
) -> bytes:
    mask = np.repeat(disc()[..., None], 3, axis=2)
    whole = coded(kind, folder, codes * mask if multiplied else codes, signal)
    alpha = coded(kind, folder, mask, Signal(signal.bits, 6, True, "400")).said(heifs.auxc(heifs.ALPHA)).to(b"auxl", 1)
    turns = [each for each in said if each[4:8] in heifs.TURNS]
    whole = whole.said(*said).to(b"prem", 2) if multiplied else whole.said(*said)
    return heifs.heif(whole, alpha.said(*turns))


@pytest.mark.parametrize("steps", [(), STEPS[1], STEPS[14], STEPS[17]], ids=named)
@pytest.mark.parametrize("multiplied", [False, True])
@pytest.mark.parametrize("chroma", ["400", "420", "444"])
@pytest.mark.parametrize("how", ["8 bits", "10 bits", "bright"])
@pytest.mark.parametrize("kind", KINDS)
def test_alpha(kind: str, how: str, chroma: str, multiplied: bool, steps: tuple[Step, ...], tmp_path: Path) -> None:
    codes = np.repeat(picture()[..., :1], 3, axis=2) if chroma == "400" else picture()
    said, meant = moved(codes, steps)
    mask = moved(disc(), steps)[1]
    if how == "bright":
        said, codes = [heifs.nclx(9, 16, 6), *said], in_space(codes, 9, 16)
    else:
        said = [SRGB, *said]
    signal = Signal(8 if how == "8 bits" else 10, 6, True, chroma)
    data = with_alpha(kind, tmp_path, codes, *said, signal=signal, multiplied=multiplied)
    assert_true(data, on_white(meant, mask), tmp_path)
    (tmp_path / "alpha").mkdir()
    shown = Image.open(io.BytesIO(rendered(data, tmp_path / "alpha", EXACT)[1]["exact"]))
    assert shown.mode in ("LA", "RGBA")
    assert np.abs(np.asarray(shown)[..., -1] - mask * 255.0).mean() < 3


# --- grids


@pytest.mark.parametrize("size", [(192, 128), (170, 101), (97, 65)])
@pytest.mark.parametrize("steps", [(), STEPS[1], STEPS[8], "clap"], ids=str)
@pytest.mark.parametrize("bright", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_grids(kind: str, bright: bool, steps: tuple[Step, ...] | str, size: tuple[int, int], tmp_path: Path) -> None:
    whole = picture((192, 128))
    codes = in_space(whole, 9, 16) if bright else whole
    colours = heifs.nclx(9, 16, 6) if bright else SRGB
    tiles = [
        coded(kind, tmp_path, cropped(codes, x, y, 96, 64), Signal(10 if bright else 8)).said(colours)
        for y in (0, 64)
        for x in (0, 96)
    ]
    how = (("clap", (11, 7, 80, 50)), ("irot", (3,))) if isinstance(steps, str) else steps
    said, meant = moved(cropped(whole, 0, 0, *size), how)
    made = heifs.grid(2, 2, *size, 2, 3, 4, 5).said(colours, heifs.pixi(*[10 if bright else 8] * 3), *said)
    assert_true(heifs.heif(made, *tiles), meant, tmp_path)


# --- sequences


@pytest.mark.parametrize("steps", [(), *STEPS], ids=named)
@pytest.mark.parametrize("bright", [False, True])
def test_sequences_are_moved_alike(bright: bool, steps: tuple[Step, ...], tmp_path: Path) -> None:
    need("avif")
    codes = in_space(picture(), 9, 16) if bright else picture()
    points = ["--cicp", "9/16/6"] if bright else []
    data = heifs.avif(tmp_path, codes, Signal(10 if bright else 8), *points, frames=2)
    assert data[8:12] == b"avis"
    said, meant = moved(picture(), steps)
    assert_true(heifs.with_said_of_its_track(data, *said), meant, tmp_path)


@pytest.mark.parametrize("bright", [False, True])
def test_a_sequence_without_a_still(bright: bool, tmp_path: Path) -> None:
    need("avif")
    codes = in_space(picture(), 9, 16) if bright else picture()
    data = heifs.avif(tmp_path, codes, Signal(10), *(["--cicp", "9/16/6"] if bright else []), frames=2)
    said, meant = moved(picture(), STEPS[17])
    data = heifs.with_said_of_its_track(data, *said)
    end = int.from_bytes(data[:4], "big")
    brands = b"avis" + bytes(4) + b"avis" * ((end - 16) // 4)
    data = data[:8] + brands + data[end:].replace(b"meta", b"free", 1)
    assert_true(data, meant, tmp_path)


def test_a_still_beside_a_sequence_is_as_it_says_itself(tmp_path: Path) -> None:
    """The first brand decides which of them is decoded."""
    need("avif")
    data = heifs.avif(tmp_path, picture(), PLAIN, frames=2)
    said, _ = moved(picture(), STEPS[17])
    data = heifs.with_said_of_its_track(data, *said)
    assert_true(data[:8] + b"avif" + data[12:], picture(), tmp_path)
