"""From one configuration to the next: which keys are in force at once, which need a restart, and what has changed.

Each key states it itself, in the schema: `reload: restart`, where it is not `live`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hotfolder.config.schema import RELOAD, RESTART, Config, Section

S = TypeVar("S", bound=Section)


def keys(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Every key that a file can have, such as ``watches.settle``, and whether it needs a restart."""
    for name, info in model.model_fields.items():
        inner = next(_sections(info.annotation), None)
        if inner is None:
            yield prefix + name, needs_restart(info)
        else:
            yield from keys(inner, f"{prefix}{name}.")


def needs_restart(info: FieldInfo) -> bool:
    extra = info.json_schema_extra
    return isinstance(extra, dict) and extra.get(RELOAD) == RESTART


def _sections(annotation: object) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def in_force(former: S, wanted: S) -> S:
    """What is wanted, but with what needs a restart as it was."""
    update = {}
    for name, info in type(wanted).model_fields.items():
        before, after = getattr(former, name), getattr(wanted, name)
        if needs_restart(info):
            update[name] = before
        elif isinstance(after, Section):
            update[name] = in_force(before, after)
    return wanted.model_copy(update=update)


def changes(former: object, wanted: object, key: str = "") -> Iterator[str]:
    """The keys whose values differ, such as ``watches.inbox.settle``; one entry of a list or mapping by its name."""
    if former == wanted:
        return
    before, after = _parts(former), _parts(wanted)
    if before is None or after is None:
        yield key
        return
    for name in (*before, *(each for each in after if each not in before)):
        yield from changes(before.get(name), after.get(name), f"{key}.{name}" if key else name)


def _parts(value: object) -> dict[str, object] | None:
    """What stands below a section, a list of named ones, or a mapping; None for a plain value."""
    if isinstance(value, Section):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, dict):
        return value
    if isinstance(value, tuple) and value and all(isinstance(each, Section) for each in value):
        return {each.name: each for each in value}
    return {} if value == () else None
