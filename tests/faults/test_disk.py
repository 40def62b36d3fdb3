"""Full and read-only disks: the daemon says so, waits, and finishes by itself; nothing is left half-written."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
BALLAST = "ballast.bin"


def mount(path: Path, size: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only the superuser may mount")
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "hotfolder-test", path], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A tmpfs of 12 MB at a place below tmp_path."""
    mounted: list[Path] = []

    def make(name: str) -> Path:
        mount(tmp_path / name, "12m")
        mounted.append(tmp_path / name)
        return tmp_path / name

    yield make
    for path in mounted:
        subprocess.run(["umount", "-l", path], check=True)


def fill(disk: Path) -> None:
    with (disk / BALLAST).open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def unready(daemon: Daemon) -> dict[str, str]:
    try:
        daemon.get("/readyz")
    except urllib.error.HTTPError as error:
        return dict(json.loads(error.read())["problems"])
    return {}


def whole(place: Place) -> None:
    """Every rendition opens to its end, and nothing else lies there."""
    for name in place.renditions():
        with Image.open(place.out / name) as image:
            image.load()


def test_a_full_output(tmp_path: Path, run: Run, small_disk: Callable[[str], Path]) -> None:
    place = Place(tmp_path)
    disk = small_disk("out")
    daemon = run(place)
    place.put("first.jpg", jpeg(300, 200))
    daemon.wait_renditions(place.of("first.jpg"))
    fill(disk)
    expected = place.of("first.jpg")
    for number in range(8):
        place.put(f"{number}.jpg", jpeg(300, 200, number))
        expected |= place.of(f"{number}.jpg")
    wait_for("word of it", lambda: "output" in str(unready(daemon)), context=daemon.text)
    assert daemon.metric("hotfolder_watch_state", state="degraded", watch="inbox") == 1
    daemon.wait_log("trouble")
    daemon.wait_renditions(place.of("first.jpg") | {BALLAST})
    (disk / BALLAST).unlink()
    wait_for("all made", lambda: place.renditions() == expected, 60, daemon.text)
    wait_for("ready again", lambda: unready(daemon) == {}, context=daemon.text)
    assert daemon.metric("hotfolder_watch_state", state="ok", watch="inbox") == 1
    whole(place)
    assert place.failures() == []
    assert daemon.stop() == 0


def test_below_min_free_nothing_new_is_made(tmp_path: Path, run: Run, small_disk: Callable[[str], Path]) -> None:
    """There would be room for these renditions: it is left to others."""
    place = Place(tmp_path, "limits: {min_free: 6MB}")
    disk = small_disk("out")
    daemon = run(place)
    place.put("first.jpg", jpeg(300, 200))
    daemon.wait_renditions(place.of("first.jpg"))
    made = {name: (place.out / name).read_bytes() for name in place.renditions()}
    (disk / BALLAST).write_bytes(bytes(7_000_000))
    place.put("second.jpg", jpeg(300, 200, 2))
    wait_for("word of it", lambda: "limits.min_free" in str(unready(daemon)), context=daemon.text)
    assert daemon.metric("hotfolder_watch_state", state="degraded", watch="inbox") == 1
    assert place.cli("status", "--once").returncode == 1
    assert place.renditions() == made.keys() | {BALLAST}
    assert {name: (place.out / name).read_bytes() for name in made} == made
    (disk / BALLAST).unlink()
    daemon.wait_renditions(place.of("first.jpg") | place.of("second.jpg"))
    wait_for("ready again", lambda: unready(daemon) == {}, context=daemon.text)
    assert place.failures() == []


def test_an_output_that_turns_read_only(tmp_path: Path, run: Run, small_disk: Callable[[str], Path]) -> None:
    place = Place(tmp_path)
    disk = small_disk("out")
    daemon = run(place)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    place.put("a.jpg", jpeg())
    wait_for("word of it", lambda: "Read-only" in str(unready(daemon)), context=daemon.text)
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    daemon.wait_renditions(place.of("a.jpg"))
    assert place.failures() == []


