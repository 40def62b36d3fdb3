"""Roots and mounts that go, come back, cannot be read or do not answer: nothing is taken for deleted, nothing twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.hooks import BLOCK, BLOCK_RENAMES, HALF_LISTED
from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
WATCH = "    presets: [small]\n    optimize: {enabled: false}\n    rescan_interval: 2s"


def small(path: str) -> str:
    return f"thumbnails/{path}_thumb_small.jpg"


class Disk:
    """A file system that can be taken away and brought back with what is on it."""

    def __init__(self, where: Path, store: Path) -> None:
        self.where = where
        self.store = store

    def mount(self) -> None:
        subprocess.run(["mount", "--bind", self.store, self.where], check=True)

    def umount(self) -> None:
        subprocess.run(["umount", "-l", self.where], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[Path], Disk]]:
    if os.geteuid() != 0:
        pytest.skip("only the superuser may mount")
    store = tmp_path / "store"
    store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "hotfolder-test", store], check=True)
    places: list[Path] = []

    def at(where: Path) -> Disk:
        where.mkdir(parents=True, exist_ok=True)
        places.append(where)
        return Disk(where, store)

    yield at
    for place in places:
        subprocess.run(["umount", "-l", place], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["umount", "-l", store], check=True)


def quiet_rescans(daemon: Daemon, count: int = 2) -> None:
    """Wait until so many more reconciles have ended."""
    name = "hotfolder_reconcile_duration_seconds_count"
    before = daemon.metric(name)
    wait_for("reconciles", lambda: daemon.metric(name) >= before + count, context=daemon.text)


def test_the_root_is_unmounted_and_mounted_again(tmp_path: Path, run: Run, disk: Callable[[Path], Disk]) -> None:
    place = Place(tmp_path, watch=WATCH)
    inbox = disk(place.inbox)
    inbox.mount()
    daemon = run(place)
    place.put("a/1.jpg", jpeg(80, 60, 1))
    place.put("2.jpg", jpeg(80, 60, 2))
    daemon.wait_renditions({small("a/1"), small("2")})
    decoded = daemon.decoded()
    for _ in range(2):
        inbox.umount()
        wait_for("offline", lambda: daemon.metric("hotfolder_watch_up", watch="inbox") == 0, context=daemon.text)
        (watch,) = json.loads(place.cli("status", "--json").stdout)["watches"]
        assert watch["state"] == "offline"
        inbox.mount()
        wait_for("its return", lambda: daemon.metric("hotfolder_watch_up", watch="inbox") == 1, context=daemon.text)
        quiet_rescans(daemon)
        assert place.renditions() == {small("a/1"), small("2")}
    assert daemon.decoded() == decoded
    place.put("3.jpg", jpeg(80, 60, 3))
    daemon.wait_renditions({small("a/1"), small("2"), small("3")})


def test_a_mount_below_goes_and_comes_back_empty(tmp_path: Path, run: Run, disk: Callable[[Path], Disk]) -> None:
    place = Place(tmp_path, watch=WATCH)
    card = disk(place.inbox / "card")
    card.mount()
    daemon = run(place)
    place.put("card/deep/1.jpg", jpeg(80, 60, 1))
    place.put("2.jpg", jpeg(80, 60, 2))
    both = {small("card/deep/1"), small("2")}
    daemon.wait_renditions(both)
    quiet_rescans(daemon)
    decoded = daemon.decoded()
    card.umount()  # the empty folder below is what is seen now
    quiet_rescans(daemon, 3)
    assert place.renditions() == both
    card.mount()
    wait_for("it to be noticed", lambda: "mounts_changed" in daemon.text(), context=daemon.text)
    quiet_rescans(daemon)
    assert place.renditions() == both
    assert daemon.decoded() == decoded
    place.put("card/deep/3.jpg", jpeg(80, 60, 3))
    daemon.wait_renditions(both | {small("card/deep/3")})


def test_the_root_is_deleted_and_made_again(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    daemon = run(place)
    place.put("1.jpg", jpeg(80, 60, 1))
    daemon.wait_renditions({small("1")})
    place.inbox.rename(tmp_path / "elsewhere")
    wait_for("offline", lambda: daemon.metric("hotfolder_watch_up", watch="inbox") == 0, context=daemon.text)
    (tmp_path / "elsewhere").rename(place.inbox)
    wait_for("its return", lambda: daemon.metric("hotfolder_watch_up", watch="inbox") == 1, context=daemon.text)
    quiet_rescans(daemon)
    assert (place.renditions(), daemon.decoded()) == ({small("1")}, 1)
    shutil.rmtree(place.inbox)
    wait_for("offline", lambda: daemon.metric("hotfolder_watch_up", watch="inbox") == 0, context=daemon.text)
    place.put("2.jpg", jpeg(80, 60, 2))
    wait_for("the new one", lambda: small("2") in place.renditions(), context=daemon.text)


def test_permission_withdrawn_and_given_back(tmp_path: Path) -> None:
    wrapper: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("the superuser may read everything, and there is no setpriv to take that from it")
        wrapper = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
    place = Place(tmp_path, watch=WATCH)
    place.put("locked/1.jpg", jpeg(80, 60, 1))
    place.put("2.jpg", jpeg(80, 60, 2))
    daemon = Daemon(place, *wrapper)
    try:
        daemon.ready()
        both = {small("locked/1"), small("2")}
        daemon.wait_renditions(both)
        decoded = daemon.decoded()
        (place.inbox / "locked").chmod(0o000)
        daemon.wait_log("folder_unreadable")
        quiet_rescans(daemon, 3)
        assert place.renditions() == both
        (place.inbox / "locked").chmod(0o755)
        quiet_rescans(daemon)
        assert (place.renditions(), daemon.decoded()) == (both, decoded)
        secret = place.inbox / "secret.jpg"
        (tmp_path / "secret").write_bytes(jpeg(80, 60, 3))
        (tmp_path / "secret").chmod(0o000)
        (tmp_path / "secret").rename(secret)
        place.put("4.jpg", jpeg(80, 60, 4))
        wait_for("the other one", lambda: small("4") in place.renditions(), context=daemon.text)
        secret.chmod(0o644)
        wait_for("the one that may be read now", lambda: small("secret") in place.renditions(), context=daemon.text)
    finally:
        daemon.stop(signal.SIGKILL)


def test_a_listing_that_fails_half_way(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    flag = tmp_path / "broken"
    place.hook(HALF_LISTED.format(flag=str(flag)))
    expected = set()
    for number in range(20):
        place.put(f"d/{number}.jpg", jpeg(60, 40, number))
        expected.add(small(f"d/{number}"))
    daemon = run(place)
    daemon.wait_renditions(expected)
    decoded = daemon.decoded()
    flag.touch()
    daemon.wait_log("folder_unreadable", 3)
    assert place.renditions() == expected
    flag.unlink()
    quiet_rescans(daemon)
    assert (place.renditions(), daemon.decoded()) == (expected, decoded)


def test_a_root_that_does_not_answer(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, "pool: {workers: 2}", WATCH)
    other = tmp_path / "other"
    text = (tmp_path / "config.yaml").read_text()
    more = "  - path: ./other\n    output: ./other-out\n    presets: [small]\n    optimize: {enabled: false}\nhttp:"
    (tmp_path / "config.yaml").write_text(text.replace("http:", more, 1))
    flag = tmp_path / "hung"
    place.hook(BLOCK.format(root=os.fsencode(place.inbox), flag=str(flag)))
    daemon = run(place)
    place.put("1.jpg", jpeg(80, 60, 1))
    daemon.wait_renditions({small("1")})
    flag.touch()
    for number in range(2, 8):
        place.put(f"{number}.jpg", jpeg(80, 60, number))
    wait_for(
        "offline", lambda: daemon.metric("hotfolder_watch_state", state="offline", watch="inbox") == 1, 60, daemon.text
    )
    for path in ("/healthz", "/metrics", "/api/status"):
        began = time.monotonic()
        daemon.get(path)
        assert time.monotonic() - began < 1
    (other / "x.jpg").write_bytes(jpeg(80, 60, 50))
    rendition = tmp_path / "other-out/thumbnails/x_thumb_small.jpg"
    wait_for("the rest goes on", rendition.exists, 30, daemon.text)
    flag.unlink()
    daemon.wait_renditions({small(str(number)) for number in range(1, 8)})
    wait_for("its return", lambda: daemon.metric("hotfolder_watch_up", watch="inbox") == 1, context=daemon.text)
    assert place.failures() == []
    flag.touch()
    place.put("9.jpg", jpeg(80, 60, 9))
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 15


def test_a_folder_moves_while_its_output_does_not_answer(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, "pool: {workers: 2}", WATCH.replace("2s", "6h"))
    other = tmp_path / "other"
    other.mkdir()
    text = (tmp_path / "config.yaml").read_text()
    more = "  - path: ./other\n    output: ./other-out\n    presets: [small]\n    optimize: {enabled: false}\nhttp:"
    (tmp_path / "config.yaml").write_text(text.replace("http:", more, 1))
    flag = tmp_path / "hung"
    place.hook(BLOCK_RENAMES.format(output=str(place.out), flag=str(flag)))
    daemon = run(place)
    place.put("old/1.jpg", jpeg(80, 60, 1))
    daemon.wait_renditions({small("old/1")})
    decoded = daemon.decoded()
    flag.touch()
    (place.inbox / "old").rename(place.inbox / "new")
    quiet = threading.Event()
    for number in range(6):
        quiet.wait(1.0)  # the hang has begun by one of them
        (other / f"{number}.jpg").write_bytes(jpeg(80, 60, 50 + number))
        rendition = tmp_path / f"other-out/thumbnails/{number}_thumb_small.jpg"
        wait_for("the other watch goes on", rendition.exists, 30, daemon.text)
    assert daemon.decoded() == decoded + 6
    daemon.wait_metric("hotfolder_renditions_total", 7, preset="small")
    assert place.renditions() == {small("old/1")}
    flag.unlink()
    daemon.wait_renditions({small("new/1")})
    assert daemon.decoded() == decoded + 6


SHORT_OF_FILES = """
import errno, os
from hotfolder.store import atomic
_open_root = atomic.open_root
def open_root(path):
    if path == {root!r} and os.path.exists({flag!r}):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)
    return _open_root(path)
atomic.open_root = open_root
"""


def test_a_shortage_of_descriptors_is_no_root_that_is_away(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    flag = tmp_path / "short"
    place.hook(SHORT_OF_FILES.format(root=str(place.inbox), flag=str(flag)))
    place.put("1.jpg", jpeg(80, 60, 1))
    flag.touch()
    daemon = run(place)  # from the start
    daemon.wait_log("Too many open files", 2)
    assert daemon.metric("hotfolder_watch_state", state="offline", watch="inbox") == 0
    flag.unlink()
    daemon.wait_renditions({small("1")})
    seen = daemon.text().count("Too many open files")
    flag.touch()  # and later
    (place.inbox / "1.jpg").unlink()
    daemon.wait_log("Too many open files", seen + 3)
    assert daemon.metric("hotfolder_watch_state", state="offline", watch="inbox") == 0
    assert "offline" not in daemon.text()
    assert place.renditions() == {small("1")}
    place.put("2.jpg", jpeg(80, 60, 2))
    flag.unlink()
    daemon.wait_renditions({small("2")})
    assert place.failures() == []
