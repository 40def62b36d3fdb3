"""Models whose fields are those of a dataclass: each option's type, bounds and default stand in `presets` alone.

>>> @derived(Preset, only=("width", "fit"))
... class Shape(BaseModel):
...     '''A part of a preset.'''
>>> Shape(width=5).fit
'contain'
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import MISSING, fields
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Field, Strict, create_model

from hotfolder import presets
from hotfolder.config import types
from hotfolder.presets import AnalyzeSpec, Bounds, OptimizeSpec, Preset

M = TypeVar("M", bound=BaseModel)

WRITTEN_AS = {
    presets.Format: types.WrittenFormat,
    presets.CopyFormat: types.CopyFormat,
    presets.Fraction: types.Share,
}
"""Types that people write in a form of its own, or that a registry knows more of."""


def derived(
    spec: type[Preset | OptimizeSpec | AnalyzeSpec],
    *,
    only: Container[str] | None = None,
    optional: bool = False,
    shown: bool = False,
    **instead: Any,
) -> Callable[[type[M]], type[M]]:
    """A decorator: the class with a field for each of the specification's; a preset's name is not among them.

    `only`: these alone. `optional`: None, the default, is what was not given. `shown`: of an answer, whose values are
    there, and right. `instead`: other types with their defaults, as `pydantic.create_model` takes them.
    """

    def decorate(cls: type[M]) -> type[M]:
        hints = get_type_hints(spec, include_extras=True)
        found: dict[str, Any] = {}
        for field in fields(spec):
            if field.name == "name" or (only is not None and field.name not in only):
                continue
            hint = hints[field.name]
            kind = WRITTEN_AS.get(hint, hint) if shown else _read(hint)
            default = ... if shown or field.default is MISSING else field.default
            found[field.name] = (kind | None, None) if optional else (kind, default)
        found |= instead
        return create_model(cls.__name__, __base__=cls, __doc__=cls.__doc__, __module__=cls.__module__, **found)

    return decorate


def _read(hint: Any) -> Any:
    """A type as what is read has to be: whole numbers, text and switches are no other's, numbers within bounds."""
    if hint in WRITTEN_AS:
        return WRITTEN_AS[hint]
    if hint in (bool, int, str):
        return Annotated[hint, Strict()]
    if get_origin(hint) is Annotated:
        kind, *marks = get_args(hint)
        bounds = [Field(ge=mark.least, le=mark.most) for mark in marks if isinstance(mark, Bounds)]
        return Annotated[(_read(kind), *bounds)]
    if get_origin(hint) in (Union, UnionType):
        return reduce(or_, map(_read, get_args(hint)))
    return hint
