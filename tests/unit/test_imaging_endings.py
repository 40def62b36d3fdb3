"""JPEGs that decoders make trouble about though nothing of the picture is missing: no end marker, arithmetic codes."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging import Limits
from hotfolder.presets import OPTIMIZED, OptimizeSpec
from tests.unit.imaging import THUMB, encoded, noise, rendered, scene, thumb

KINDS = {
    "baseline": encoded(scene(3, 400, 300), "JPEG"),
    "grey": encoded(scene(3, 400, 300).convert("L"), "JPEG", optimize=True),
    "progressive": encoded(scene(3, 400, 300), "JPEG", progressive=True),
    "progressive noise": encoded(noise(60, 40).resize((500, 400)), "JPEG", progressive=True, subsampling=0),
    "inks": encoded(scene(3, 400, 300).convert("CMYK"), "JPEG"),
    "restarts": encoded(scene(3, 400, 300), "JPEG", restart_marker_rows=1),
}


def apart(one: Image.Image, other: Image.Image) -> float:
    """Steps of 255 in the mean; decoders halve in different ways."""
    return float(np.abs(np.asarray(one).astype(int) - np.asarray(other)).mean())


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_what_lacks_nothing_but_its_end_is_made_with_a_note(kind: str, missing: int, tmp_path: Path) -> None:
    whole = KINDS[kind]
    result, files = rendered(whole[:-missing], tmp_path, THUMB)
    assert result.notes == ("no_end",)
    assert apart(Image.open(io.BytesIO(files["thumb"])), thumb(whole, tmp_path)) < 2


@pytest.mark.parametrize("missing", [*range(3, 16), 40, 1000])
@pytest.mark.parametrize("kind", KINDS)
def test_what_lacks_more_is_truncated_unless_nothing_of_it_is_seen(kind: str, missing: int, tmp_path: Path) -> None:
    """Some last bytes are filling alone."""
    whole = KINDS[kind]
    shown = Image.open(io.BytesIO(whole)).convert("RGB").tobytes()
    cut = Image.open(io.BytesIO(whole[:-missing] + b"\xff\xd9")).convert("RGB").tobytes()
    try:
        result, _ = rendered(whole[:-missing], tmp_path, THUMB)
    except SourceError as error:
        assert error.reason is Reason.TRUNCATED
    else:
        assert result.notes == ("no_end",)
        assert cut == shown


def test_a_progressive_one_that_lacks_its_last_scan_is_truncated(tmp_path: Path) -> None:
    whole = KINDS["progressive"]
    with pytest.raises(SourceError) as caught:
        rendered(whole[: whole.rindex(b"\xff\xda")], tmp_path, THUMB)
    assert caught.value.reason is Reason.TRUNCATED


def test_zeros_where_the_rest_should_be_are_no_picture(tmp_path: Path) -> None:
    whole = KINDS["progressive"]
    with pytest.raises(SourceError) as caught:
        rendered(whole[: len(whole) // 2] + bytes(len(whole) // 2), tmp_path, THUMB)
    assert caught.value.reason is Reason.TRUNCATED


def test_it_can_still_be_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = KINDS["progressive"]
    result, _ = rendered(whole[:-1000], tmp_path, THUMB, limits=Limits(lenient=True))
    assert "truncated" in result.notes


@pytest.mark.parametrize("mode", ["lossless", "lossy", "auto"])
def test_a_copy_without_loss_gets_its_end(mode: str, tmp_path: Path) -> None:
    whole = KINDS["progressive"]
    result, files = rendered(whole[:-2], tmp_path, optimize=OptimizeSpec(mode=mode))  # type: ignore[arg-type]
    assert result.notes == ("no_end",)
    assert files[OPTIMIZED].endswith(b"\xff\xd9") or mode == "auto"
    if mode == "lossless":
        assert Image.open(io.BytesIO(files[OPTIMIZED])).tobytes() == Image.open(io.BytesIO(whole)).tobytes()


@pytest.mark.skipif(shutil.which("jpegtran") is None, reason="no jpegtran (libjpeg-turbo-progs)")
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(60, 40), (800, 600)])
def test_arithmetic_codes_are_read_whatever_their_size(
    size: tuple[int, int], progressive: bool, tmp_path: Path
) -> None:
    plain = encoded(noise(*size), "JPEG")
    command = ["jpegtran", "-arithmetic", *(["-progressive"] if progressive else [])]
    coded = subprocess.run(command, input=plain, capture_output=True, check=True).stdout
    assert apart(thumb(coded, tmp_path), thumb(plain, tmp_path)) < 2
    result, _ = rendered(coded, tmp_path, THUMB, optimize=OptimizeSpec())
    assert result.notes == ()
    with pytest.raises(SourceError) as caught:
        thumb(coded[: len(coded) // 2], tmp_path)
    assert caught.value.reason is Reason.TRUNCATED
