"""The plan: sizes, parents and scales, as arithmetic; and its signature."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hotfolder.imaging.plan import PARENT_RATIO, Plan, crop_box, needed, scaled
from hotfolder.presets import BUILT_IN, OPTIMIZED, OptimizeSpec, Preset

SIDES = st.integers(1, 40_000)
PRESETS = st.lists(
    st.builds(
        Preset,
        name=st.uuids().map(str),
        width=st.integers(1, 3000),
        height=st.integers(1, 3000),
        fit=st.sampled_from(("contain", "cover", "stretch", "pad")),
    ),
    max_size=6,
).map(tuple)


def test_the_six_come_from_one_another() -> None:
    steps = Plan(tuple(BUILT_IN.values())).steps((4272, 2848))
    parents = {step.preset.name: step.parent for step in steps}
    assert parents == {
        "preview": None,
        "banner": None,
        "large": "preview",
        "square": "preview",
        "medium": "large",
        "small": "medium",
    }


def test_a_jpeg_is_decoded_no_larger_than_needed_but_whole_for_an_optimized_copy() -> None:
    presets = tuple(BUILT_IN.values())
    assert Plan(presets).scale((4272, 2848)) == 2
    assert Plan(presets).scale((1, 30_000)) == 1
    assert Plan((Preset("tiny", 10, 10),)).scale((4000, 3000)) == 8
    assert Plan(presets, OptimizeSpec()).scale((40_000, 30_000)) == 1


def test_signature_does_not_depend_on_order_but_on_every_field() -> None:
    presets = tuple(BUILT_IN.values())
    plan = Plan(presets, OptimizeSpec())
    assert plan == Plan(presets[::-1], OptimizeSpec())
    assert plan.signature == Plan(presets[::-1], OptimizeSpec()).signature
    assert plan.signature not in (Plan(presets).signature, Plan(presets[1:], OptimizeSpec()).signature)
    assert plan.signature != Plan(presets, OptimizeSpec(quality=84)).signature
    assert len(plan.signature) == 32
    assert plan.names() == (*sorted(BUILT_IN), OPTIMIZED)


@given(PRESETS, st.booleans())
@settings(max_examples=50, deadline=None)
def test_a_plan_survives_json(presets: tuple[Preset, ...], optimize: bool) -> None:
    plan = Plan(presets, OptimizeSpec(max_dimension=7) if optimize else None)
    assert Plan.from_json(plan.to_json()) == plan


@given(PRESETS, SIDES, SIDES)
@settings(max_examples=150, deadline=None)
def test_every_parent_comes_first_and_has_pixels_to_spare(presets: tuple[Preset, ...], wide: int, high: int) -> None:
    plan = Plan(presets)
    seen: dict[str, tuple[int, int]] = {}
    for step in plan.steps((wide, high)):
        if step.parent is not None:
            need = needed(step.preset, (wide, high))
            parent = seen[step.parent]
            assert parent[0] >= need[0] * PARENT_RATIO
            assert parent[1] >= need[1] * PARENT_RATIO
        seen[step.preset.name] = step.size
        assert min(*step.size, *step.canvas) >= 1
    assert sorted(seen) == sorted(preset.name for preset in presets)
    scale = plan.scale((wide, high))
    assert all(wide / scale >= needed(p, (wide, high))[0] for p in presets if scale > 1)


@given(SIDES, SIDES, st.integers(1, 3000), st.integers(1, 3000))
@settings(max_examples=100, deadline=None)
def test_contain_never_enlarges_and_the_others_are_exact(wide: int, high: int, width: int, height: int) -> None:
    inside = scaled(Preset("p", width, height), (wide, high))
    assert inside[0] <= min(wide, width)
    assert inside[1] <= min(high, height)
    assert scaled(Preset("p", width, height, fit="cover"), (wide, high)) == (width, height)
    left, top, right, bottom = crop_box((wide, high), (width, height))
    assert 0 <= left < right <= wide
    assert 0 <= top < bottom <= high
