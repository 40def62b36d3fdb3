"""What is wrong with a value, in words: file and line, key, the value, and what is allowed."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from typing import Any, get_args

from pydantic_core import ErrorDetails

from hotfolder.config.document import Document, Path, show
from hotfolder.config.schema import Config, Section
from hotfolder.paths import show as show_name


def say(found: Document, error: ErrorDetails) -> str:
    """One of pydantic's errors as one line."""
    path: Path = tuple(part for part in error["loc"] if not (isinstance(part, str) and part.startswith("function-")))
    path = _within(found.data, path)
    return f"{found.place(path)}: {show(path) or 'the file'}: {_problem(error, path)}"


def root_causes(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Without those that only follow from another: a list whose entries are wrong is no empty list."""
    return [
        each
        for each in errors
        if each["type"] != "too_short"
        or not any(other["loc"][: len(each["loc"])] == each["loc"] and other is not each for other in errors)
    ]


def _within(data: Any, path: Path) -> Path:
    """The part of pydantic's path that stands for keys: it names branches of unions, too."""
    kept: list[str | int] = []
    for at, part in enumerate(path):
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            if at == len(path) - 1 and isinstance(data, dict):
                kept.append(part)  # a missing key
            break
        kept.append(part)
    return tuple(kept)


def _problem(error: ErrorDetails, path: Path) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    shown = _quoted(value)
    if kind == "extra_forbidden":
        known = _keys_beside(path)
        near = difflib.get_close_matches(str(path[-1]), known, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        return f"unknown key; {hint}allowed: {', '.join(known)}"
    if kind == "missing":
        return "is missing; it has to be given"
    if kind == "value_error":  # of a section as a whole the content is no news
        return str(context["error"]) if isinstance(value, Section | dict) else f"{shown} {context['error']}"
    if kind == "literal_error":
        return f"{shown} is not allowed; allowed: {context['expected'].replace(chr(39), '')}"
    if kind in _EXPECTED:
        return _unlike(kind, value, path)
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = "at least" if kind.startswith("greater") else "at most"
        return f"{shown} is out of range; allowed: {bound} {context.get('ge', context.get('le')):g}"
    if kind == "too_short":
        return "is empty; give at least one"
    if kind == "string_pattern_mismatch":
        return f"{shown} does not fit; allowed: http:// or https:// addresses"
    return f"{shown}: {error['msg']}"


def _unlike(kind: str, value: Any, path: Path) -> str:
    """The value is of another type than it has to be."""
    expected = _EXPECTED[kind]
    if path == ("watches",):
        return f"{_quoted(value)} is not a list; give at least one entry, `- path: …` with an `output: …`"
    if value is None:
        return f"is empty; it has to be {expected.partition(';')[0]}, or to be left out"
    hint = ""
    if kind == "tuple_type" and isinstance(value, str) and len(path) > 1:
        hint = f"; write [{json.dumps(value, ensure_ascii=False)}]"
    elif kind in _UNQUOTED and isinstance(value, str) and _UNQUOTED[kind].fullmatch(value):
        hint = f"; write {value} without quotes"
    elif path[-1] == "analyze":
        hint = "; allowed: true, false, or keys such as {gps: true}"
    elif path[-1] == "optimize" and isinstance(value, bool):
        hint = f"; write {{enabled: {str(value).lower()}}}"
    elif expected == _SECTION and (keys := _keys_beside((*path, ""))):
        hint = f"; its keys are {', '.join(keys)}"
    return f"{_quoted(value)} is not {expected}{hint}"


_UNQUOTED = {"int_type": re.compile(r"\d+"), "bool_type": re.compile("true|false")}
_SECTION = "a section of keys"
_EXPECTED = {
    "string_type": "text; write it in quotes",
    "bool_type": "a switch; allowed: true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "tuple_type": "a list, such as [a, b]",
    "model_type": _SECTION,
    "model_attributes_type": _SECTION,
    "dict_type": _SECTION,
}


def _quoted(value: Any) -> str:
    if isinstance(value, str):
        return f'"{show_name(value[:80].encode("utf-8", "surrogateescape"))}"'
    if isinstance(value, dict | list):
        return "a section" if isinstance(value, dict) else "a list"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _keys_beside(path: Path) -> list[str]:
    kind: Any = Config
    for part in path[:-1]:
        if isinstance(part, int):
            kind = next((arg for arg in get_args(kind) if arg is not ...), None)
        elif isinstance(kind, type) and issubclass(kind, Section):
            kind = kind.model_fields[part].annotation if part in kind.model_fields else None
        elif get_args(kind):
            kind = get_args(kind)[-1]
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, Section) else []
