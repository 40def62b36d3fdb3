"""From a file and the environment to a Config: found, read, overridden, validated; every problem said at once.

A message names the file and line (or the variable), the key, the bad value and what is allowed.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import pydantic
import yaml
from pydantic import BeforeValidator
from pydantic_core import ErrorDetails

from hotfolder.config import checks, document, units
from hotfolder.config.document import Document, Path, show
from hotfolder.config.schema import Config, Hook, PresetFields, Section
from hotfolder.errors import ConfigError

PREFIX = "HOTFOLDER_"
PLACES = ("./config.yaml", "/etc/hotfolder/config.yaml")
TOKEN_MAX = 4096


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration, where it came from, the HTTP token, and what its owner should know."""

    config: Config
    file: str
    token: str | None
    warnings: tuple[str, ...]


def find(explicit: str | None, environ: Mapping[str, str]) -> str:
    """The file to read. Raises ConfigError, with all places, where there is none."""
    named = explicit or environ.get(f"{PREFIX}CONFIG")
    if named:
        return named
    for place in PLACES:
        if os.path.exists(place):
            return place
    raise ConfigError(
        f"no configuration: looked for -c FILE, ${PREFIX}CONFIG, {', '.join(PLACES)}; "
        "`hotfolder config init` writes a commented one"
    )


def load(explicit: str | None, environ: Mapping[str, str]) -> Loaded:
    """Raises ConfigError with one line for each problem."""
    file = find(explicit, environ)
    found = document.read(file)
    warnings = _override(found, environ)
    if "state" not in found.data and environ.get("STATE_DIRECTORY"):
        found.data["state"] = environ["STATE_DIRECTORY"].split(":")[0]
    try:
        config = Config.model_validate(found.data)
    except pydantic.ValidationError as error:
        raise ConfigError("\n".join(_say(found, each) for each in error.errors())) from None
    config = _resolved(config, os.path.dirname(os.path.abspath(file)))
    config = _with_secrets(found, config)
    token = _token(found, config, environ)
    problems = checks.problems(config, has_token=token is not None)
    if problems:
        raise ConfigError("\n".join(f"{found.place(path)}: {show(path)}: {text}" for path, text in problems))
    warnings += [f"{found.place(path)}: {show(path)}: {text}" for path, text in checks.lacking(config)]
    return Loaded(config, os.path.abspath(file), token, tuple(warnings))


# -- the environment ---------------------------------------------------------------------------------------------------


def _override(found: Document, environ: Mapping[str, str]) -> list[str]:
    """Put HOTFOLDER_A__B=value into the data; gives a warning for each variable that names no key."""
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
        elif kind is not None and get_args(kind) and isinstance(part, str):
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


# -- resolving ---------------------------------------------------------------------------------------------------------


def _resolved(config: Config, base: str) -> Config:
    """Paths relative to the file, names from folders."""
    watches = []
    for watch in config.watches:
        path = _absolute(watch.path, base)
        name = watch.name or checks.slug(os.path.basename(path))
        watches.append(watch.model_copy(update={"path": path, "output": _absolute(watch.output, base), "name": name}))
    http = config.http
    if http.token_file is not None:
        http = http.model_copy(update={"token_file": _absolute(http.token_file, base)})
    hooks = tuple(_resolved_hook(hook, base) for hook in config.hooks)
    state = _absolute(config.state, base)
    return config.model_copy(update={"watches": tuple(watches), "state": state, "http": http, "hooks": hooks})


def _resolved_hook(hook: Hook, base: str) -> Hook:
    """A command with a slash is a file; one without is looked for on PATH when it is run."""
    update: dict[str, Any] = {}
    if hook.run is not None and "/" in hook.run[0]:
        update["run"] = (_absolute(hook.run[0], base), *hook.run[1:])
    if hook.secret_file is not None:
        update["secret_file"] = _absolute(hook.secret_file, base)
    return hook.model_copy(update=update)


def _with_secrets(found: Document, config: Config) -> Config:
    """The hooks with what their `secret_file` holds. Raises ConfigError for one that stands in the file itself."""
    hooks = []
    for at, hook in enumerate(config.hooks):
        path: Path = ("hooks", at, "secret")
        if hook.secret is not None and not found.place(path).startswith("$"):
            text = f"a configuration is no place for secrets; use secret_file, or ${PREFIX}HOOKS__{at}__SECRET"
            raise ConfigError(f"{found.place(path)}: {show(path)}: {text}")
        if hook.secret is None and hook.secret_file is not None:
            path = ("hooks", at, "secret_file")
            secret = _secret_of(hook.secret_file, f"{found.place(path)}: {show(path)}")
            hook = hook.model_copy(update={"secret": secret})  # noqa: PLW2901
        hooks.append(hook)
    return config.model_copy(update={"hooks": tuple(hooks)})


def _absolute(path: str, base: str) -> str:
    return os.path.normpath(os.path.join(base, os.path.expanduser(path)))


def _token(found: Document, config: Config, environ: Mapping[str, str]) -> str | None:
    if token := environ.get(f"{PREFIX}HTTP__TOKEN", "").strip():
        return token
    if config.http.token_file is None:
        return None
    return _secret_of(config.http.token_file, f"{found.place(('http', 'token_file'))}: http.token_file")


def _secret_of(file: str, where: str) -> str:
    try:
        with open(file, encoding="utf-8") as opened:
            secret = opened.read(TOKEN_MAX).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: {file} cannot be read: {error}") from error
    if not secret:
        raise ConfigError(f"{where}: {file} is empty; write a secret into it")
    return secret


# -- messages ----------------------------------------------------------------------------------------------------------


def _say(found: Document, error: ErrorDetails) -> str:
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
