"""Very many sources wait: memory and write-ahead log stay small, and a fresh drop overtakes them all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.helpers import Daemon, Place, jpeg, wait_for

WAITING = int(os.environ.get("WAITING", "20000"))
"""WAITING=200000 for the whole size."""


@pytest.mark.timeout(300 + WAITING // 200)
def test_very_many_wait(tmp_path: Path, run: Callable[[Place], Daemon]) -> None:
    place = Place(tmp_path, "pool: {workers: 2}", "    presets: [small]\n    optimize: {enabled: false}")
    daemon = run(place)
    place.put("warm.jpg", jpeg(60, 40))
    daemon.wait_renditions({"thumbnails/warm_thumb_small.jpg"})
    process = psutil.Process(daemon.process.pid)
    before = process.memory_info().rss
    folder = tmp_path / "filled"
    content = jpeg(1000, 800, 2)
    for number in range(WAITING):
        below = folder / f"{number // 1000}"
        if number % 1000 == 0:
            below.mkdir(parents=True)
        (below / f"{number}.jpg").write_bytes(content[:200] + number.to_bytes(8, "big"))  # each its own, and damaged
    for number in range(40):
        (folder / f"0/big{number}.jpg").write_bytes(jpeg(3000, 2000, number))
    folder.rename(place.inbox / "filled")
    wal, most, largest = tmp_path / ".hotfolder/index.db-wal", 0, 0
    seconds = []

    def all_wait() -> bool:
        nonlocal most, largest
        most = max(most, process.memory_info().rss)
        largest = max(largest, wal.stat().st_size)
        return daemon.metric("hotfolder_sources", watch="inbox") >= WAITING

    wait_for("all to be known", all_wait, 60 + WAITING // 500, daemon.text)
    assert daemon.metric("hotfolder_sources_pending", watch="inbox") > WAITING / 2
    for number in range(5):
        began = time.monotonic()
        place.put(f"fresh{number}.jpg", jpeg(600, 400, 50 + number))
        rendition = place.out / f"thumbnails/fresh{number}_thumb_small.jpg"
        wait_for("a fresh drop", rendition.exists, 20, daemon.text)
        seconds.append(time.monotonic() - began)
        all_wait()
    print(
        f"{WAITING} waiting: RSS grew by {(most - before) / 1e6:.0f} MB, WAL {largest / 1e6:.1f} MB at most, "
        f"fresh drops ready after {min(seconds):.2f}–{max(seconds):.2f} s"
    )
    assert largest < 64_000_000
    assert most - before < 50_000_000 + 2 * 4 * 3000 * 2000 * 3  # and the pictures in work
    assert max(seconds) < 10
