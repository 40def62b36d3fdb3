"""Any mix of images stays under `pool.memory_limit`, nothing starves, and the table of what images take holds."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hotfolder.pool import sizing
from tests.helpers import Daemon, Place, jpeg, wait_for

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
LIMIT_MB = 512
LARGE = {
    "baseline.jpg": ("jpeg 4:2:0", 100),
    "progressive.jpg": ("jpeg 4:2:0 progressive", 100),
    "progressive444.jpg": ("jpeg 4:4:4 progressive", 100),
    "interlaced.png": ("png interlaced", 100),
    "grey.jpg": ("jpeg grey progressive", 100),
}
NEVER = {"progressive444.jpg", "interlaced.png"}
"""At 100 MP they take more than 512 MB whatever else is done: 600 MB of coefficients, 400 MB of pixels and copies."""
MIDDLE = {
    "camera.jpg": ("jpeg 4:2:0", 24),
    "camera444.jpg": ("jpeg 4:4:4 progressive", 24),
    "scan.png": ("png interlaced", 24),
    "tiff.tif": ("tiff", 24),
}


def generate(kind: str, path: Path, megapixels: float) -> None:
    command = [sys.executable, str(BENCHMARKS / "generated.py"), kind, str(path), str(megapixels)]
    subprocess.run(command, check=True)


def resident(daemon: Daemon, key: str = "VmRSS") -> float:
    """Megabytes (proc(5), status)."""
    lines = Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1000


@contextmanager
def watched(daemon: Daemon) -> Iterator[list[float]]:
    """What the reservations add up to meanwhile, in megabytes, looked at again and again."""
    seen: list[float] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.2):
            seen.append(daemon.metric("hotfolder_memory_reserved_bytes") / 1e6)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


@pytest.mark.timeout(900)
def test_a_mix_of_sizes_on_32_workers_stays_under_the_limit(tmp_path: Path, run: Callable[[Place], Daemon]) -> None:
    place = Place(
        tmp_path,
        watch="    presets: [small, preview]\n    optimize: {enabled: false}",
        extra=f"pool: {{workers: 32, memory_limit: {LIMIT_MB}MB}}",
    )
    elsewhere = tmp_path / "generated"
    elsewhere.mkdir()
    for name, (kind, megapixels) in {**LARGE, **MIDDLE}.items():
        generate(kind, elsewhere / name, megapixels)
    expected = set()
    for number in range(150):
        (place.inbox / f"tiny{number}.jpg").write_bytes(jpeg(200, 150, number))
        expected.add(f"tiny{number}.jpg")
    for turn in range(3):
        for name in {**LARGE, **MIDDLE}:
            if turn and name in NEVER:
                continue
            copy = place.inbox / f"{turn}-{name}"
            content = (elsewhere / name).read_bytes()
            copy.write_bytes(content + b"\0" * turn)  # other bytes: each is decoded
            if name not in NEVER:
                expected.add(copy.name)
    daemon = run(place)

    def made() -> bool:
        return {small for small in place.renditions() if "_thumb_small" in small} == {_small(n) for n in expected}

    with watched(daemon) as reserved:
        wait_for("all that fit to be made", made, 600, daemon.text)
        failed = "hotfolder_quarantined_sources"
        wait_for("the others in quarantine", lambda: daemon.metric(failed, reason="too_much_memory") == len(NEVER), 60)
    peak = resident(daemon, "VmHWM")
    assert peak < LIMIT_MB, f"{peak:.0f} MB resident; at most {max(reserved):.0f} MB were reserved"
    assert max(reserved) <= LIMIT_MB
    assert max(reserved) > 300, "the mix has to press against the limit, or it shows nothing"
    assert {Path(entry["path"]).name.partition("-")[2] for entry in place.failures()} == NEVER
    assert "memory_limit" in place.failures()[0]["message"]
    kept = wait_for("freed memory to be given back", lambda: (now := resident(daemon)) < LIMIT_MB / 2 and now, 60)
    print(f"peak {peak:.0f} MB, afterwards {kept:.0f} MB")


def _small(name: str) -> str:
    stem, _, extension = name.rpartition(".")
    return f"thumbnails/{stem}_thumb_small.jpg" if extension == "jpg" else f"thumbnails/{name}_thumb_small.jpg"


@pytest.mark.parametrize("workers", [2, 32])
def test_the_program_itself_takes_what_is_left_for_it(
    tmp_path: Path, run: Callable[[Place], Daemon], workers: int
) -> None:
    """With every library loaded and every worker used, by small pictures; what these freed is given back."""
    place = Place(tmp_path, extra=f"pool: {{workers: {workers}}}")
    for number in range(150):
        (place.inbox / f"{number}.jpg").write_bytes(jpeg(200, 150, number))
    daemon = run(place)
    daemon.wait_renditions(set().union(*(place.of(f"{number}.jpg") for number in range(150))))
    own = sizing.own_memory(workers) / 1e6
    wait_for(f"less than {own:g} MB", lambda: resident(daemon) < own, 60, lambda: f"{resident(daemon):g} MB")


@pytest.mark.timeout(900)
def test_the_table_holds() -> None:
    kinds = [
        "jpeg 4:2:0",
        "jpeg 4:4:4",
        "jpeg grey",
        "jpeg 4:4:4 scans",
        "jpeg 4:4:4 kept",
        "jpeg 4:4:4 progressive",
        "jpeg cmyk",
        "jpeg 4:2:0 turned",
        "png interlaced",
        "png 16 bit grey",
        "webp alpha",
        "avif",
        "tiff deflate",
        "gif",
    ]
    plans = ["--plan", "thumbnails", "--plan", "full"]
    command = [sys.executable, str(BENCHMARKS / "memory.py"), *kinds, *plans, "--megapixels", "6"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 2 + 2 * len(kinds), done.stdout + done.stderr


def test_photos_of_12_megapixels_fit_into_a_small_machine(tmp_path: Path, run: Callable[[Place], Daemon]) -> None:
    """As in a container of 260 MB, of which the program itself takes 120."""
    place = Place(tmp_path, extra="pool: {memory_limit: 256MB}")
    kinds = {"a.jpg": "jpeg 4:2:0", "b.jpg": "jpeg 4:2:0 turned", "c.jpg": "jpeg 4:2:0 progressive turned"}
    for name, kind in kinds.items():
        generate(kind, place.inbox / name, 12)
    daemon = run(place)
    daemon.wait_renditions(set().union(*(place.of(name) for name in kinds)))
    assert place.failures() == []
    assert resident(daemon, "VmHWM") < 260
