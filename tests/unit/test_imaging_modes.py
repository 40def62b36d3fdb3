"""The modes of the optimized copy: lossless keeps each pixel, lossy never outdoes its source, auto meets its target."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hotfolder.imaging import formats
from hotfolder.imaging.formats import jpeg, tables
from hotfolder.imaging.formats.values import Dial
from hotfolder.imaging.optimizing import copy as optimize
from hotfolder.imaging.optimizing import search
from hotfolder.imaging.optimizing.quality import Reference, Score
from hotfolder.imaging.optimizing.search import Search, Sheet
from hotfolder.imaging.rendering import encode
from tests.unit.imaging import copy, encoded, noise
from tests.unit.test_imaging_optimize import planted, secrets_in, source


def photo(width: int = 480, height: int = 360, seed: int = 3) -> Image.Image:
    """Soft shapes, some edges, and a little grain: what encoders are made for."""
    random = np.random.default_rng(seed)
    soft = Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((width, height), 3)
    soft.paste((200, 40, 30), (width // 3, height // 4, width // 2, height // 2))
    grain = random.normal(0, 4, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(soft) + grain, 0, 255).astype(np.uint8))


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    """All that a viewer sees, in full depth; palettes and bits are spelled out."""
    image = Image.open(io.BytesIO(data))
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    transparent = "A" in image.mode or "transparency" in image.info
    return np.asarray(image if image.mode == "CMYK" else image.convert("RGBA" if transparent else "RGB"))


def tables_of(data: bytes) -> dict[int, list[int]]:
    found: dict[int, list[int]] = Image.open(io.BytesIO(data)).quantization  # type: ignore[attr-defined]
    return found


def score(original: Image.Image, data: bytes) -> float:
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    return Reference(np.asarray(original.convert("RGB"))[np.newaxis]).score(shown[np.newaxis]).value


def sixteen() -> Image.Image:
    return Image.fromarray((np.arange(200 * 150).reshape(150, 200) * 2).astype(np.uint16))


UNTOUCHED: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encoded(photo(), "JPEG", quality=90),
    "jpeg 4:4:4": lambda: encoded(photo(), "JPEG", quality=90, subsampling=0),
    "jpeg progressive": lambda: encoded(photo(), "JPEG", quality=90, progressive=True),
    "jpeg with restarts": lambda: encoded(photo(), "JPEG", quality=90, restart_marker_rows=1),
    "jpeg grey": lambda: encoded(photo().convert("L"), "JPEG", quality=90),
    "jpeg cmyk": lambda: encoded(photo().convert("CMYK"), "JPEG", quality=90),
    "jpeg odd size": lambda: encoded(photo(477, 353), "JPEG", quality=90),
    "png": lambda: encoded(photo(), "PNG", compress_level=1),
    "png palette": lambda: encoded(photo().quantize(60), "PNG", compress_level=1),
    "png alpha": lambda: encoded(_veiled(), "PNG", compress_level=1),
    "png clear colours": lambda: encoded(_under_glass(), "PNG", compress_level=0),
    "png 16 bit": lambda: encoded(sixteen(), "PNG", compress_level=1),
    "png bits": lambda: encoded(photo().convert("1"), "PNG", compress_level=0),
    "webp": lambda: encoded(photo(), "WEBP", lossless=True, quality=0, method=0),
}


def _veiled() -> Image.Image:
    picture = photo()
    picture.putalpha(photo(seed=4).convert("L"))
    return picture


def _under_glass() -> Image.Image:
    """Colours below full transparency, which are pixels, too."""
    picture = photo()
    picture.putalpha(0)
    return picture


@pytest.mark.parametrize("kind", UNTOUCHED)
def test_lossless_keeps_every_pixel_in_fewer_bytes(kind: str, tmp_path: Path) -> None:
    data = UNTOUCHED[kind]()
    result, note = copy(data, tmp_path, mode="lossless")
    assert np.array_equal(pixels(result), pixels(data))
    assert note == ""
    assert len(result) < len(data)


@pytest.mark.parametrize("plugin", ["WEBP", "AVIF"])
def test_lossless_leaves_what_it_cannot_code_anew(plugin: str, tmp_path: Path) -> None:
    data = encoded(photo(), plugin, quality=60)
    assert copy(data, tmp_path, mode="lossless") == (data, "")


@pytest.mark.parametrize("rule", ["keep", "safe", "strip"])
@pytest.mark.parametrize("plugin", ["JPEG", "PNG"])
def test_lossless_follows_the_metadata_rule_and_the_orientation(plugin: str, rule: str, tmp_path: Path) -> None:
    data = source(plugin, orientation=6, image=photo())
    result, _ = copy(data, tmp_path, mode="lossless", metadata=rule)
    assert (secrets_in(result) == []) == (rule != "keep")
    assert Image.open(io.BytesIO(result)).getexif().get(0x0112) == 6
    assert np.array_equal(pixels(result), pixels(data))


@pytest.mark.parametrize("target", ["png", "webp"])
def test_lossless_changes_the_format_without_loss(target: str, tmp_path: Path) -> None:
    data = encoded(photo(), "PNG", compress_level=0)
    result, _ = copy(data, tmp_path, mode="lossless", format=target)
    assert Image.open(io.BytesIO(result)).format == target.upper()
    assert np.array_equal(pixels(result), pixels(data))


@pytest.mark.parametrize("plugin", ["JPEG", "PNG"])
def test_without_the_extra_lossless_rewrites_metadata_alone(
    plugin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mozjpeg_lossless_optimization", None)
    monkeypatch.setitem(sys.modules, "oxipng", None)
    data = source(plugin, image=photo())
    result, note = copy(data, tmp_path, mode="lossless")
    assert (secrets_in(result), note) == ([], "")
    assert np.array_equal(pixels(result), pixels(data))


def test_what_lies_behind_a_picture_stays_with_it() -> None:
    data = encoded(photo(), "JPEG", quality=90) + encoded(photo(60, 40), "JPEG")
    assert formats.of("jpeg").smaller(data, 480 * 360) == data


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff\xe0\0\x02\xff", b"\x89PNG\r\n\x1a\n", b"RIFF....WEBPVP8L" + b"x" * 20]
)
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif"])
def test_lossless_gives_back_what_it_cannot_read(data: bytes, kind: str) -> None:
    assert formats.of(kind).smaller(data, 1) == data


@pytest.mark.parametrize(
    "end",
    [
        "sys.exit(1)",
        "os.abort()",
        "os.kill(os.getpid(), 9)",
        "sys.stdout.buffer.write(sys.stdin.buffer.read()[:200])",
        "signal.pause()",
    ],
)
def test_what_ends_the_transcoder_ends_nothing_else(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Coefficients out of range, which decoders pass over, make libjpeg call exit()."""
    monkeypatch.setattr(jpeg, "_TRANSCODE", f"import os, signal, sys\n{end}")
    monkeypatch.setattr(jpeg, "_PATIENCE", 1)
    data = encoded(photo(64, 48), "JPEG")
    assert formats.of("jpeg").smaller(data, 64 * 48) == data


