from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotfolder.presets import BUILT_IN, OptimizeSpec, Preset
from hotfolder.store import layouts, names
from hotfolder.store.layouts.mirror import LAYOUT
from hotfolder.store.names import NAME_MAX

SMALL = BUILT_IN["small"]


@pytest.mark.parametrize(
    ("source", "thumbnail"),
    [
        (b"IMG_1.JPG", b"IMG_1_thumb_small.JPG"),
        (b"a.jpeg", b"a_thumb_small.jpeg"),
        (b"logo.png", b"logo.png_thumb_small.jpg"),
        (b"x.png.jpg", b"x.png.jpg_thumb_small.jpg"),
        (b"raw.nef", b"raw.nef_thumb_small.jpg"),
        (b"\xff.jpg", b"\xff_thumb_small.jpg"),
    ],
)
def test_names_of_the_contract(source: bytes, thumbnail: bytes) -> None:
    assert LAYOUT.thumbnail(source, SMALL, NAME_MAX).name == thumbnail


def test_optimized_names() -> None:
    assert LAYOUT.copy(b"a.PNG", OptimizeSpec(), NAME_MAX).name == b"a.PNG"
    assert LAYOUT.copy(b"a.webp", OptimizeSpec(format="webp"), NAME_MAX).name == b"a.webp.webp"


def test_long_names_are_cut_within_255_bytes_and_not_within_a_character() -> None:
    name = "é".encode() * 125 + b"a.jpg"
    made = LAYOUT.thumbnail(name, SMALL, NAME_MAX).name
    assert len(made) <= 255
    assert b"~" in made
    made.decode()
    other = "é".encode() * 125 + b"b.jpg"
    assert LAYOUT.thumbnail(other, SMALL, NAME_MAX).name != made


PARTS = [b"a", b"b", b".jpg", b".png", b"_thumb_small", b".", b"~", b"x" * 120, "ü".encode(), b"\xfe"]
stems = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map(b"".join)
extensions = st.sampled_from([b".jpg", b".JPG", b".jpeg", b".png", b".webp", b".gif", b".nef"])
image_names = st.tuples(stems, extensions).map(b"".join).filter(lambda n: len(n) <= 255 and names.is_image_name(n))
formats = st.sampled_from(["jpeg", "png", "webp"])


@settings(max_examples=400, deadline=None)
@given(st.sets(image_names, min_size=2, max_size=8), formats)
def test_no_two_sources_share_a_rendition(sources: set[bytes], format_name: str) -> None:
    presets = [Preset(p.name, p.width, p.height, suffix=p.suffix, format=format_name) for p in BUILT_IN.values()]
    for spec in (OptimizeSpec(), OptimizeSpec(format="webp")):
        seen: dict[tuple[bytes, bytes], bytes] = {}
        for source in sources:
            for target in layouts.targets(LAYOUT, source, presets, spec):
                assert len(target.name) <= 255
                owner = seen.setdefault((target.area, target.name), source)
                assert owner == source, target


@given(st.text(min_size=1, max_size=20))
def test_folding_is_stable(text: str) -> None:
    name = text.encode("utf-8", "surrogatepass")
    assert names.fold(names.fold(name)) == names.fold(name)
    assert names.fold("É.JPG".encode()) == names.fold("e\u0301.jpg".encode())


def test_keys_tell_apart_what_differs() -> None:
    keys = {
        names.key(b"a", 1, 2, "s"),
        names.key(b"a", 12, 2, "s"),
        names.key(b"a", 1, 22, "s"),
        names.key(b"b", 1, 2, "s"),
    }
    assert len(keys) == 4
