"""Nothing blocks the event loop: what is async in server/ and services/ only awaits, and hands work
that takes time to a thread."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import hotfolder

ROOMS = [Path(hotfolder.__file__).parent / name for name in ("server", "services")]
BLOCKING = tuple(
    """
    open( os.open( os.read( os.pread( os.write( os.stat( os.listdir( os.scandir( os.unlink( os.rename( os.fsync(
    os.close( os.path.real os.path.is time.sleep( subprocess. socket.create atomic.
    engine.index engine.orders engine.holds self._engine.index
    naming. cache. hooks. holds. state. sources. health. quarantine. rescans. waiting.look( explain( estimate(
    orders.generate( orders.generate_preset( orders.optimize( orders.analyze( Upload( upload.
    """.split()
)
"""How a call begins that touches a file, a lock or the index."""
DONE = ("ended.result(", "done.result(")
"""The outcome of a future that has one."""


def asynchronous() -> Iterator[tuple[str, ast.AsyncFunctionDef]]:
    for room in ROOMS:
        for file in sorted(room.rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.AsyncFunctionDef):
                    yield str(file.relative_to(room.parent)), node


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
