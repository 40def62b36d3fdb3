"""Which part of a root is polled, when what is walked, and whose own time is counted."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotfolder import mounts
from hotfolder.mounts import Mount
from hotfolder.pool.owntime import OwnTime
from hotfolder.watcher import schedule
from hotfolder.watcher.coverage import DEAF_AFTER, Coverage
from hotfolder.watcher.schedule import Schedule


def coverage(monkeypatch: pytest.MonkeyPatch, root: Path, wanted: str = "auto", **below: str) -> Coverage:
    top = bytes(root)
    known = [Mount(b"/", "ext4", "/dev/a", "/")]
    known += [Mount(top + b"/" + name.replace("_", "/").encode(), kind, "x", "/") for name, kind in below.items()]
    monkeypatch.setattr(mounts, "read", lambda: known)
    return Coverage(str(root), wanted)


def test_each_mount_has_its_own_backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = coverage(monkeypatch, tmp_path, nas="nfs4", nas_disk="ext4", union="fuse.mergerfs")
    assert found.polled() == (b"nas", b"union")
    assert [found.by_events(f) for f in (b"", b"a/b", b"nas/x", b"nas/disk/y", b"union/z", b"nasty")] == [
        True,
        True,
        False,
        True,
        True,
        True,
    ]
    assert found.mount(b"nas/disk/deep/er") == b"nas/disk"
    assert not found.mostly_polled
    assert coverage(monkeypatch, tmp_path, "inotify", nas="nfs").polled() == ()
    assert coverage(monkeypatch, tmp_path, "polling").polled() == (b"",)


def test_mounts_that_come_and_go_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = coverage(monkeypatch, tmp_path, card="vfat")
    assert found.refresh() == []
    monkeypatch.setattr(mounts, "read", lambda: [Mount(b"/", "ext4", "/dev/a", "/")])
    assert found.refresh() == [b"card"]
    assert not found.root_remounted
    monkeypatch.setattr(mounts, "read", lambda: [Mount(b"/", "ext4", "/dev/b", "/")])
    assert found.refresh() == []
    assert found.root_remounted


def test_deaf_is_who_misses_again_and_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = coverage(monkeypatch, tmp_path, card="vfat")
    for _ in range(DEAF_AFTER - 1):
        assert found.missed(Counter({b"card": 3})) == []
    assert found.missed(Counter()) == []  # one without starts anew
    for _ in range(DEAF_AFTER - 1):
        assert found.missed(Counter({b"card": 1})) == []
    assert found.missed(Counter({b"card": 1})) == [b"card"]
    assert found.polled() == (b"card",)
    assert found.missed(Counter({b"card": 1})) == []  # said once


@given(st.lists(st.sampled_from([b"a", b"a/b", b"a/b/c", b"b", b"b/c", b"", b"ab"]), max_size=9))
def test_polled_folders_cover_all_and_never_each_other(folders: list[bytes]) -> None:
    found = Coverage("/", "inotify")
    for folder in folders:
        found.unwatched(folder)
    places = found.polled()
    for folder in folders:
        assert any(place == b"" or folder == place or folder.startswith(place + b"/") for place in places)
    for place in places:
        assert not any(place != other and (other == b"" or place.startswith(other + b"/")) for other in places)


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def test_overflows_cost_one_walk_each_time_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    plan = Schedule(30.0, None)
    walks = []
    for _ in range(6000):  # a storm of ten minutes, ten overflows a second
        plan.events_lost()
        if plan.lost_due():
            walks.append(clock.now)
            clock.now += 0.1
            plan.walked_for_lost()
        clock.now += 0.1
    assert walks[0] == 1000.0
    pauses = [b - a for a, b in itertools.pairwise(walks)]
    assert all(later >= sooner - 0.3 for sooner, later in itertools.pairwise(pauses))
    assert len(walks) < 20
    clock.now += schedule.CALM_SECONDS + 61
    plan.lost_due()
    plan.walked_for_lost()
    clock.now += schedule.CALM_SECONDS + 1
    plan.events_lost()
    assert plan.lost_due()  # after a calm: at once


def test_polls_pace_themselves_and_unread_folders_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    plan = Schedule(30.0, None)
    assert plan.seconds() is None
    plan.poll_within(0.0)
    assert plan.poll_due()
    assert not plan.poll_due()
    plan.polled(10.0)
    assert plan.seconds() == 100.0
    plan.try_again({b"locked"})
    assert plan.again_due() == ()
    clock.now += 2.5
    assert plan.again_due() == (b"locked",)
    plan.try_again({b"locked"})
    clock.now += 2.5
    assert plan.again_due() == ()  # later each time
    clock.now += 3
    assert plan.again_due() == (b"locked",)


def test_own_time_counts_work_and_endless_sleep() -> None:
    ends, told = threading.Event(), threading.Event()
    seen: dict[str, OwnTime] = {}

    def sleep() -> None:
        seen["sleep"] = OwnTime(thread=threading.get_native_id())
        told.set()
        ends.wait()

    def compute() -> None:
        seen["compute"] = OwnTime(thread=threading.get_native_id())
        while not ends.is_set():
            sum(range(10_000))

    threads = [threading.Thread(target=sleep), threading.Thread(target=compute)]
    for thread in threads:
        thread.start()
    told.wait()
    found = {"sleep": 0.0, "compute": 0.0}
    deadline = time.monotonic() + 30  # a crowded machine gives the one that computes little time of its own
    while (found["sleep"] <= 0.3 or found["compute"] <= 0.1) and time.monotonic() < deadline:
        threading.Event().wait(0.1)
        found = {name: clock.look() for name, clock in seen.items()}
    ends.set()
    for thread in threads:
        thread.join()
    assert found["sleep"] > 0.3
    assert found["compute"] > 0.1
