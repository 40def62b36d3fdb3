"""What all answers of use cases have in common: plain values, checked when they are made, and how JSON shows them.

The models of the answers stand beside their use cases. They are what HTTP sends, and their docstrings and types are
what /openapi.json shows; the CLI prints the same JSON where no daemon runs.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import to_jsonable_python


class Answer(BaseModel):
    """One answer, or a part of one."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _is_none(value: object) -> bool:
    return value is None


def _without_default(schema: dict[str, Any]) -> None:
    del schema["default"]


ABSENT = Field(exclude_if=_is_none, json_schema_extra=_without_default)
"""Of a field with the default None, which JSON leaves out then: it is never null."""

AbsentText = Annotated[str | SkipJsonSchema[None], ABSENT]
AbsentCount = Annotated[int | SkipJsonSchema[None], ABSENT]


class Place(Answer):
    """A file. Names are bytes: `path_b64` has all of them where `path` cannot show them."""

    path: str
    path_b64: AbsentText = None


class Error(Answer):
    """Why an image failed: one of the reasons of docs/hostile.md, and what was found, in words."""

    reason: str
    message: str


def plain(answer: Any) -> Any:
    """An answer, or a list of them, as the values that JSON has."""
    return to_jsonable_python(answer)
