"""More at once than the kernel's event queue can hold: every image ends done, and moving them all decodes nothing."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import Daemon, Place, jpeg, wait_for

LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")
FOLDERS, EACH = 100, 15


@pytest.fixture(params=["default", "64"])
def queue_limit(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "default":
        yield "default"
        return
    if not os.access(LIMIT, os.W_OK):
        pytest.skip("only the superuser may set the kernel's queue")
    former = LIMIT.read_text()
    LIMIT.write_text("64")
    try:
        yield "64"
    finally:
        LIMIT.write_text(former)


@pytest.mark.timeout(300)
def test_every_image_of_a_flood_is_done(tmp_path: Path, queue_limit: str, run: Callable[[Place], Daemon]) -> None:
    place = Place(tmp_path, watch="    presets: [small]\n    optimize: {enabled: false}")
    seeds = [tmp_path / f"{number}.jpg" for number in range(10)]
    for number, seed in enumerate(seeds):
        seed.write_bytes(jpeg(60, 40, number))
    daemon = run(place)
    if queue_limit == "64":
        daemon.process.send_signal(signal.SIGSTOP)  # so that nobody empties the queue meanwhile
    for folder in range(FOLDERS):
        below = place.inbox / f"d{folder}/deep"
        below.mkdir(parents=True)
        for number in range(EACH):
            shutil.copy(seeds[number % 10], below / f"{number}.jpg")
    daemon.process.send_signal(signal.SIGCONT)
    total = FOLDERS * EACH
    wait_for("all renditions", lambda: len(place.renditions()) == total, 120, daemon.text)
    assert place.scan().returncode == 0
    if queue_limit == "64":
        assert daemon.metric("hotfolder_overflows_total", watch="inbox") >= 1
    decoded = daemon.decoded()
    (place.inbox / "all").mkdir()
    for folder in range(FOLDERS):
        (place.inbox / f"d{folder}").rename(place.inbox / f"all/d{folder}")
    moved = {f"thumbnails/all/d{f}/deep/{n}_thumb_small.jpg" for f in range(FOLDERS) for n in range(EACH)}
    daemon.wait_renditions(moved)
    assert daemon.decoded() == decoded
    shutil.rmtree(place.inbox / "all")
    daemon.wait_renditions(set())
