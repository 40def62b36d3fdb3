"""What is refused says why: by the name of the kind, not as a damage."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging import Limits, open_image
from tests.unit.imaging import THUMB, corner, encoded, long_jpeg, rendered, thumb
from tests.unit.test_hostile import chunk, png, tiff

LONG = b"x" * 1_200_000


def text(kind: bytes, content: bytes, *, packed: bool = True) -> bytes:
    body = zlib.compress(content) if packed else content
    if kind == b"iTXt":
        return chunk(kind, b"a\0" + bytes([packed]) + b"\0en\0a\0" + body)
    return chunk(kind, b"a\0" + (b"\0" if packed else b"") + body)


def with_text(*added: bytes, behind: bool = False) -> bytes:
    data = encoded(corner(), "PNG")
    at = data.index(b"IEND") - 4 if behind else data.index(b"IDAT") - 4
    return data[:at] + b"".join(added) + data[at:]


def refusal(data: bytes, tmp_path: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        rendered(data, tmp_path, THUMB)
    return caught.value


def test_a_png_for_iphones_is_unsupported_by_name(tmp_path: Path) -> None:
    whole = png(20, 10)
    error = refusal(whole[:8] + chunk(b"CgBI", b"\x50\0\x20\x06") + whole[8:], tmp_path)
    assert error.reason is Reason.UNSUPPORTED
    assert "CgBI" in error.message


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_texts_that_unpack_to_too_much_are_too_many_bytes(kind: bytes, behind: bool, tmp_path: Path) -> None:
    error = refusal(with_text(text(kind, LONG), behind=behind), tmp_path)
    assert error.reason is Reason.TOO_MANY_BYTES
    assert "1048576" in error.message


def test_many_texts_that_unpack_to_too_much_together(tmp_path: Path) -> None:
    assert refusal(with_text(*[text(b"zTXt", LONG[:1_000_000])] * 70), tmp_path).reason is Reason.TOO_MANY_BYTES


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
def test_as_much_text_as_is_read_costs_no_picture(kind: bytes, tmp_path: Path) -> None:
    thumb(with_text(text(kind, LONG[:1_000_000], packed=kind != b"tEXt")), tmp_path)


def test_a_text_that_cannot_be_unpacked_costs_none(tmp_path: Path) -> None:
    thumb(with_text(chunk(b"zTXt", b"a\0\0rubbish"), chunk(b"iTXt", b"a"), chunk(b"iTXt", b"")), tmp_path)


@pytest.mark.parametrize(("coding", "name"), [(50_001, "WebP"), (34_712, "JPEG 2000"), (50_002, "JPEG XL")])
def test_a_tiff_coded_as_something_else_is_unsupported_by_name(coding: int, name: str, tmp_path: Path) -> None:
    error = refusal(tiff((259, 3, 1, coding)), tmp_path)
    assert error.reason is Reason.UNSUPPORTED
    assert name in error.message


@pytest.mark.parametrize(("side", "scans", "refused"), [(100, 490, False), (5000, 390, False), (5000, 410, True)])
def test_scans_are_counted_by_the_pixels_that_each_has(side: int, scans: int, refused: bool) -> None:
    """A picture of 250 megapixels in 500 scans would keep a decoder for many minutes."""
    data = long_jpeg(side, side, scans)
    if not refused:
        open_image(data, Limits())
        return
    with pytest.raises(SourceError, match="at most 400 are read") as caught:
        open_image(data, Limits())
    assert caught.value.reason is Reason.UNSUPPORTED
