"""How a helper process and its parent talk: lines of JSON over a socket, with descriptors beside them.

What they say stands in `helper`. Here alone is what the parent needs, which never loads what decodes.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Any

LINE_MAX = 1 << 20
FILES_MAX = 253
"""Descriptors in one message (SCM_MAX_FD)."""


def send(connection: socket.socket, message: dict[str, Any], files: Sequence[int] = ()) -> None:
    """One line, and descriptors beside it."""
    line = json.dumps(message).encode() + b"\n"
    sent = socket.send_fds(connection, [line], files) if files else connection.send(line)
    connection.sendall(line[sent:])


def receive(connection: socket.socket, files_max: int = 0) -> tuple[dict[str, Any] | None, list[int]]:
    """The next line and its descriptors; None where the other side is gone."""
    line, files = b"", []
    while not line.endswith(b"\n"):
        if len(line) > LINE_MAX:
            raise ValueError("a line without end")
        chunk, more, _, _ = socket.recv_fds(connection, 65536, files_max)
        files += more
        if not chunk:
            return None, files
        line += chunk
    message: dict[str, Any] = json.loads(line)
    return message, files
