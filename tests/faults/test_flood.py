"""More at once than the kernel's event queue can hold: every image ends done, and moving them all decodes nothing."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests import kernel
from tests.helpers import Daemon, Place, jpeg, wait_for

TOTAL = int(os.environ.get("FLOOD", "1500"))
FOLDERS = min(500, TOTAL // 15)
EACH = TOTAL // FOLDERS
"""FLOOD=100000 for the whole size."""


@pytest.mark.timeout(300 + FOLDERS * EACH // 50)
@pytest.mark.parametrize("queue", [None, 64])
def test_every_image_of_a_flood_is_done(tmp_path: Path, run: Callable[[Place], Daemon], queue: int | None) -> None:
    place = Place(tmp_path, watch="    presets: [small]\n    optimize: {enabled: false}")
    contents = [jpeg(60, 40, number) for number in range(10)]
    walks = "hotfolder_reconcile_duration_seconds_count"
    with kernel.short_queue(queue) if queue else nullcontext():
        daemon = run(place)
    if queue:
        daemon.process.send_signal(signal.SIGSTOP)  # so that nobody empties the queue meanwhile
    for folder in range(FOLDERS):
        if folder == FOLDERS * 4 // 5:
            daemon.process.send_signal(signal.SIGCONT)
        below = place.inbox / f"d{folder}/deep"
        below.mkdir(parents=True)
        for number in range(EACH):
            (below / f"{number}.jpg").write_bytes(contents[number % 10] + (folder * EACH + number).to_bytes(4, "big"))
    total = FOLDERS * EACH
    wait_for("all renditions", lambda: len(place.renditions()) == total, 120 + total // 100, daemon.text)
    overflows = daemon.metric("hotfolder_overflows_total", watch="inbox")
    if queue:
        assert overflows >= 1
    # That of the start, a few for lost events, and where more is noted than notes are kept for: never one for each.
    assert daemon.metric(walks) <= 1 + min(overflows, 12) + total // 10_000
    print(f"{total} images, {overflows:g} overflows, {daemon.metric(walks, watch='inbox'):g} reconciles")
    assert place.scan(timeout=600).returncode == 0
    decoded = daemon.decoded()
    (place.inbox / "all").mkdir()
    for folder in range(FOLDERS):
        (place.inbox / f"d{folder}").rename(place.inbox / f"all/d{folder}")
    moved = {f"thumbnails/all/d{f}/deep/{n}_thumb_small.jpg" for f in range(FOLDERS) for n in range(EACH)}
    wait_for("the output to move", lambda: place.renditions() == moved, 30 + total // 100, daemon.text)
    assert daemon.decoded() == decoded
    shutil.rmtree(place.inbox / "all")
    if daemon.metric("hotfolder_overflows_total", watch="inbox") > overflows:
        # Deletions whose events were lost are no longer announced: the guard holds them until somebody agrees.
        assert place.scan("--confirm-deletes", timeout=600).returncode == 0
    wait_for("the output to go", lambda: not place.renditions(), 30 + total // 100, daemon.text)
