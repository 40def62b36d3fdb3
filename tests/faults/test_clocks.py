"""Wrong clocks and odd times: nothing is missed, nothing goes round in circles."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.faults.hooks import CLOCK
from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
WATCH = "    presets: [small]\n    optimize: {enabled: false}"
TIMES = {"epoch": 0, "before": -86_400, "dos": 315_532_800, "future": 4_102_444_799, "far": 2**33}


def small(path: str) -> str:
    return f"thumbnails/{path}_thumb_small.jpg"


def test_odd_times(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH + "\n    rescan_interval: 1s")
    for number, (name, seconds) in enumerate(TIMES.items()):
        os.utime(place.put(f"{name}.jpg", jpeg(60, 40, number)), (seconds, seconds))
    daemon = run(place)
    for number, (name, seconds) in enumerate(TIMES.items()):
        os.utime(place.put(f"late-{name}.jpg", jpeg(60, 40, number + 50)), (seconds, seconds))
    daemon.wait_renditions({small(f"{late}{name}") for name in TIMES for late in ("", "late-")})
    walks = "hotfolder_reconcile_duration_seconds_count"
    before = daemon.metric(walks)
    wait_for("more walks", lambda: daemon.metric(walks) >= before + 3)
    assert daemon.decoded() == 2 * len(TIMES)
    # Twins within one second, told apart by less than a microsecond.
    path = place.inbox / "epoch.jpg"
    size = max(len(jpeg(60, 40, 90)), len(jpeg(40, 60, 91)))
    for seed, nanoseconds in ((90, 100), (91, 101)):
        content = jpeg(60, 40, 90) if seed == 90 else jpeg(40, 60, 91)
        path.write_bytes(content.ljust(size, b"\0"))
        os.utime(path, ns=(nanoseconds, nanoseconds))
        daemon.wait_metric("hotfolder_stage_duration_seconds_count", 2 * len(TIMES) + seed - 89, stage="decode")


def test_a_clock_that_jumps(tmp_path: Path, run: Run) -> None:
    """What was put off by a clock a year ahead is not forgotten when that is set right; and back again."""
    place = Place(tmp_path, watch=WATCH)
    clock = tmp_path / "clock"
    place.hook(CLOCK.format(flag=str(clock)))
    clock.write_text("31536000")
    daemon = run(place)
    path = place.inbox / "a.jpg"
    path.write_bytes(jpeg(300, 200)[:-3000])
    daemon.wait_log("put_off")
    clock.write_text("0")
    other = place.put("b.jpg", jpeg(60, 40, 2))
    wait_for("a drop after the jump", lambda: small("b") in place.renditions(), context=daemon.text)
    wait_for("the one put off", lambda: daemon.text().count("put_off") >= 2, 90, daemon.text)
    clock.write_text("-31536000")
    other.write_bytes(jpeg(40, 60, 3))
    path.write_bytes(jpeg(300, 200))
    daemon.wait_renditions({small("a"), small("b")})
    assert place.scan().returncode == 0
    assert daemon.decoded() == 3  # both versions of b and the whole one of a
