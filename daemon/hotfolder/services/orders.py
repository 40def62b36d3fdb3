"""What callers order: bulk thumbnails, copies and analyses of images that they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hotfolder.engine import Engine
from hotfolder.index import orders
from hotfolder.index.orders import Kind, New
from hotfolder.presets import Preset
from hotfolder.services import naming
from hotfolder.services.errors import Invalid, Unavailable
from hotfolder.services.naming import Named
from hotfolder.watches.wants import CUSTOM, Spec

RETRY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Images:
    """Which images: `paths`, taken literally; None: those that match the `glob`. `output`: a folder for the results."""

    paths: Sequence[str] | None
    glob: str | None
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """An order that was taken: its id, and how many images are in it."""

    id: str
    total: int


def generate(engine: Engine, images: Images, sizes: Sequence[Preset]) -> Accepted:
    """Thumbnails of the caller's own sizes. Raises ServiceError, for suffixes whose files could meet, too."""
    taken = {preset.suffix.lower(): f"the preset {name}" for name, preset in engine.config.all_presets().items()}
    for n, size in enumerate(sizes):
        suffix = size.suffix.lower()
        for other, whose in taken.items():
            if suffix.endswith(other) or other.endswith(suffix):
                raise Invalid(f"sizes.{n}.suffix", f'"{size.suffix}" and "{other}" of {whose} end alike')
        taken[suffix] = f"sizes.{n}"
    presets = tuple(replace(size, name=f"{CUSTOM}:{size.suffix}") for size in sizes)
    return _order(engine, "generate", images, Spec(presets))


def generate_preset(engine: Engine, images: Images, names: Sequence[str]) -> Accepted:
    """Thumbnails by the names of configured presets. Raises ServiceError."""
    known = engine.config.all_presets()
    for n, name in enumerate(names):
        if name not in known:
            raise Invalid(f"presets.{n}", f"known are {', '.join(sorted(known))}")
    return _order(engine, "generate-preset", images, Spec(tuple(known[name] for name in dict.fromkeys(names))))


def optimize(engine: Engine, images: Images, given: Mapping[str, Any]) -> Accepted:
    """Copies; what is not given is as the images' watch has it. Raises ServiceError."""
    return _order(engine, "optimize", images, Spec(optimize=tuple(sorted(given.items()))))


def analyze(engine: Engine, images: Images) -> Accepted:
    """Raises ServiceError."""
    return _order(engine, "analyze", images, Spec(analyze=True))


def _order(engine: Engine, kind: Kind, images: Images, spec: Spec) -> Accepted:
    if images.paths is not None:
        named = [naming.resolve(engine, text, f"paths.{n}") for n, text in enumerate(images.paths)]
    else:
        named = naming.matching(engine, images.glob or "")
    if images.output is not None:
        spec = replace(spec, output=naming.output_below(engine, images.output, named))
    try:
        key = engine.orders.add(kind, spec, [_new(each) for each in named])
    except orders.TooManyOpen:
        raise Unavailable(f"{orders.OPEN_MOST} jobs are open already", retry_after=RETRY_SECONDS) from None
    return Accepted(key, len(named))


def _new(named: Named) -> New:
    """What is no source by the rules fails at once."""
    ignored = named.watcher.rules.why_not(named.path)
    return New(named.watcher.site.id, named.path, named.name, f"it is ignored: {ignored}" if ignored else "")
