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
    node = _composed(file, _text(file, raw))
    document = Document(file, {})
    if node is None:
        return document
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{file}:1: a configuration is a mapping of keys, such as `watches:`")
    document.data = _build(document, node, (), set())
    return document


def _text(file: str, raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(f"{file}: is UTF-16 text; save it as UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        text = f"byte 0x{raw[error.start]:02x} is no UTF-8 text; save the file as UTF-8"
        raise ConfigError(f"{file}:{line}: {text}") from error


def _composed(file: str, text: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}:{line}: not YAML: {_in_words(error, text)}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = ord(error.character) if isinstance(error.character, str) else error.character
        raise ConfigError(f"{file}:{line}: a control character (U+{character:04X}) stands there; remove it") from error
    except RecursionError:
        raise ConfigError(f"{file}: nested too deeply") from None
    return node


_STARTS = {"while scanning an alias": "*", "while scanning an anchor": "&"}


def _in_words(error: yaml.MarkedYAMLError, text: str) -> str:
    """What PyYAML found, as whoever wrote the file would say it."""
    problem, context = error.problem or "", error.context or ""
    mark = error.problem_mark
    character = text[mark.index : mark.index + 1] if mark is not None and mark.index is not None else ""
    if character == "\t":
        return "a tab stands before the value; YAML takes spaces alone"
    if context in _STARTS or (character and "cannot start any token" in problem):
        return f"a value that begins with {_STARTS.get(context, character)} has to stand in quotes"
    if "unknown escape character" in problem:
        return "a backslash in double quotes begins an escape; use single quotes"
    if "another document" in problem:
        return "a second document begins here; a configuration is one"
    begin = error.context_mark
    if begin is None or mark is None or begin.line == mark.line or not context:
        return problem or context
    return f"{problem}, {context} that begins in line {begin.line + 1}"


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
                raise ConfigError(f"{key_line}: {show(path) or 'the file'}: a key has to be a word")
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
        raise ConfigError(f"{where}: {show(path)}: tags (!…) are not allowed; write a plain value") from error
    except ValueError as error:  # it looks like a date or a number, and is none
        raise ConfigError(f'{where}: {show(path)}: "{node.value}" {error}; text has to stand in quotes') from error
    finally:
        loader.dispose()


def show(path: Path) -> str:
    """``watches[0].settle``"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
