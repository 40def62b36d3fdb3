"""Presets have one truth: configuration, API, command line and docs show the fields of `presets`, and nothing else."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

import hotfolder
from hotfolder import presets
from hotfolder.config.schema import Analyze, Optimize, PresetFields
from hotfolder.config.types import OneOf
from hotfolder.config.units import show_share
from hotfolder.imaging import formats
from hotfolder.presets import CHOSEN, COPY_CHOSEN, AnalyzeSpec, Bounds, OptimizeSpec, Preset
from hotfolder.server.routes.orders import OptimizeBody, Size
from hotfolder.services.presets import PresetSpec

DOCS = Path(hotfolder.__file__).parents[2] / "docs"
SPECS = {
    "Options of a preset": Preset,
    "Options of the optimized copy": OptimizeSpec,
    "Parts of the analysis": AnalyzeSpec,
}


def options(spec: type[Any]) -> list[str]:
    return [field.name for field in dataclasses.fields(spec) if field.name != "name"]


def test_the_configuration_has_every_option_in_its_order() -> None:
    assert list(PresetFields.model_fields) == options(Preset)
    assert list(Optimize.model_fields) == ["enabled", *options(OptimizeSpec)]
    assert list(Analyze.model_fields) == ["enabled", *options(AnalyzeSpec)]


def test_what_a_configuration_leaves_out_is_the_default() -> None:
    assert repr(Optimize().spec) == repr(OptimizeSpec())  # to the digit: 85 and 85.0 are two signatures
    assert Analyze().spec == AnalyzeSpec()
    assert set(PresetFields().model_dump().values()) == {None}


def test_an_option_that_came_later_makes_nothing_again() -> None:
    """Until it is used."""
    assert Preset("x", 100, 50).signature == "c99b340167cdbfd7d2a83856ac11848d", "as before there was `hdr`"
    assert Preset("x", 100, 50, hdr="keep").signature != Preset("x", 100, 50).signature


def test_the_api_has_what_callers_choose() -> None:
    assert tuple(Size.model_fields) == tuple(PresetSpec.model_fields) == CHOSEN
    assert tuple(OptimizeBody.model_fields) == ("paths", "glob", *COPY_CHOSEN, "output")
    sized = Size.model_validate({"width": 5, "height": 5, "suffix": "_x"}).preset()
    assert sized == Preset("_x", 5, 5, suffix="_x")


@pytest.mark.parametrize("spec", SPECS.values())
def test_bounds_and_names_are_those_of_the_schema(spec: type[Any]) -> None:
    models: dict[Any, type[BaseModel]] = {Preset: PresetFields, OptimizeSpec: Optimize, AnalyzeSpec: Analyze}
    found = {**(schema := models[spec].model_json_schema()), **schema.get("anyOf", [{}, {}])[1]}["properties"]
    for name in options(spec):
        shown = {**found[name], **found[name].get("anyOf", [{}])[0]}
        takes = "".join(allowed(get_type_hints(spec, include_extras=True)[name]))
        if "enum" in shown:
            assert ", ".join(shown["enum"]) == takes
        elif "minimum" in shown:
            assert f"{shown['minimum']} – {shown['maximum']}" == takes.removesuffix(", null")


@pytest.mark.parametrize("title", SPECS)
def test_the_docs_have_every_option_as_it_is(title: str) -> None:
    spec = SPECS[title]
    hints = get_type_hints(spec, include_extras=True)
    expected = []
    for field in dataclasses.fields(spec):
        if field.name == "name":
            continue
        default = "–" if field.default in (dataclasses.MISSING, "") else told(field.default, hints[field.name])
        expected.append((f"`{field.name}`", "".join(allowed(hints[field.name])), default))
    text = (DOCS / "presets.md").read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [tuple(cell.strip() for cell in row.split("|")[1:4]) for row in re.findall(r"^\| `.*", text, re.M)]
    assert rows == expected


def told(value: Any, hint: Any) -> str:
    if hint == presets.Fraction:
        return show_share(value)
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def allowed(hint: Any) -> Iterator[str]:
    """What an option takes, as the docs say it."""
    if hint in (presets.Format, presets.CopyFormat):
        yield ", ".join(formats.written() if hint == presets.Format else formats.copied())
    elif hint == presets.Fraction:
        yield "0% – 100%"
    elif hint is bool:
        yield "true, false"
    elif hint is str:
        yield "text"
    elif get_origin(hint) is Literal:
        yield ", ".join(get_args(hint))
    elif get_origin(hint) in (Union, types.UnionType):
        yield ", ".join("null" if arg is type(None) else "".join(allowed(arg)) for arg in get_args(hint))
    else:
        [bounds] = [mark for mark in hint.__metadata__ if isinstance(mark, Bounds)]
        yield f"{bounds.least} – {bounds.most}"


NEW_OPTION = """
import importlib.util, json, pathlib, sys, tempfile

import hotfolder
path = pathlib.Path(hotfolder.__file__).parent / "presets.py"
source = path.read_text()
line = "    progressive: bool = True\\n"
assert source.count(line) == 1
module = importlib.util.module_from_spec(importlib.util.spec_from_file_location("hotfolder.presets", path))
sys.modules["hotfolder.presets"] = hotfolder.presets = module
exec(compile(source.replace(line, line + "    glow: Sharpen = 0.5\\n"), path, "exec"), module.__dict__)

from hotfolder.config import load
from hotfolder.config.schema import Config
from hotfolder.errors import ConfigError
from hotfolder.imaging import Plan

file = pathlib.Path(tempfile.mkdtemp(), "config.yaml")
def read(glow):
    file.write_text("watches: [{path: ./in, output: ./out}]\\npresets: {small: {glow: %s}}\\n" % glow)
    return load(str(file), {}).config

config = read(2)
small = config.all_presets()["small"]
assert (small.glow, config.all_presets()["large"].glow) == (2.0, 0.5)
assert small.signature != read(3).all_presets()["small"].signature
assert Plan.from_json(Plan((small,)).to_json()).presets == (small,)
assert "glow" in json.dumps(Config.model_json_schema()) and '"glow":2' in config.model_dump_json()
try:
    read(9)
except ConfigError as error:
    assert str(error).endswith("presets.small.glow: 9 is out of range; allowed: at most 5"), error
else:
    raise AssertionError("out of range")
"""


def test_a_new_option_is_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", NEW_OPTION], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_names_that_are_registered_later_count() -> None:
    names = ["a"]
    one = OneOf(lambda: tuple(names))
    with pytest.raises(ValueError, match="Input should be 'a'"):
        one.check("b")
    names.append("b")
    assert one.check("b") == "b"
