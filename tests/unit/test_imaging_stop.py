"""Work of the core that is told to end: by another thread, or by the clock; in every loop, within a few rows."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import shutil
import subprocess
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from hotfolder.errors import Reason, SourceError
from hotfolder.imaging import Limits, Plan, native, open_image, render
from hotfolder.presets import OptimizeSpec, Preset
from tests.growing import growth
from tests.unit.imaging import encoded, long_jpeg, noise

ROOT = Path(__file__).parents[2]
SOURCES = sorted(map(str, (ROOT / "native").glob("*.c")))
SIZE = (320, 640)
ROWS = SIZE[1] // 16
"""Rows of the largest blocks: as often at least each loop over the whole picture has to look."""
WHOLE = (0.0, 0.0, float(SIZE[0]), float(SIZE[1]))
TURNED = (0.0, 0.0, float(SIZE[1]), float(SIZE[0]))

built = pytest.mark.skipif(native.core is None, reason="the accelerator is not built here")


Work = Callable[[None, float], object]
"""A call of the core that lacks `cancel` and `seconds`."""


class Ticking:
    """The core with a clock that goes on by a second when it is looked at, and not else (native/failing.c)."""

    def __init__(self, library: Path) -> None:
        spec = importlib.util.spec_from_file_location("_planes", library)
        assert spec is not None
        assert spec.loader is not None
        self.core: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.core)
        self._ticks = ctypes.c_long.in_dll(ctypes.CDLL(str(library)), "ticks")

    @property
    def ticks(self) -> int:
        return self._ticks.value

    def looks(self, work: Work) -> int:
        """How often this looks whether to end."""
        before = self.ticks
        work(None, 1e9)
        return self.ticks - before - 1  # once to set the time


@pytest.fixture(scope="module")
def ticking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ticking]:
    if shutil.which("gcc") is None:
        pytest.skip("no compiler")
    library = tmp_path_factory.mktemp("ticking") / "_planes.so"
    command = ["gcc", "-O1", "-shared", "-fPIC", "-std=gnu11", "-Dclock_gettime=ticking"]
    command += [f"-I{sysconfig.get_paths()['include']}", "-o", str(library), *SOURCES, "-ljpeg", "-lm"]
    subprocess.run(command, check=True)
    yield Ticking(library)


def works(core: Any) -> dict[str, tuple[Work, int]]:
    """What the core does, and how often it has to look meanwhile."""
    base = encoded(noise(*SIZE), "JPEG", quality=90, subsampling="4:2:0")
    progressive = encoded(noise(*SIZE), "JPEG", quality=90, progressive=True)
    planes = core.decode(base, *SIZE, 1)
    whole = planes.resized(SIZE, WHOLE, 1, True)
    coefficients = 2 * (SIZE[1] // 8)  # then eight scans, counted and written, half of them of 3,200 blocks
    return {
        "decode": (partial(core.decode, base, *SIZE, 1), ROWS),
        "decode an eighth": (partial(core.decode, base, *SIZE, 8), ROWS),
        "decode by libjpeg": (partial(core.decode, base[:-2] + b"\xff\xff\xd9", *SIZE, 1), 2 * ROWS),
        "decode scans": (partial(core.decode, progressive, *SIZE, 1), 10 * ROWS),
        # rows, columns, rows and columns again; the colour has half of the size
        "resized": (partial(planes.resized, (300, 600), WHOLE, 1, True, False), 2 * (600 + 300 + 600) // 16),
        "resized, colour in full": (partial(planes.resized, (300, 600), WHOLE, 1, False, False), 3 * 1500 // 16),
        "resized in height": (partial(planes.resized, (320, 500), WHOLE, 1, True, False), 2 * 500 // 16),
        "turned": (partial(planes.resized, (600, 300), TURNED, 6, True, False), 2 * (300 + 600) // 16),
        "averaged": (partial(planes.resized, (100, 200), WHOLE, 1, False, True), 3 * (200 + 100) // 16),
        "baseline": (partial(whole.jpeg, 90, core.BASELINE, None), 2 * ROWS),
        "fast": (partial(whole.jpeg, 90, core.FAST, None), coefficients + 2 * (4 * 4 + 4)),
        "small": (partial(whole.jpeg, 90, core.SMALL, None), coefficients + 2 * (4 * 4 + 4)),
        "plane": (partial(planes.plane, 0), ROWS),
    }


@built
def test_every_loop_looks_whether_to_end(ticking: Ticking) -> None:
    for name, (work, least) in works(ticking.core).items():
        looks = ticking.looks(work)
        assert least <= looks <= 8 * least + 16, f"{name} looks {looks} times"


@built
def test_work_ends_at_any_look_and_loses_nothing(ticking: Ticking) -> None:
    for name, (work, _) in works(ticking.core).items():
        looks = ticking.looks(work)
        for number in (*range(1, looks, 1 + looks // 40), looks):
            before = ticking.ticks
            with pytest.raises(TimeoutError, match="its time is over"):
                work(None, float(number))
            assert ticking.ticks - before == number + 1, f"{name} goes on after look {number}"
        work(None, float(looks + 1))

        def end_in_the_middle(work: Work = work, looks: int = looks) -> None:
            with contextlib.suppress(TimeoutError):
                work(None, float(looks // 2))

        assert growth(end_in_the_middle, 100) < 4096, name


LONG = long_jpeg(4000, 4000, scans=20_000)
"""Half a minute of work or more."""


@built
def test_a_decode_that_takes_for_ever_ends_as_soon_as_another_thread_says_so() -> None:
    core = native.core
    assert core is not None
    cancel = bytearray(1)
    begun = time.thread_time()
    timer = threading.Timer(0.3, cancel.__setitem__, (0, 1))
    timer.start()
    with pytest.raises(core.Cancelled):
        core.decode(LONG, 4000, 4000, 8, cancel)
    timer.join()
    assert time.thread_time() - begun < 5


@built
def test_a_decode_that_takes_for_ever_ends_when_its_time_is_over() -> None:
    core = native.core
    assert core is not None
    begun = time.thread_time()
    with pytest.raises(TimeoutError):
        core.decode(LONG, 4000, 4000, 8, None, 0.3)
    assert time.thread_time() - begun < 5


@built
def test_what_is_told_to_end_before_it_begins_does_nothing() -> None:
    core = native.core
    assert core is not None
    planes = core.decode(encoded(noise(64, 64), "JPEG"), 64, 64, 1)
    for work in (
        partial(core.decode, LONG, 4000, 4000, 1),
        partial(planes.plane, 0),
        partial(planes.resized, (32, 32), (0.0, 0.0, 64.0, 64.0), 1, False, False),
    ):
        with pytest.raises(core.Cancelled, match="told to stop"):
            work(b"\1")
        for seconds in (0.0, -1.0, float("-inf")):
            with pytest.raises(TimeoutError):
                work(None, seconds)
        with pytest.raises(ValueError, match="at least one byte"):
            work(b"")
    assert planes.plane(0, b"\0", 60.0) == planes.plane(0, None, float("nan")) == planes.plane(0)


@built
def test_a_stop_ends_what_is_asked_within_its_guard_and_nothing_else() -> None:
    opened = open_image(encoded(noise(64, 64), "JPEG"), Limits())
    picture = native.decode(opened, 1)
    assert picture is not None
    stop, late = native.Stop(), native.Stop(0.0)
    with stop.guarding():
        small = picture.scaled((32, 32))
        assert small.jpeg(80) == picture.scaled((32, 32)).jpeg(80)
    stop.cancel()
    asked: tuple[Callable[[], object], ...] = (
        lambda: native.decode(opened, 1),
        lambda: picture.scaled((32, 32)),
        lambda: picture.averaged((8, 8)),
        lambda: small.jpeg(80),
        lambda: small.after([[1] * 64] * 2),
        picture.grey,
    )
    for each in (stop, late):
        for work in asked:
            with each.guarding(), pytest.raises(SourceError, match="takes too long") as failed:
                work()
            assert failed.value.reason is Reason.TIMEOUT
            work()


@pytest.mark.parametrize("name", ["PNG", "WEBP", "JPEG"])
def test_what_another_library_makes_ends_between_two_calls_of_it(name: str, tmp_path: Path) -> None:
    """A library's call cannot be ended, but those that would follow it are not made."""
    data = encoded(noise(64, 64), name)
    stop, made = native.Stop(), []

    def create(preset: str) -> BinaryIO:
        made.append(preset)
        stop.cancel()
        return (tmp_path / preset).open("w+b")

    plan = Plan((Preset("a", 40, 40), Preset("b", 30, 30, format="png"), Preset("c", 20, 20)), OptimizeSpec())
    with stop.guarding(), pytest.raises(SourceError, match="takes too long") as failed:
        render(open_image(data, Limits()), plan, plan.names(), create)
    assert failed.value.reason is Reason.TIMEOUT
    assert len(made) == 1