def test_a_full_state(tmp_path: Path, run: Run, small_disk: Callable[[str], Path]) -> None:
    place = Place(tmp_path, "state: ./small/state")
    disk = small_disk("small")
    daemon = run(place)
    place.put("first.jpg", jpeg(300, 200))
    daemon.wait_renditions(place.of("first.jpg"))
    fill(disk)
    expected = place.of("first.jpg")
    for number in range(30):
        place.put(f"{'long' * 40}{number}.jpg", jpeg(60, 40, number))
        expected |= place.of(f"{'long' * 40}{number}.jpg")
    wait_for("word of it", lambda: "index" in str(unready(daemon)), 60, daemon.text)
    (disk / BALLAST).unlink()
    wait_for("all made", lambda: place.renditions() == expected, 60, daemon.text)
    wait_for("ready again", lambda: unready(daemon) == {}, 60, context=daemon.text)
    wait_for(
        "all rows",
        lambda: len([row for row in place.export() if row["state"] == "done"]) == 31,
        10,
        lambda: str([(row["path"][-9:], row["state"]) for row in place.export()]) + daemon.text(),
    )
    assert daemon.stop() == 0
    with closing(sqlite3.connect(disk / "state/index.db")) as index:
        assert index.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_configuration_that_found_no_room_is_in_force_when_there_is(
    tmp_path: Path, run: Run, small_disk: Callable[[str], Path]
) -> None:
    """Its watch had been ended for a new one: it must not stay away until somebody comes by."""
    place = Place(tmp_path, "state: ./small/state")
    disk = small_disk("small")
    daemon = run(place)
    place.put("a.jpg", jpeg(300, 200))
    daemon.wait_renditions(place.of("a.jpg"))
    fill(disk)
    place.put(f"{'long' * 50}.jpg", jpeg(60, 40))
    wait_for("word of it", lambda: "index" in str(unready(daemon)), 60, daemon.text)
    text = (place.base / "config.yaml").read_text()
    new = "  - {path: ./another, output: ./another_out}\nhttp:"
    text = text.replace("output: ./out", "output: ./out\n    presets: [small]").replace("http:", new)
    (place.base / "another").mkdir()
    (place.base / "config.yaml").write_text(text)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("config_not_applied")
    (disk / BALLAST).unlink()
    wait_for("it to be in force", lambda: "config_applied" in daemon.text(), 60, daemon.text)
    place.put("b.jpg", jpeg(seed=2))
    made = {"optimized/b.jpg", "thumbnails/b_thumb_small.jpg"}
    wait_for("b.jpg", lambda: {each for each in place.renditions() if "/b" in each} == made, 60, daemon.text)
    wait_for("ready again", lambda: unready(daemon) == {}, 60, context=daemon.text)


@pytest.mark.parametrize("command", ["run", "scan"])
def test_a_start_with_a_full_state_folder_says_so(
    tmp_path: Path, small_disk: Callable[[str], Path], command: str
) -> None:
    place = Place(tmp_path)
    disk = small_disk(".hotfolder")
    place.put("first.jpg", jpeg(300, 200))
    assert place.scan().returncode == 0
    fill(disk)
    refused = place.cli(command)
    assert (refused.returncode, "index.db" in refused.stderr) == (3, True), refused
    assert "its disk is full; free some space there" in refused.stderr
    (disk / BALLAST).unlink()
    assert place.scan().returncode == 0


def test_a_state_folder_too_small_to_begin_with(tmp_path: Path, small_disk: Callable[[str], Path]) -> None:
    place = Place(tmp_path)
    fill(small_disk(".hotfolder"))
    refused = place.cli("scan")
    assert (refused.returncode, "No space left on device; free some space there" in refused.stderr) == (3, True), (
        refused
    )
