"""What an order wants of each of its sources, and how that is told apart from what the watch makes by itself.

Pure values. Renditions that an order alone wants have names of their own in the index: ``custom:<suffix>`` for a size
of the caller's, ``optimized:<format>`` for a copy beside the watch's own, each with ``@<folder>`` where the caller said
where below the output it shall lie. They are made by a plan of their own and stay until their source changes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from hotfolder.imaging.plan import Plan
from hotfolder.index.renditions import Made
from hotfolder.presets import OPTIMIZED, AnalyzeSpec, OptimizeSpec, Preset
from hotfolder.store import layout
from hotfolder.store.layout import Target
from hotfolder.watches.site import Site

CUSTOM = "custom"
"""How sizes of callers are counted in metrics."""


@dataclass(frozen=True, slots=True)
class Spec:
    """`optimize`: the fields that the caller gave, the others are the watch's; `output`: relative to the output."""

    presets: tuple[Preset, ...] = ()
    optimize: tuple[tuple[str, Any], ...] | None = None
    analyze: bool = False
    output: str = ""

    def to_json(self) -> str:
        content = {
            "presets": [preset.as_dict() for preset in self.presets],
            "optimize": None if self.optimize is None else dict(self.optimize),
            "analyze": self.analyze,
            "output": self.output,
        }
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str) -> Spec:
        content = json.loads(text)
        given = content["optimize"]
        return cls(
            tuple(Preset(**fields) for fields in content["presets"]),
            None if given is None else tuple(sorted(given.items())),
            content["analyze"],
            content["output"],
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing that an order wants: its name in the index, its name for the caller, and by which signature."""

    key: str
    label: str
    signature: str


def wanted(site: Site, spec: Spec) -> tuple[Wanted, ...]:
    """All renditions of an order, those that the watch makes anyway among them."""
    found = []
    for preset in spec.presets:
        key = _key(preset.name, spec)
        found.append(Wanted(key, preset.name, site.signatures.get(key, preset.signature)))
    if (copy := _copy(site, spec)) is not None:
        found.append(Wanted(_copy_key(site, spec, copy), OPTIMIZED, copy.signature))
    return tuple(found)


def site_of(site: Site, spec: Spec) -> Site:
    """The watch as it would be if it made nothing but what the order wants beyond it."""
    presets = [replace(preset, name=_key(preset.name, spec)) for preset in spec.presets]
    copy = _copy(site, spec)
    return replace(
        site,
        presets=tuple(preset for preset in presets if preset.name not in site.signatures),
        optimize=copy,
        analyze=AnalyzeSpec() if spec.analyze and site.analyze is None else None,
        ordered=True,
        below=spec.output.encode("utf-8", "surrogateescape"),
        copy_key=OPTIMIZED if copy is None else _copy_key(site, spec, copy),
    )


def target(made: Made, name: bytes, name_max: int) -> Target | None:
    """Where a rendition of an order belongs if its source has this name; None where its plan cannot be read."""
    try:
        plan = Plan.from_json(made.plan)
    except (ValueError, TypeError, KeyError):
        return None
    if (preset := next((each for each in plan.presets if each.name == made.preset), None)) is not None:
        return Target(made.preset, made.area, layout.thumbnail_name(name, preset, name_max))
    if plan.optimize is not None and label(made.preset).startswith(OPTIMIZED):
        return Target(made.preset, made.area, layout.optimized_name(name, plan.optimize, name_max))
    return None


def label(key: str) -> str:
    """A name of the index without the place."""
    return key.partition("@")[0]


def _key(name: str, spec: Spec) -> str:
    return f"{name}@{spec.output}" if spec.output else name


def _copy(site: Site, spec: Spec) -> OptimizeSpec | None:
    if spec.optimize is None:
        return None
    return replace(site.optimize or OptimizeSpec(), **dict(spec.optimize))


def _copy_key(site: Site, spec: Spec, copy: OptimizeSpec) -> str:
    """A copy that has the place of the watch's own stands for it until the source changes."""
    other = site.optimize is not None and site.optimize.format != copy.format
    return _key(f"{OPTIMIZED}:{copy.format}" if other else OPTIMIZED, spec)
