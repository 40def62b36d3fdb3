"""Paths as bytes, relative to some root, with ``/`` between parts; the root itself is ``b""``."""

from __future__ import annotations

import base64
from typing import Any


def split(path: bytes) -> tuple[bytes, bytes]:
    """The folder, and the name in it."""
    folder, _, name = path.rpartition(b"/")
    return folder, name


def parent(path: bytes) -> bytes:
    """The folder that it lies in; of the root, the root."""
    return path.rpartition(b"/")[0]


def name(path: bytes) -> bytes:
    """Its last part."""
    return path.rpartition(b"/")[2]


def join(*parts: bytes) -> bytes:
    """The parts with ``/`` between; those that are empty stand for the root."""
    return b"/".join(part for part in parts if part)


def show(path: bytes) -> str:
    """A path for people and logs: undecodable bytes as ``\\xNN``, control characters escaped."""
    text = path.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def named(root: str, path: bytes) -> dict[str, Any]:
    """{path} for JSON, below `root` if there is one; and `path_b64` where it is no UTF-8 or has control characters."""
    full = (root.encode("utf-8", "surrogateescape") + b"/" + path) if root else path
    text = show(full)
    found: dict[str, Any] = {"path": text}
    if text.encode("utf-8", "replace") != full:
        found["path_b64"] = base64.b64encode(full).decode()
    return found
