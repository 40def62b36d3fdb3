"""A new format touches one file: here one that stands outside the package."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import io, json, pathlib, sys, tempfile
from pydantic import ValidationError
from hotfolder import imaging
from hotfolder.config.schema import Optimize, PresetFields
from hotfolder.doctor import _codecs
from hotfolder.errors import Reason, SourceError
from hotfolder.imaging import Limits, Plan, formats, open_image
from hotfolder.store.layouts.mirror import LAYOUT
from hotfolder.store.names import is_image_name
from hotfolder.telemetry.metrics import Metrics
from hotfolder.presets import OptimizeSpec, Preset
from hotfolder.server.routes.orders import Size

try:
    PresetFields(format="toy")
except ValidationError as error:
    assert "'webp' or 'avif'" in str(error), error
from tests.unit import toyformat  # registers it, when all the others are there already

def reason(data, limits=Limits()):
    try:
        return open_image(data, limits, b"x.toy")
    except SourceError as error:
        return error.reason

data = b"TOY 1 90 60 \\n" + bytes(range(90)) * 60

# told by its mark, limited before it is opened, damaged in its own words
opened = open_image(data, Limits(), b"x.jpg")
assert (opened.format, opened.size, opened.notes) == ("toy", (90, 60), ("misnamed",))
assert reason(b"TOY 1 99999 99999 \\n") is Reason.TOO_MANY_PIXELS
assert reason(b"TOY 1 9 9 " + b"x" * 17_000_000 + b"\\n") is Reason.TOO_MANY_BYTES
assert imaging.peak(opened, Plan(()), ()) > 0

# thumbnails of it, in it, and a copy in it
presets = Preset("a", 30, 20, format="png"), Preset("b", 30, 20, format="toy")
plan, files = Plan(presets, OptimizeSpec(max_dimension=45)), {}
def create(name):
    files[name] = tempfile.TemporaryFile("w+b")
    return files[name]
made = imaging.render(opened, plan, plan.names(), create)
assert {o.preset: (o.width, o.height) for o in made.outputs} == {"a": (30, 20), "b": (30, 20), "optimized": (45, 30)}
for name in ("b", "optimized"):
    files[name].seek(0)
    again = open_image(files[name].read(), Limits())
    assert again.format == "toy"

cut = open_image(data[:-500], Limits())
try:
    imaging.render(cut, Plan((presets[0],)), ("a",), create)
except SourceError as error:
    assert error.reason is Reason.TRUNCATED
else:
    raise AssertionError("it was shown")

# names, types, the configuration, the API, doctor, metrics
assert is_image_name(b"A.TY") and not is_image_name(b"a.toys")
assert LAYOUT.thumbnail(b"a.toy", Preset("t", 9, 9, suffix="_t", format="toy"), 255).name == b"a_t.toy"
assert LAYOUT.copy(b"a.jpg", OptimizeSpec(format="toy"), 255).name.endswith(b".toy")
assert formats.media_type(data) == "image/x-toy"
assert PresetFields(format="toy").format == Optimize(format="toy").format == "toy"
assert Size(width=9, height=9, format="toy", suffix="_x").format == "toy"
try:
    PresetFields(format="gif")
except ValidationError as error:
    assert "'avif' or 'toy'" in str(error), error
assert "toy" in json.dumps(PresetFields.model_json_schema())
assert any(finding.subject == "codec toys" for finding in _codecs())
assert 'extra="toys"' in Metrics("0", extras=imaging.extra_names()).expose("")[0].decode()
assert formats.of("toy").decoder in imaging.decoders()
"""


def test_a_format_from_outside_is_one_everywhere() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
