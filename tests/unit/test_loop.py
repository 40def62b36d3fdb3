"""Nothing blocks the event loop: what is async in serving/ only awaits, and hands work that takes time to a thread."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import hotfolder

SERVING = Path(hotfolder.__file__).parent / "serving"
BLOCKING = (
    "open(", "os.open(", "os.read(", "os.pread(", "os.write(", "os.stat(", "os.listdir(", "os.scandir(", "os.unlink(",
    "os.rename(", "os.fsync(", "os.close(", "os.path.real", "os.path.is", "time.sleep(", "engine.index",
    "engine.orders", "engine.holds", "self._engine.index", "requests.", "naming.", "atomic.", "care.", "hooks.",
    "state.", "explain(", "subprocess.", "socket.create",
)  # fmt: skip
"""How a call begins that touches a file, a lock or the index."""
DONE = ("ended.result(", "done.result(")
"""The outcome of a future that has one."""


def asynchronous() -> Iterator[tuple[str, ast.AsyncFunctionDef]]:
    for file in sorted(SERVING.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.AsyncFunctionDef):
                yield file.name, node


def calls(node: ast.AST) -> Iterator[ast.Call]:
    """Those that the function makes itself; what stands in a lambda or an inner function runs elsewhere, or is asked
    for itself."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from calls(child)


def test_async_functions_do_not_block() -> None:
    found = list(asynchronous())
    assert len(found) > 20
    for file, function in found:
        for call in calls(function):
            text = ast.unparse(call.func) + "("
            waits = text.endswith(".result(") and text not in DONE
            assert not waits and not text.startswith(BLOCKING), f"{file}: {function.name} calls {text}…) on the loop"
