"""`pause` and `resume`, the window of the backlog, and what fresh drops have to do with it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from datetime import datetime, timedelta

from tests.faults.hooks import CLOCK
from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
SMALL = "    presets: [small]\n    optimize: {enabled: false}"


def made(*names: str) -> set[str]:
    return {f"thumbnails/{name[:-4]}_thumb_small.jpg" for name in names}


def test_a_paused_daemon_sees_all_makes_nothing_and_loses_nothing(place: Place, run: Run) -> None:
    place.configure(watch=SMALL)
    daemon = run(place)
    assert place.cli("pause").stdout.splitlines() == ["paused: backlog of all watches", "paused: fresh of all watches"]
    place.put("a.jpg", jpeg(seed=1))
    daemon.wait_metric("hotfolder_queue_depth", 1, lane="fresh")
    assert daemon.metric("hotfolder_paused", lane="fresh") == 1
    assert json.loads(daemon.get("/readyz"))["ready"] is True
    assert {each["lane"] for each in json.loads(daemon.get("/api/status"))["paused"]} == {"fresh", "backlog"}
    assert "paused: fresh of all watches" in place.cli("status", "--once").stdout

    daemon.stop(signal.SIGKILL)
    place.put("b.jpg", jpeg(seed=2))
    daemon = run(place)
    daemon.wait_metric("hotfolder_sources_pending", 2, watch="inbox")
    assert daemon.metric("hotfolder_paused", lane="backlog") == 1
    assert place.renditions() == set()

    answer = place.cli("resume", "--lane", "backlog")
    assert answer.stdout == "paused: fresh of all watches\n"
    daemon.wait_renditions(made("a.jpg", "b.jpg"))
    place.put("c.jpg", jpeg(seed=3))
    daemon.wait_metric("hotfolder_queue_depth", 1, lane="fresh")
    assert place.cli("resume").stdout == "nothing is paused\n"
    daemon.wait_renditions(made("a.jpg", "b.jpg", "c.jpg"))


SLOW_BACKLOG = """
import threading
from hotfolder.model import Lane
from hotfolder.pipeline.worker import Worker
_run = Worker.run

def run(self, job):
    if job.lane is Lane.BACKLOG:
        threading.Event().wait(0.4)
    _run(self, job)

Worker.run = run
"""


def test_what_is_saved_again_rises_out_of_a_paused_backlog(place: Place, run: Run) -> None:
    (place.base / "later").write_text("3600")
    place.hook(CLOCK.format(flag=str(place.base / "later")) + SLOW_BACKLOG)
    place.configure("pool: {workers: 2}", SMALL)
    names = [f"{number}.jpg" for number in range(80)]
    for number, name in enumerate(names):
        place.put(name, jpeg(60, 40, seed=number))
    daemon = run(place)
    wait_for("the backlog to stand in the queue", lambda: len(place.renditions()) > 2, context=daemon.text)
    assert place.cli("pause", "--lane", "backlog").returncode == 0
    wait_for("what was in work to end", lambda: daemon.metric("hotfolder_workers", state="busy") == 0)
    before = place.renditions()
    name = next(name for name in reversed(names) if not made(name) & before)
    place.put(name, jpeg(60, 40, seed=100))
    daemon.wait_renditions(before | made(name))


def test_one_watch_is_paused_by_name_also_where_no_daemon_runs(place: Place, run: Run) -> None:
    second = "{path: ./second, output: ./out2, presets: [small], optimize: {enabled: false}}"
    place.configure(watch=f"{SMALL}\n  - {second}")
    assert place.cli("pause", "--watch", "nobody").returncode == 2
    assert "paused: fresh of inbox" in place.cli("pause", "--watch", "inbox").stdout
    daemon = run(place)
    assert "paused holds=" in daemon.text()
    place.put("a.jpg", jpeg(seed=1))
    place.put("../second/b.jpg", jpeg(seed=2))
    other = place.base / "out2/thumbnails/b_thumb_small.jpg"
    wait_for("the other watch", other.exists, context=daemon.text)
    daemon.wait_metric("hotfolder_queue_depth", 1, lane="fresh")
    assert place.renditions() == set()
    assert place.cli("resume", "--watch", "inbox").stdout == "nothing is paused\n"
    daemon.wait_renditions(made("a.jpg"))


def test_the_backlog_waits_for_its_window_and_drops_do_not(place: Place, run: Run) -> None:
    """Nor do drops that found no room: of 40 at once the lane of 2 workers × 1 takes few."""
    now = datetime.now()
    window = f"{now + timedelta(hours=2):%H:%M}-{now + timedelta(hours=3):%H:%M}"
    (place.base / "later").write_text("3600")
    place.hook(CLOCK.format(flag=str(place.base / "later")))  # what lies there now was written an hour ago
    for number in range(3):
        place.put(f"old{number}.jpg", jpeg(seed=number))
    place.configure(f"backlog: {{window: '{window}'}}\npool: {{workers: 2, queue_per_worker: 1}}", SMALL)
    daemon = run(place)
    daemon.wait_metric("hotfolder_sources_pending", 3, watch="inbox")
    names = [f"new{number}.jpg" for number in range(40)]
    for number, name in enumerate(names):
        place.put(name, jpeg(seed=10 + number))
    daemon.wait_renditions(made(*names))
    assert daemon.metric("hotfolder_sources_pending", watch="inbox") == 3
    assert json.loads(daemon.get("/api/status"))["backlog"] == {"window": window, "open": False}

    place.configure("backlog: {window: null}", SMALL)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_renditions(made(*names, "old0.jpg", "old1.jpg", "old2.jpg"))


def test_deletions_that_wait_in_a_paused_backlog_keep_nobody_from_the_root(place: Place, run: Run) -> None:
    """The thread that finds what is gone is also the one that sees the root go and come."""
    guard = "    delete_guard: {fraction: 100%, min: 1000}"
    place.configure("pool: {workers: 2, queue_per_worker: 5}", f"{SMALL}\n{guard}")
    names = [f"{number}.jpg" for number in range(220)]
    for number, name in enumerate(names):
        place.put(name, jpeg(60, 40, seed=number))
    daemon = run(place)
    daemon.wait_renditions(made(*names))
    assert place.cli("pause", "--lane", "backlog").returncode == 0
    daemon.stop()
    for name in names[1:]:
        (place.inbox / name).unlink()
    daemon = run(place)
    daemon.wait_metric("hotfolder_queue_depth", daemon.metric("hotfolder_queue_capacity"), lane="backlog")

    place.inbox.rename(place.base / "elsewhere")
    daemon.wait_log("is away")
    (place.base / "elsewhere").rename(place.inbox)
    place.put("fresh.jpg", jpeg(60, 40, seed=1000))
    daemon.wait_renditions(made(*names, "fresh.jpg"))
    assert place.cli("resume").returncode == 0
    daemon.wait_renditions(made(names[0], "fresh.jpg"))
