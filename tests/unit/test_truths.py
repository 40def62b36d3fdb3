"""What is listed stands once: names of states, of options and of formats, and their bounds; all else is derived."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import pytest
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

import hotfolder
from hotfolder import model, presets
from hotfolder.cli.app import build
from hotfolder.config import schema
from hotfolder.imaging import formats, record
from hotfolder.pool import sizing
from hotfolder.store import layouts
from hotfolder.telemetry.metrics import Metrics

ROOT = Path(hotfolder.__file__).parent


def _of(kind: Any) -> frozenset[str]:
    """An enumeration as other parts would write it."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return frozenset(each.value if isinstance(each.value, str) else each.name.lower() for each in kind)
    return frozenset(kind) if isinstance(kind, tuple) else frozenset(get_args(kind))


TRUTHS = {
    "model.py": (
        model.Backend,
        model.Held,
        model.HookEvent,
        model.Kind,
        model.Lane,
        model.LogFormat,
        model.LogLevel,
        model.Rank,
        model.Result,
        model.State,
        model.WatchState,
        model.COUNTED,
    ),
    "presets.py": (
        presets.Fit,
        presets.Gravity,
        presets.Colorspace,
        presets.OptimizeMode,
        presets.MetadataRule,
        presets.CHOSEN,
        presets.COPY_CHOSEN,
        tuple(presets.BUILT_IN),
    ),
    "config/schema.py": (schema.Isolation,),
    "imaging/record.py": (record.CAMERA_CLASSES, record.VERDICTS),
    "pool/sizing.py": (sizing.Why,),
    "imaging/formats/__init__.py": (formats.written(), formats.copied(), formats.BUILT_IN),
    "store/layouts/__init__.py": (layouts.names(), layouts.PROMISED),
}


def lists(source: str) -> Iterator[tuple[int, frozenset[str]]]:
    """Each tuple, list, set or Literal of names, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Tuple | ast.List | ast.Set) and len(node.elts) > 1:
            names = [each.value for each in node.elts if isinstance(each, ast.Constant)]
            if len(names) == len(node.elts) and all(isinstance(name, str) for name in names):
                yield node.lineno, frozenset(map(str, names))


def bounds(source: str) -> Iterator[tuple[int, tuple[object, object]]]:
    """Each ge=…, le=… of plain numbers, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            found = {each.arg: ast.unparse(each.value) for each in node.keywords}
            if "ge" in found and "le" in found:
                yield node.lineno, (found["ge"], found["le"])


@pytest.mark.parametrize(
    "planted", ['Fit = Literal["pad", "stretch", "cover", "contain"]', 'if x in ("srgb", "p3", "keep"): pass']
)
def test_a_second_list_would_be_found(planted: str) -> None:
    known = {_of(kind) for kinds in TRUTHS.values() for kind in kinds}
    assert [names for _, names in lists(planted) if names in known]


def test_names_are_listed_once() -> None:
    owner: dict[frozenset[str], list[str]] = {}
    for file, kinds in TRUTHS.items():
        for kind in kinds:
            owner.setdefault(_of(kind), []).append(file)
    for path in ROOT.rglob("*.py"):
        place = str(path.relative_to(ROOT))
        for line, names in lists(path.read_text()):
            assert names not in owner or place in owner[names], f"{place}:{line} lists {sorted(names)} once more"


def test_bounds_of_options_stand_once() -> None:
    known = set(re.findall(r"Bounds\((-?\d+), (-?\d+)\)", (ROOT / "presets.py").read_text()))
    assert len(known) > 4
    for path in ROOT.rglob("*.py"):
        for line, found in bounds(path.read_text()):
            assert found not in known, f"{path.relative_to(ROOT)}:{line} has bounds of an option"


def test_metrics_begin_with_every_name() -> None:
    metrics = Metrics("0")
    metrics.know_watch("w")
    text = metrics.expose("")[0].decode()
    for name, label, kind in (
        ("events_total", "kind", model.Kind),
        ("jobs_total", "result", model.COUNTED),
        ("watch_state", "state", model.WatchState),
        ("queue_depth", "lane", model.Lane),
    ):
        shown = re.findall(rf'^hotfolder_{name}{{.*\b{label}="(\w+)".*}} 0.0$', text, re.M)
        assert frozenset(shown) == _of(kind), name


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT.parents[1] / "README.md").read_text()
    table = text[text.index("## Commands") : text.index("## Configuration")]
    app = build()
    names = [each.name for each in app.registered_commands] + [each.name for each in app.registered_groups]
    assert len(names) > 15
    assert [name for name in names if not re.search(rf"^\|.*\b{name}\b.*`", table, re.M)] == []


def _row(metric: MetricWrapperBase) -> str:
    total = "_total" if isinstance(metric, Counter) else ""
    return f"| `{metric._name}{total}` | {', '.join(metric._labelnames)} | {metric._documentation} |"


def test_docs_list_each_metric_with_its_labels() -> None:
    """docs/metrics.md, and nothing there that is none."""
    known = {_row(each) for each in vars(Metrics("0")).values() if isinstance(each, MetricWrapperBase)}
    known.add("| `hotfolder_internal_errors_total` | where | Errors of our own, each logged with its traceback. |")
    text = (ROOT.parents[1] / "docs/metrics.md").read_text()
    assert {line for line in text.splitlines() if line.startswith("| `hotfolder_")} == known
