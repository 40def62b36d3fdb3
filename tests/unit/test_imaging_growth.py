"""Nothing of an image stays behind when it is done, however it ended. Every format: tests/faults/test_leaks.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from hotfolder.imaging import Limits, Plan, native, open_image, render
from hotfolder.presets import OptimizeSpec, Preset
from tests.growing import growth
from tests.unit.imaging import encoded, noise

ROOT = Path(__file__).parents[2]
FLAT = 100.0
"""Bytes an image. The least that ever leaked were 4,112 for a progressive JPEG."""


@pytest.mark.parametrize("kept", [False, True], ids=["baseline", "progressive"])
def test_thousands_of_jpegs_leave_no_memory_behind(kept: bool) -> None:
    data = encoded(noise(64, 48), "JPEG", progressive=kept)
    plan = Plan((Preset("tiny", 32, 32), Preset("square", 16, 16, fit="cover", progressive=False)), OptimizeSpec())
    with tempfile.TemporaryFile() as file:

        def create(name: str) -> Any:
            file.seek(0)
            file.truncate()
            return os.fdopen(os.dup(file.fileno()), "w+b")

        def make() -> None:
            render(open_image(data, Limits()), plan, plan.names(), create)

        assert growth(make, 600) < FLAT


@pytest.mark.skipif(native.core is None, reason="the accelerator is not built here")
@pytest.mark.parametrize("scans", ["BASELINE", "FAST", "SMALL"])
def test_the_core_keeps_nothing_of_what_it_wrote(scans: str) -> None:
    core = native.core
    assert core is not None
    planes = core.decode(encoded(noise(64, 48), "JPEG"), 64, 48, 1).resized((32, 24), (0.0, 0.0, 64.0, 48.0), 1, True)
    assert growth(lambda: planes.jpeg(80, getattr(core, scans)), 4000) < FLAT


STARVED = """
import ctypes, sys
from functools import partial
from hotfolder.imaging.native import core
from tests.growing import growth
from tests.unit.imaging import encoded, noise

fail_at = ctypes.CDLL(None).fail_at
size = (300, 200)
box = (0.0, 0.0, 300.0, 200.0)
base, progressive = (encoded(noise(*size), "JPEG", quality=95, progressive=p) for p in (False, True))
planes = core.decode(base, *size, 1)
whole = planes.resized(size, box, 1, True)
calls = {
    "decode": partial(core.decode, base, *size, 2),
    "decode progressive": partial(core.decode, progressive, *size, 1),
    "resized": partial(planes.resized, (90, 60), box, 1, True),
    "turned": partial(planes.resized, (90, 60), (0.0, 0.0, 200.0, 200.0), 6, True),
    "baseline": partial(whole.jpeg, 95, core.BASELINE),
    "fast": partial(whole.jpeg, 95, core.FAST),
    "small": partial(whole.jpeg, 95, core.SMALL),
    "plane": partial(whole.plane, 0),
}
def starve(call):
    failed = 0
    for number in range(1, 50):
        fail_at(number)
        try:
            call()
        except MemoryError:
            failed += 1
        fail_at(0)
    return failed

for name, call in calls.items():
    failed = starve(call)
    grown = growth(partial(starve, call), 4)
    print(name, failed, round(grown), sep="\t", flush=True)
"""


@pytest.mark.skipif(native.core is None, reason="the accelerator is not built here")
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_memory_that_runs_out_anywhere_in_the_core_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    library = tmp_path / "failing.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, ROOT / "native" / "failing.c"], check=True)
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": path, "MALLOC_CHECK_": "3"}
    done = subprocess.run([sys.executable, "-c", STARVED], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(lines) == 8
    for name, failed, grown in lines:
        assert int(failed) >= 1, f"{name} was never short of memory"
        assert int(grown) < 49 * FLAT, f"{name} keeps {grown} bytes when it fails in each of 49 places"
