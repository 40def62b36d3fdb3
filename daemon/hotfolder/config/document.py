"""A YAML file as plain data, with the line of every key: what messages point at. Bounded, and without surprises.

Doubled keys are errors, aliases are refused (they can blow a small file up), and only plain values come out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from hotfolder.errors import ConfigError

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
Path = tuple[str | int, ...]


@dataclass(slots=True)
class Document:
    """Plain data, and where each path of keys stands: a line, or the name of an environment variable."""

    file: str
    data: dict[str, Any]
    places: dict[Path, str] = field(default_factory=dict)

    def place(self, path: Path) -> str:
        """The place of the key, or of the nearest one above it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, self.file)


def read(file: str) -> Document:
    """Raises ConfigError for a file that cannot be read or is no YAML."""
    try:
        with open(file, "rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; name a readable file with -c") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{file}: larger than {MAX_BYTES} bytes, which no configuration is")
    try:
        node = yaml.compose(raw.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text (byte {error.start})") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}:{line}: not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {error}") from error
    document = Document(file, {})
    if node is None:
        return document
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{file}:1: a configuration is a mapping of keys, such as `watches:`")
    document.data = _build(document, node, (), set())
    return document


def _build(document: Document, node: yaml.Node, path: Path, seen: set[int]) -> Any:
    line = node.start_mark.line + 1
    where = f"{document.file}:{line}"
    if path:
        document.places.setdefault(path, where)
    if id(node) in seen:
        raise ConfigError(f"{where}: {show(path)}: aliases (*name) are not allowed; write the value out")
    seen.add(id(node))
    if len(path) > MAX_DEPTH:
        raise ConfigError(f"{where}: {show(path)}: nested too deeply")
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            key_line = f"{document.file}:{key_node.start_mark.line + 1}"
            if key is None:
                raise ConfigError(f"{key_line}: {show(path)}: a key has to be a word")
            if key in found:
                raise ConfigError(f"{key_line}: {show((*path, key))}: stands twice; keep one of them")
            document.places[(*path, key)] = key_line
            found[key] = _build(document, value_node, (*path, key), seen)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_build(document, each, (*path, at), seen) for at, each in enumerate(node.value)]
    return scalar(node, where, path)


def scalar(node: yaml.Node, where: str, path: Path) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: {show(path)}: {getattr(error, 'problem', error)}") from error
    finally:
        loader.dispose()


def show(path: Path) -> str:
    """``watches[0].settle``"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
