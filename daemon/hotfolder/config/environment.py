"""Keys of the configuration from the environment: HOTFOLDER_A__B=value stands for a.b."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

import yaml
from pydantic import BeforeValidator

from hotfolder.config import units
from hotfolder.config.document import Document, Path
from hotfolder.config.schema import Config, PresetFields, Section

PREFIX = "HOTFOLDER_"


def override(found: Document, environ: Mapping[str, str]) -> list[str]:
    """Put HOTFOLDER_A__B=value into the data; returns a warning for each variable that names no key."""
    warnings = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in (f"{PREFIX}CONFIG", f"{PREFIX}HTTP__TOKEN"):
            continue
        path: Path = tuple(
            int(part) if part.isdigit() else part.lower() for part in name.removeprefix(PREFIX).split("__")
        )
        text = _is_text(path)
        if text is None or not _place_value(found.data, path, _value(environ[name], as_text=text)):
            warnings.append(f"environment variable {name} names no key of the configuration; it is left out")
        else:
            found.places[path] = f"${name}"
    return warnings


def _is_text(path: Path) -> bool | None:
    """Whether the key at this path takes text as it stands; None where there is no such key."""
    kind: Any = Config
    for part in path:
        if kind is PresetFields and isinstance(part, int):
            return None
        if isinstance(part, int):
            kind = next((arg for arg in get_args(kind) if arg is not ...), None)
        elif isinstance(kind, type) and issubclass(kind, Section):
            if part not in kind.model_fields:
                return None
            field = kind.model_fields[part]
            kind = field.annotation
            if any(isinstance(meta, BeforeValidator) and meta.func is units.mode for meta in field.metadata):
                return True
        elif get_origin(kind) is dict and isinstance(part, str):
            kind = get_args(kind)[-1]
        else:
            return None
    return kind is str or (type(None) in get_args(kind) and any(_is_str(arg) for arg in get_args(kind)))


def _is_str(kind: Any) -> bool:
    """Annotated text, such as StrictStr, too."""
    return kind is str or (hasattr(kind, "__metadata__") and kind.__origin__ is str)


def _value(text: str, *, as_text: bool) -> Any:
    if as_text:
        return None if text in ("null", "~") else text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _place_value(data: Any, path: Path, value: Any) -> bool:
    """Set the value; lists grow by one at the most."""
    *above, last = path
    for at, part in enumerate(above):
        following = path[at + 1]
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(part, int):
            if not isinstance(data, list) or part > len(data):
                return False
            if part == len(data):
                data.append(empty)
            data = data[part]
        else:
            if not isinstance(data, dict):
                return False
            if data.get(part) is None:
                data[part] = empty
            data = data[part]
    if isinstance(last, int):
        if not isinstance(data, list) or last > len(data):
            return False
        data[last : last + 1] = [value]
        return True
    if not isinstance(data, dict):
        return False
    data[last] = value
    return True
