"""What values of the configuration are written like: durations, sizes, shares, names of what is registered.

Each type reads what people write, shows it again in the shortest form, and describes it in the JSON Schema.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, GetJsonSchemaHandler, PlainSerializer, StrictStr, WithJsonSchema
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from hotfolder.config import units
from hotfolder.config.units import DailyAt, Window

LONGEST = 3650 * 86400.0
"""Seconds. The system's own timers hold some more, and nobody waits that long."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of the names that are known when a value is read: formats and layouts can be registered until then."""

    names: Callable[[], tuple[str, ...]]

    def check(self, value: object) -> object:
        """Raises what a Literal of the names would raise."""
        names = self.names()
        if isinstance(value, str) and value in names:
            return value
        *others, last = map(repr, names)
        expected = f"{', '.join(others)} or {last}" if others else last
        raise PydanticKnownError("literal_error", {"expected": expected})

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"enum": list(self.names()), "type": "string"}


def _written() -> tuple[str, ...]:
    from hotfolder.imaging import formats  # late, like those below: most configurations name none

    return formats.written()


def _copied() -> tuple[str, ...]:
    from hotfolder.imaging import formats

    return formats.copied()


def _layouts() -> tuple[str, ...]:
    from hotfolder.store import layouts

    return layouts.names()


if TYPE_CHECKING:
    WrittenFormat: TypeAlias = str
    CopyFormat: TypeAlias = str
    LayoutName: TypeAlias = str
else:
    WrittenFormat = Annotated[Any, OneOf(_written)]
    CopyFormat = Annotated[Any, OneOf(_copied)]
    LayoutName = Annotated[Any, OneOf(_layouts)]


def _text(pattern: str | None = None) -> dict[str, Any]:
    return {"type": "string"} if pattern is None else {"type": "string", "pattern": pattern}


def _duration(value: object) -> float:
    if (seconds := units.duration(value)) > LONGEST:
        raise ValueError("is too long; allowed: at most 3650d")
    return seconds


def _interval(value: object) -> float | DailyAt | None:
    found = units.interval(value)
    return _duration(value) if isinstance(found, float) else found


def _show_interval(value: float | DailyAt | None) -> str:
    if value is None:
        return "never"
    return str(value) if isinstance(value, DailyAt) else units.show_duration(value)


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    PlainSerializer(units.show_duration),
    WithJsonSchema(_text(units.DURATION_PATTERN)),
]
Interval = Annotated[
    float | DailyAt | None,
    BeforeValidator(_interval),
    PlainSerializer(_show_interval),
    WithJsonSchema(_text()),
]
Size = Annotated[
    int,
    BeforeValidator(units.size),
    PlainSerializer(units.show_size),
    WithJsonSchema(_text(units.SIZE_PATTERN)),
]
Count = Annotated[
    int,
    BeforeValidator(units.count),
    WithJsonSchema({"anyOf": [{"type": "integer"}, _text(units.COUNT_PATTERN)]}),
]
Share = Annotated[
    float,
    BeforeValidator(units.share),
    PlainSerializer(units.show_share),
    WithJsonSchema(_text(units.SHARE_PATTERN)),
]
TimeWindow = Annotated[
    Window | None,
    BeforeValidator(units.window),
    PlainSerializer(lambda value: None if value is None else str(value)),
    WithJsonSchema({"anyOf": [_text(units.WINDOW_PATTERN), {"type": "null"}]}),
]
Mode = Annotated[
    int,
    BeforeValidator(units.mode),
    PlainSerializer(lambda value: f"{value:04o}"),
    WithJsonSchema(_text()),
]


def _auto_workers(least: int) -> Callable[[object], object]:
    def check(value: object) -> object:
        if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and least <= value <= 32):
            return value
        raise ValueError(f"is not a number of workers; allowed: auto, or {least} to 32")

    return check


def _auto_size(value: object) -> object:
    return value if value == "auto" else units.size(value)


Workers = Annotated[int | Literal["auto"], BeforeValidator(_auto_workers(2))]
BacklogWorkers = Annotated[int | Literal["auto"], BeforeValidator(_auto_workers(1))]
AutoSize = Annotated[
    int | Literal["auto"],
    BeforeValidator(_auto_size),
    PlainSerializer(lambda value: value if value == "auto" else units.show_size(value)),
    WithJsonSchema(_text()),
]


def _folder(value: str) -> str:
    if not value or "\0" in value:
        raise ValueError("has a NUL character; name a folder" if value else "is empty; name a folder")
    return value


Folder = Annotated[StrictStr, AfterValidator(_folder)]
