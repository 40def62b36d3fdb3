"""Names of files that are not complete yet."""

from __future__ import annotations

import secrets

_PREFIX = b".hotfolder-"
_SUFFIX = b".tmp"


def name() -> bytes:
    """A new one."""
    return _PREFIX + secrets.token_hex(8).encode() + _SUFFIX


def is_name(text: bytes) -> bool:
    """Whether a file of this name is one of ours that was left."""
    return text.startswith(_PREFIX) and text.endswith(_SUFFIX)
