"""Half-written files are waited for; whatever changes afterwards is taken again."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.faults import hooks
from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
WATCH = "    presets: [small]\n    optimize: {enabled: false}"
SMALL = "thumbnails/a_thumb_small.jpg"


def shown(place: Place) -> tuple[int, int]:
    with Image.open(place.out / SMALL) as image:
        image.load()
        return image.size


def test_written_in_bursts(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    daemon = run(place)
    content, pause = jpeg(1600, 1200), threading.Event()
    with (place.inbox / "a.jpg").open("wb") as file:
        for at in range(0, len(content), len(content) // 8 + 1):
            file.write(content[at : at + len(content) // 8 + 1])
            file.flush()
            pause.wait(0.7)  # longer than settle, so that only the open file speaks
            assert place.renditions() == set()
    daemon.wait_renditions({SMALL})
    assert daemon.decoded() == 1


def test_preallocated_and_filled(tmp_path: Path, run: Run) -> None:
    """Of full length from the start, zeros until the end; its writer closes it in between."""
    place = Place(tmp_path, watch=WATCH)
    daemon = run(place)
    content, path = jpeg(800, 600), place.inbox / "a.jpg"
    with path.open("wb") as file:
        file.truncate(len(content))
    daemon.wait_log("put_off")
    with path.open("r+b") as file:
        file.write(content[: len(content) // 2])
    daemon.wait_log("put_off", 2)
    with path.open("r+b") as file:
        file.write(content)
    daemon.wait_renditions({SMALL})
    assert shown(place) == (150, 112)
    assert place.failures() == []


def test_temporary_name_and_rename_over_with_the_same_size_and_an_older_time(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    daemon = run(place)
    first, second = jpeg(300, 200, 1), jpeg(200, 300, 2)
    size = max(len(first), len(second))
    path = place.put("a.jpg", first.ljust(size, b"\0"))
    daemon.wait_renditions({SMALL})
    assert shown(place) == (150, 100)
    stat = path.stat()
    for tail, expected in ((second, (100, 150)), (first, (150, 100))):
        temporary = place.put(".a.jpg.part", tail.ljust(size, b"\0"))
        os.utime(temporary, ns=(stat.st_atime_ns, stat.st_mtime_ns - (0 if expected[0] == 100 else 10**12)))
        temporary.replace(path)
        daemon.wait_log(" ready ", 2 if expected == (100, 150) else 3)
        assert shown(place) == expected


def test_same_time_and_size_but_other_bytes(tmp_path: Path, run: Run) -> None:
    """As `exiftool -P` leaves it; and once more while no daemon runs."""
    place = Place(tmp_path, watch=WATCH)
    daemon = run(place)
    first, second = jpeg(300, 200, 1), jpeg(200, 300, 2)
    size = max(len(first), len(second))
    path = place.put("a.jpg", first.ljust(size, b"\0"))
    daemon.wait_renditions({SMALL})
    stat = path.stat()

    def rewrite(content: bytes) -> None:
        path.write_bytes(content.ljust(size, b"\0"))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    rewrite(second)
    wait_for("the new version", lambda: shown(place) == (100, 150), context=daemon.text)
    assert daemon.stop() == 0
    rewrite(first)
    daemon = run(place)
    wait_for("the one after", lambda: shown(place) == (150, 100), context=daemon.text)


def test_a_copy_that_sets_an_old_time_after_the_close(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    daemon = run(place)
    original = tmp_path / "original.jpg"
    original.write_bytes(jpeg(400, 300))
    os.utime(original, (1_000_000_000, 1_000_000_000))
    shutil.copy2(original, place.inbox / "a.jpg")
    daemon.wait_renditions({SMALL})
    wait_for("its row", lambda: [row["mtime_ns"] for row in place.export()] == ["1000000000000000000"], 20, daemon.text)
    assert daemon.decoded() == 1


@pytest.mark.parametrize("change", ["time", "owner and mode", "bytes", "bytes with the old time", "deleted"])
def test_what_happens_while_it_is_decoded(tmp_path: Path, run: Run, change: str) -> None:
    """Only other bytes cost another decode: a copy sets the time of its original after it has closed the file."""
    place = Place(tmp_path, watch=WATCH)
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    place.hook(hooks.DECODER + hooks.GATE.format(gate=str(gate), begun=str(begun)))
    gate.touch()
    daemon = run(place)
    first, second = jpeg(300, 200, 1), jpeg(200, 300, 2)
    size = max(len(first), len(second))
    path = place.put("a.jpg", first.ljust(size, b"\0"))
    before = path.stat()
    wait_for("the decode", begun.exists, context=daemon.text)
    if change == "time":
        os.utime(path, (1_000_000_000, 1_000_000_000))
    elif change == "owner and mode":
        os.chown(path, 1, 1) if os.geteuid() == 0 else path.chmod(0o640)
        path.chmod(0o644)
    elif change == "deleted":
        path.unlink()
    else:
        path.write_bytes(second.ljust(size, b"\0"))
        if "old time" in change:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    gate.unlink()
    if change == "deleted":
        wait_for("its end", lambda: daemon.decoded() == 1, context=daemon.text)
        place.put("b.jpg", second)
        daemon.wait_log(" ready ")
        assert [line for line in daemon.text().splitlines() if " ready " in line and "a.jpg" in line] == []
        daemon.wait_renditions({SMALL.replace("a_", "b_")})
        return
    daemon.wait_renditions({SMALL})
    now = path.stat()
    wait_for("its row", lambda: [row["mtime_ns"] for row in place.export()] == [str(now.st_mtime_ns)], 20, daemon.text)
    wait_for("no work", lambda: daemon.metric("hotfolder_sources_pending", watch="inbox") == 0, context=daemon.text)
    assert daemon.decoded() == (2 if "bytes" in change else 1)
    assert shown(place) == ((100, 150) if "bytes" in change else (150, 100))
    assert daemon.text().count(" ready ") == 1  # what has changed meanwhile is not shown


def test_rsync(tmp_path: Path, run: Run) -> None:
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    place = Place(tmp_path, watch=WATCH)
    daemon = run(place)
    (tmp_path / "from").mkdir()
    for seed, options in ((1, ["-a"]), (2, ["-a", "--inplace"]), (3, ["-a", "--partial", "--bwlimit=400"])):
        (tmp_path / "from/a.jpg").write_bytes(jpeg(700 + seed, 500, seed))
        subprocess.run(["rsync", *options, f"{tmp_path}/from/", f"{place.inbox}/"], check=True)
        daemon.wait_log(" ready ", seed)
    daemon.wait_renditions({SMALL})
    assert place.failures() == []
