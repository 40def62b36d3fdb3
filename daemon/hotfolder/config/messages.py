"""What is wrong with a value, in words: file and line, key, the value, and what is allowed."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic_core import ErrorDetails

from hotfolder.config.document import Document, Path, show
from hotfolder.config.schema import Config, Section


def say(found: Document, error: ErrorDetails) -> str:
    """One of pydantic's errors as one line."""
    path: Path = tuple(part for part in error["loc"] if not (isinstance(part, str) and part.startswith("function-")))
    path = _within(found.data, path)
    return f"{found.place(path)}: {show(path) or 'the file'}: {_problem(error, path)}"


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
    if kind == "value_error":
        return f"{shown} {context['error']}"
    if kind == "literal_error":
        return f"{shown} is not allowed; allowed: {context['expected'].replace(chr(39), '')}"
    if kind in _EXPECTED:
        return f"{shown} is not {_EXPECTED[kind]}"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = "at least" if kind.startswith("greater") else "at most"
        return f"{shown} is out of range; allowed: {bound} {context.get('ge', context.get('le'))}"
    if kind == "too_short":
        return "is empty; give at least one"
    if kind == "string_pattern_mismatch":
        return f"{shown} does not fit; allowed: http:// or https:// addresses"
    return f"{shown}: {error['msg']}"


_EXPECTED = {
    "string_type": "text; write it in quotes",
    "bool_type": "a switch; allowed: true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "tuple_type": "a list, such as [a, b]",
    "model_type": "a section of keys",
    "model_attributes_type": "a section of keys",
    "dict_type": "a section of keys",
}


def _quoted(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value[:80]}"'
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