@pytest.mark.parametrize("quality", range(1, 101, 3))
def test_the_quality_of_a_jpeg_is_read_from_its_tables(quality: int) -> None:
    found = tables_of(encoded(photo(32, 32), "JPEG", quality=quality))
    estimate = tables.quality_of(found)
    assert tables_of(encoded(photo(32, 32), "JPEG", quality=estimate))[0] == found[0]


@pytest.mark.parametrize("mode", ["lossy", "auto"])
def test_never_finer_than_its_source(mode: str, tmp_path: Path) -> None:
    data = encoded(photo(), "JPEG", quality=60)
    result, _ = copy(data, tmp_path, mode=mode, target=95)
    assert tables.coarseness(tables_of(result)[0]) >= tables.coarseness(tables_of(data)[0])


@pytest.mark.parametrize("goal", ["jpeg", "webp", "avif"])
def test_auto_meets_its_target_and_spends_no_more(goal: str, tmp_path: Path) -> None:
    original = photo(700, 500)
    data = encoded(original, "PNG")
    sizes = []
    for target in (60.0, 70.0, 80.0):
        result, _ = copy(data, tmp_path, mode="auto", format=goal, target=target)
        found = score(original, result)
        assert found >= target
        assert found < target + 6, "far above what was asked for"
        sizes.append(len(result))
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.7 * sizes[2]


