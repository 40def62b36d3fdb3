"""The architecture as docs/architecture.md has it: imports run downwards only; and what is pinned is what we know."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import re
from pathlib import Path

import pytest

import hotfolder
from hotfolder.imaging import formats

ROOT = Path(hotfolder.__file__).parent


ROOMS = (
    ("containers", "messages"),
    ("colour",),
    ("formats",),
    ("plan", "record", "rendition"),
    ("decoding",),
    ("metadata",),
    ("native",),
    ("rendering",),
    ("optimizing", "analysis", "memory"),
    ("renditions",),
    ("helper",),
)
"""Of imaging, from the bottom to the top."""


def test_imports_within_imaging_run_downwards() -> None:
    level = {name: at for at, names in enumerate(ROOMS) for name in names}
    found = 0
    for file in (ROOT / "imaging").rglob("*.py"):
        room = file.relative_to(ROOT / "imaging").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(file.read_text())) if room != "__init__" else ():
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("hotfolder.imaging"):
                continue
            tail = (node.module or "").split(".")[2:]
            for name in [tail[0]] if tail else [alias.name for alias in node.names]:
                if name == "_planes" or (room, name) == ("optimizing", "analysis"):  # enhances by what it measures
                    continue
                found += 1
                assert level[name] <= level[room], f"{file} imports {name}, which lies above it"
                assert name == room or level[name] < level[room], f"{file} imports its neighbour {name}"
    assert found > 60


def test_a_formats_name_stands_in_its_own_file_and_the_registry_alone() -> None:
    """So do its extensions, its type and its decoders' names; new formats would be forgotten where they are listed."""
    known = formats.known()
    types = {each.media_type for each in known} - {formats.Format.media_type}
    words = {word for each in known for word in (each.name, *each.plugins, *each.extensions)}
    words |= {"." + extension for each in known for extension in each.extensions}
    words |= {each.extra.module for each in known if each.extra is not None}
    allowed = {
        ("presets.py", "jpeg"): "what thumbnails are by default",
        ("telemetry/metrics.py", "jpeg"): "a label's name",
        ("imaging/formats/avif.py", "heif"): "an extension that both have",
        ("imaging/formats/jxl.py", "jpeg"): "what its decoder calls one that is made of such",
    }
    for file in ROOT.rglob("*.py"):
        place = str(file.relative_to(ROOT))
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str | bytes):
                continue
            value = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            named = value in words or any(each in value for each in types)
            if not named or (place, value) in allowed or place == "imaging/formats/__init__.py":
                continue
            bare = value.removeprefix(".")
            own = [each for each in known if bare in (each.name, each.media_type, *each.plugins, *each.extensions)]
            own += [each for each in known if each.extra is not None and each.extra.module == value]
            where = [f"imaging/formats/{each.name}.py" for each in own]
            assert place in where, f"{place}:{node.lineno} names a format: {value!r}"


def test_all_is_laid_out_by_the_formatter_alone() -> None:
    house = ROOT.parents[1]
    files = [
        file
        for room in ("daemon", "tests", "benchmarks", "docs", "native", "packaging")
        for file in (house / room).rglob("*.py")
        if ".peers" not in file.parts  # what benchmarks brought
    ]
    assert len(files) > 400
    assert [str(file) for file in files if "# fmt" + ": " in file.read_text()] == []


LINES = 300
COLLABORATORS = 6
FUNCTION_LINES = 60


def test_no_module_has_grown_beyond_reading() -> None:
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in ROOT.rglob("*.py")}
    assert {name: n for name, n in lengths.items() if n > LINES} == {}


def test_a_function_fits_a_screen() -> None:
    found = {}
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[f"{file.relative_to(ROOT)}: {node.name}"] = (node.end_lineno or 0) - node.lineno + 1
    assert len(found) > 1000
    assert {name: n for name, n in found.items() if n > FUNCTION_LINES} == {}


def constructors() -> dict[str, int]:
    """How many parameters each takes, without `self`."""
    found = {}
    for file in ROOT.rglob("*.py"):
        owners = [each for each in ast.walk(ast.parse(file.read_text())) if isinstance(each, ast.ClassDef)]
        for owner in owners:
            for node in owner.body:
                if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                    taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                    found[f"{file.relative_to(ROOT)}: {owner.name}"] = len(taken) - 1
    return found


def test_no_constructor_takes_more_than_can_be_kept_in_mind() -> None:
    found = constructors()
    assert len(found) > 100
    assert {name: n for name, n in found.items() if n > COLLABORATORS} == {}


SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|PRAGMA|WITH|BEGIN|REPLACE)\s")


def sql_in(source: str) -> list[str]:
    """What in a module is SQL, or runs it, each with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value):
            found.append(f"{node.lineno}: {node.value.strip()[:40]}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("execute", "executemany", "executescript"):
                found.append(f"{node.lineno}: .{node.func.attr}(")
            elif ast.unparse(node.func) == "sqlite3.connect":
                found.append(f"{node.lineno}: sqlite3.connect(")
    return found


@pytest.mark.parametrize(
    "planted",
    [
        'query = "SELECT 1 FROM source"',
        'query = f"""\n    UPDATE {table} SET gone = 0"""',
        "connection.execute(query)",
        "index.write(lambda c: c.executemany(query, rows))",
        "sqlite3.connect(path)",
    ],
)
def test_sql_would_be_found(planted: str) -> None:
    assert sql_in(planted)


def test_sql_stands_in_the_index_alone() -> None:
    found = {}
    for file in ROOT.rglob("*.py"):
        name = file.relative_to(ROOT)
        if name.parts[0] != "index" and (sql := sql_in(file.read_text())):
            found[str(name)] = sql
    assert found == {}


def test_watchdog_is_what_we_know() -> None:
    from watchdog.observers import inotify_c

    assert importlib.metadata.version("watchdog") == "7.1.0"
    parameters = list(inspect.signature(inotify_c.InotifyFD.add_callback).parameters)
    assert parameters == ["self", "path", "mask", "callback", "id_"]
    assert list(inspect.signature(inotify_c.InotifyFD.remove_callbacks).parameters) == ["self", "callbacks"]
    for name in ("on_event", "on_watch_deleted", "on_queue_overflow"):
        assert hasattr(inotify_c.WatchCallback, name)
    event = inotify_c.InotifyEvent(1, 2, 3, b"x")  # type: ignore[arg-type]
    assert (event.wd, event.mask, event.cookie, event.name) == (1, 2, 3, b"x")


def test_every_event_of_the_log_is_explained() -> None:
    said = set()
    for file in ROOT.rglob("*.py"):
        said |= set(re.findall(r'\b(?:log\.(?:debug|info|warning|error)|say)\(\s*"(\w+)"', file.read_text()))
    table = (ROOT.parents[1] / "docs/logging.md").read_text()
    explained = {
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert len(said) > 40
    assert said == explained
