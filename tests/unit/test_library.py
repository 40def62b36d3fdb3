"""A set of images: likenesses against comparing each with each, statistics against counting by hand, a safe page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotfolder.collection import Entry, Summary, exact, near, page
from hotfolder.imaging import Record
from hotfolder.imaging.record import CAMERA_CLASSES, VERDICTS
from hotfolder.telemetry import metrics
from tests.helpers import jpeg

PLAIN = Record("jpeg", "RGB", 4000, 3000, 12.0, 1, False, sharpness=0.5, contrast=0.2, exposure=0.4, phash="0" * 16)


def entry(path: bytes = b"/a.jpg", size: int = 100, digest: bytes | None = None, **changes: object) -> Entry:
    return Entry(path, size, replace(PLAIN, **changes), digest)  # type: ignore[arg-type]


HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=8)
CHANGES = st.lists(st.tuples(st.integers(0, 7), st.sets(st.integers(0, 63), max_size=12)), max_size=12)


@given(HASHES, CHANGES, st.integers(0, 10))
def test_groups_are_those_of_comparing_each_with_each(
    seeds: list[int], changes: list[tuple[int, set[int]]], distance: int
) -> None:
    hashes: list[int | None] = [*seeds, None]
    for which, bits in changes:
        if seeds:
            hashes.append(seeds[which % len(seeds)] ^ sum(1 << bit for bit in bits))
    expected, taken = [], set()
    for at, one in enumerate(hashes):
        if one is None or at in taken:
            continue
        alike = [
            later
            for later, other in enumerate(hashes)
            if other is not None and later not in taken and (one ^ other).bit_count() <= distance
        ]
        taken |= set(alike)
        expected += [alike] if len(alike) > 1 else []
    assert near(hashes, distance) == expected


def test_no_chain_of_small_steps_joins_what_is_not_alike() -> None:
    steps = [0, 0xF, 0xFF, 0xFFF]
    assert near(steps, 4) == [[0, 1], [2, 3]]


def test_two_hundred_thousand_hashes_need_little_and_find_what_was_hidden() -> None:
    import random
    import time

    chance = random.Random(5)
    hashes: list[int | None] = [chance.getrandbits(64) for _ in range(30_000)]
    for at in range(0, 3000, 10):
        hashes.append((hashes[at] or 0) ^ (1 << chance.randrange(64)) ^ (1 << chance.randrange(64)))
    began = time.process_time()
    groups = near(hashes)
    assert len([group for group in groups if group[-1] >= 30_000]) == 300
    assert time.process_time() - began < 10  # comparing each with each would take minutes


def test_exact_groups_by_key_and_leaves_out_what_has_none() -> None:
    assert exact(["a", None, "b", "a", None, "c", "b", "a"]) == [[0, 3, 7], [2, 6]]


def test_a_summary_counts_what_there_is() -> None:
    summary = Summary()
    summary.add(entry(camera="Apple iPhone 6", taken_at="2020-05-01T10:00:00", digest=b"x" * 16))
    summary.add(entry(b"/b", camera="Apple iPhone 6", sharpness=0.05, phash="f" * 16, digest=b"x" * 16))
    summary.add(entry(b"/c", format="png", megapixels=0.5, camera="NIKON D90", phash="0" * 15 + "1"))
    summary.add(entry(b"/d", contrast=0.0, sharpness=0.0, exposure=1.0, phash="0" * 16))
    found = summary.as_dict()
    assert (found["images"], found["bytes"], found["blurred"], found["blank"]) == (4, 400, 1, 1)
    assert found["formats"] == {"jpeg": {"images": 3, "bytes": 300}, "png": {"images": 1, "bytes": 100}}
    assert found["camera_classes"]["phone"] == {"images": 2, "blurred": 1}
    assert found["cameras"] == {"Apple iPhone 6": 2, "NIKON D90": 1, "unknown": 1}
    assert found["resolutions"]["under 1 MP"] == 1
    assert found["months"] == {"2020-05": 1, "unknown": 3}
    assert found["sharpness"] == [2, 0, 0, 0, 0, 2, 0, 0, 0, 0]
    assert found["exposure"] == [0, 0, 0, 0, 3, 0, 0, 0, 0, 1]
    assert found["averages"]["sharpness"] == pytest.approx((0.5 + 0.05 + 0.5) / 4, abs=1e-4)
    assert found["duplicates"] == {"exact": 1, "exact_bytes": 100, "near_groups": 1, "near": 1}


def test_an_empty_set_has_a_summary_and_a_page() -> None:
    assert Summary().as_dict()["images"] == 0
    assert "What is in 0 images" in page.build(Summary().as_dict(), page.Chosen())


def test_what_is_not_measured_is_not_averaged() -> None:
    summary = Summary()
    summary.add(entry(sharpness=None, exposure=None, phash=None, contrast=None))
    assert "sharpness" not in summary.as_dict()["averages"]


@pytest.mark.parametrize(
    ("camera", "expected"),
    [
        ("Apple iPhone 4S", "phone"),
        ("samsung SM-G935L", "phone"),
        ("SAMSUNG GT-I9505", "phone"),
        ("Google Pixel 7", "phone"),
        ("NIKON D90", "camera"),
        ("Canon EOS 5D", "camera"),
        ("SAMSUNG NX10", "camera"),
        ("GoPro HERO5 Black", "action"),
        ("DJI FC220", "action"),
        (None, "unknown"),
        ("Algebra Cam", "camera"),
    ],
)
def test_cameras_have_a_class(camera: str | None, expected: str) -> None:
    assert replace(PLAIN, camera=camera).camera_class == expected
    assert expected in CAMERA_CLASSES


def test_names_from_files_cannot_break_the_page(tmp_path: Path) -> None:
    hostile = tmp_path / '"><script>alert(1)<>&.jpg'.replace("/", "")
    hostile.write_bytes(jpeg())
    summary, chosen = Summary(), page.Chosen()
    for each in (entry(bytes(hostile), camera="<b>$images</b>"), entry(b"/gone/\xff.jpg", sharpness=0.01)):
        summary.add(each)
        chosen.add(each)
    text = page.build(summary.as_dict(), chosen)
    assert "<script" not in text
    assert "<b>$images" not in text
    assert "&lt;b&gt;$images&lt;/b&gt;" in text
    assert text.count("data:image/jpeg;base64,") == 2  # the sharpest, and in its group of two
    assert "cannot be read any more" in text
    assert "http" not in text.replace("http-equiv", "")


def test_metrics_know_every_class_and_verdict_from_the_start() -> None:
    assert (metrics.CAMERAS, metrics.VERDICTS) == (CAMERA_CLASSES, VERDICTS)
    found = {replace(PLAIN, sharpness=s, contrast=c).verdict for s, c in ((0.5, 0.2), (0.1, 0.2), (0.0, 0.0))}
    assert found == set(VERDICTS)
    assert replace(PLAIN, sharpness=None).verdict is None