@given(
    target=st.floats(40, 99),
    quality=st.integers(40, 100),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    plugin=st.sampled_from(["JPEG", "PNG", "WEBP"]),
    grainy=st.booleans(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_auto_meets_its_target_or_keeps_the_picture(
    target: float, quality: int, size: tuple[int, int], plugin: str, grainy: bool, tmp_path: Path
) -> None:
    data = encoded(noise(*size) if grainy else photo(*size), plugin, quality=quality)
    calls: list[int] = []
    whole = encode.encode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimize, "encode", lambda *a, **k: calls.append(1) or whole(*a, **k))  # type: ignore[func-returns-value]
        result, note = copy(data, tmp_path, mode="auto", target=target)
    assert len(calls) <= search.ENCODES
    assert 0 < len(result) <= len(data)
    assert note == ""
    shown = Image.open(io.BytesIO(data)).convert("RGB")
    assert np.array_equal(pixels(result), pixels(data)) or score(shown, result) >= target - 0.01


@given(
    scores=st.lists(st.floats(-20, 100), min_size=101, max_size=101).map(sorted),
    error=st.floats(0, 3),
    target=st.floats(1, 100),
    dial=st.sampled_from([each.dial for each in formats.known() if each.dial]),
    highest=st.integers(-20, 110),
    whole=st.booleans(),
)
def test_a_search_ends_within_its_bounds(
    scores: list[float], error: float, target: float, dial: Dial, highest: int, whole: bool
) -> None:
    dial = dial.up_to(highest)

    class Paper:
        def __init__(self) -> None:
            self.whole, self.image, self.asked = whole, Image.new("L", (9, 9)), 0

        def score(self, images: list[int]) -> Score:
            self.asked += 1
            return Score(scores[images[0] - dial.lowest], error)

    paper = Paper()
    found = Search(paper, target, dial, lambda setting: [setting]).setting()  # type: ignore[arg-type, list-item]
    assert 1 <= paper.asked <= search.TRIALS < search.ENCODES
    assert found is None or dial.lowest <= found <= dial.highest
    if whole and found is not None:
        assert scores[found - dial.lowest] >= target


def test_large_pictures_are_tried_on_parts(tmp_path: Path) -> None:
    original = photo(1600, 1200)
    sheet = Sheet(original.size, original.crop)
    assert not sheet.whole
    assert sheet.image.width * sheet.image.height < original.width * original.height / 4
    for quality in (60, 80, 92):
        parts = sheet.score([Image.open(io.BytesIO(encoded(sheet.image, "JPEG", quality=quality)))])
        assert parts.value == pytest.approx(score(original, encoded(original, "JPEG", quality=quality)), abs=1.5)
    result, _ = copy(encoded(original, "JPEG", quality=98), tmp_path, mode="auto")
    assert score(Image.open(io.BytesIO(encoded(original, "JPEG", quality=98))), result) >= 85


def test_the_measure() -> None:
    original = photo()
    assert score(original, encoded(original, "PNG")) > 99.9
    found = [score(original, encoded(original, "JPEG", quality=quality)) for quality in (10, 30, 60, 85, 95)]
    assert found == sorted(found)
    assert found[0] < 40
    assert found[-1] > 85


MADE = [
    ("lossy", "JPEG"),
    ("lossy", "PNG"),
    ("lossy", "WEBP"),
    ("lossy", "AVIF"),
    ("auto", "JPEG"),
    ("auto", "PNG"),
    ("auto", "WEBP"),
    ("auto", "AVIF"),
    ("lossless", "JPEG"),
    ("lossless", "PNG"),
]


@pytest.mark.parametrize("rule", ["keep", "safe", "strip"])
@pytest.mark.parametrize(("mode", "plugin"), MADE)
def test_our_own_copy_is_kept_as_it_is(mode: str, plugin: str, rule: str, tmp_path: Path) -> None:
    spec: dict[str, Any] = {"mode": mode, "metadata": rule}
    picture = photo()
    options: dict[str, Any] = {"quality": 100, "exif": planted(6)}
    once, _ = copy(encoded(picture, plugin, **options), tmp_path, **spec)
    assert copy(once, tmp_path, **spec) == (once, "")
    if mode == "auto" and plugin != "PNG":
        assert copy(once, tmp_path, mode="auto", metadata=rule, target=60) == (once, ""), "no loss upon loss"


def test_our_own_copy_is_still_made_smaller_where_that_is_asked(tmp_path: Path) -> None:
    once, _ = copy(encoded(photo(), "JPEG", quality=97), tmp_path, mode="auto")
    twice, _ = copy(once, tmp_path, mode="auto", max_dimension=100)
    assert max(Image.open(io.BytesIO(twice)).size) == 100


def test_every_step_is_known_again_and_no_other_table_is() -> None:
    for step in tables.STEPS:
        assert tables.are_ours(dict(enumerate(tables.pair(step))))
    for quality in range(1, 101):
        assert not tables.are_ours(tables_of(encoded(photo(16, 16), "JPEG", quality=quality)))


@pytest.mark.parametrize("mode", ["lossless", "lossy", "auto"])
@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP"])
def test_the_same_source_gives_the_same_bytes_in_any_thread(mode: str, plugin: str, tmp_path: Path) -> None:
    data = encoded(photo(), plugin, quality=95)

    def one(number: int) -> bytes:
        folder = tmp_path / str(number)
        folder.mkdir()
        return copy(data, folder, mode=mode)[0]

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(one, range(8)))) == 1
