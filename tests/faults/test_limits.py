"""What the kernel grants runs out, or its events do not come: everything is found all the same, and said."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.hooks import DEAF
from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
WATCH = "    presets: [small]\n    optimize: {enabled: false}"


def small(path: str) -> str:
    return f"thumbnails/{path}_thumb_small.jpg"


def kernel_watches(daemon: Daemon) -> int:
    """As the kernel counts them (proc(5), fdinfo)."""
    folder = Path(f"/proc/{daemon.process.pid}/fdinfo")
    return sum(line.startswith("inotify ") for file in folder.iterdir() for line in file.read_text().splitlines())


@pytest.fixture
def few_watches() -> Iterator[Callable[[int], None]]:
    """Leave only so many kernel watches to this user; others of the same user may hold some."""
    limit = Path("/proc/sys/fs/inotify/max_user_watches")
    if not os.access(limit, os.W_OK):
        pytest.skip("only the superuser may set the kernel's limits")
    former = limit.read_text()
    yield lambda count: print(limit.write_text(str(count)))
    limit.write_text(former)


def test_watches_run_out(tmp_path: Path, run: Run, few_watches: Callable[[int], None]) -> None:
    place = Place(tmp_path, watch=WATCH + "\n    poll_interval: 1s")
    for number in range(40):
        (place.inbox / f"d{number}").mkdir()
    few_watches(20)
    daemon = run(place)
    daemon.wait_log("max_user_watches")
    assert daemon.metric("hotfolder_watch_state", state="degraded", watch="inbox") == 1
    expected = set()
    for number in range(40):
        place.put(f"d{number}/a.jpg", jpeg(60, 40, number))
        expected.add(small(f"d{number}/a"))
    daemon.wait_renditions(expected)
    assert kernel_watches(daemon) <= 20


def test_excluded_folders_cost_no_watch(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH + "\n    exclude: [private]")
    for number in range(30):
        (place.inbox / f"{number}/@eaDir/x").mkdir(parents=True)
        (place.inbox / f"{number}/private").mkdir()
        (place.inbox / f"{number}/.hidden").mkdir()
    daemon = run(place)
    place.put("29/a.jpg", jpeg(60, 40))
    daemon.wait_renditions({small("29/a")})
    (place.inbox / "new/@eaDir").mkdir(parents=True)
    place.put("new/b.jpg", jpeg(60, 40, 1))
    daemon.wait_renditions({small("29/a"), small("new/b")})
    assert kernel_watches(daemon) == 32  # the root, 30 folders and the new one


def test_no_file_descriptor_is_left(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    daemon = run(place)
    place.put("first.jpg", jpeg(60, 40))
    daemon.wait_renditions({small("first")})
    process = psutil.Process(daemon.process.pid)
    former = process.rlimit(resource.RLIMIT_NOFILE)
    process.rlimit(resource.RLIMIT_NOFILE, (process.num_fds() + 1, former[1]))
    expected = {small("first")}
    for number in range(10):
        place.put(f"deep/er/{number}.jpg", jpeg(60, 40, number))
        expected.add(small(f"deep/er/{number}"))
    daemon.wait_log("Too many open files")
    process.rlimit(resource.RLIMIT_NOFILE, former)
    wait_for("all made", lambda: place.renditions() == expected, 60, daemon.text)
    assert place.failures() == []
    assert daemon.stop() == 0


def test_a_deaf_watcher_is_noticed(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH + "\n    rescan_interval: 3s\n    poll_interval: 1s")
    place.hook(DEAF)
    daemon = run(place)
    walks = "hotfolder_reconcile_duration_seconds_count"
    expected = set()
    for number in range(12):  # what changed just before a walk is not counted: its event may be on the way
        if " deaf " in daemon.text():
            break
        before = daemon.metric(walks)
        place.put(f"{number}.jpg", jpeg(60, 40, number))
        expected.add(small(str(number)))
        wait_for("the walk that finds it", lambda: place.renditions() >= expected, context=daemon.text)
        daemon.wait_metric(walks, before + 1)
    daemon.wait_log(" deaf ")
    assert daemon.metric("hotfolder_missed_changes_total", watch="inbox") >= 3
    assert daemon.metric("hotfolder_watch_state", state="polling", watch="inbox") == 1


def test_events_that_come_are_never_called_missed(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH + "\n    rescan_interval: 1s")
    daemon = run(place)
    walks = "hotfolder_reconcile_duration_seconds_count"
    expected = set()
    for number in range(60):
        place.put(f"{number % 5}/{number}.jpg", jpeg(400, 300, number))
        expected.add(small(f"{number % 5}/{number}"))
        (place.inbox / "moved").mkdir(exist_ok=True)
        daemon.get("/healthz")
    shutil.copytree(place.inbox / "1", place.inbox / "copy")
    expected |= {small(f"copy/{number}") for number in range(60) if number % 5 == 1}
    daemon.wait_renditions(expected)
    wait_for("five walks", lambda: daemon.metric(walks) >= 5)
    assert daemon.metric("hotfolder_missed_changes_total", watch="inbox") == 0
