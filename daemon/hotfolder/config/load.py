"""From a file and the environment to a Config: found, read, overridden, validated; every problem said at once.

A message names the file and line (or the variable), the key, the bad value and what is allowed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pydantic

from hotfolder.config import checks, document
from hotfolder.config.document import Document, Path, show
from hotfolder.config.environment import PREFIX, override
from hotfolder.config.messages import root_causes, say
from hotfolder.config.schema import Config, Hook
from hotfolder.errors import ConfigError

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
    warnings = override(found, environ)
    if "state" not in found.data and environ.get("STATE_DIRECTORY"):
        found.data["state"] = environ["STATE_DIRECTORY"].split(":")[0]
    try:
        config = Config.model_validate(found.data)
    except pydantic.ValidationError as error:
        raise ConfigError("\n".join(say(found, each) for each in root_causes(error.errors()))) from None
    config = _resolved(config, os.path.dirname(os.path.abspath(file)))
    config = _with_secrets(found, config)
    token = _token(found, config, environ)
    problems = checks.problems(config, has_token=token is not None)
    if problems:
        raise ConfigError("\n".join(f"{found.place(path)}: {show(path)}: {text}" for path, text in problems))
    warnings += [
        f"{found.place(path)}: {show(path)}: {text}" for path, text in (*checks.lacking(config), *checks.silent(config))
    ]
    return Loaded(config, os.path.abspath(file), token, tuple(warnings))


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
    except OSError as error:
        raise ConfigError(f"{where}: {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: {file} is no UTF-8 text") from error
    if not secret:
        raise ConfigError(f"{where}: {file} is empty; write a secret into it")
    return secret
