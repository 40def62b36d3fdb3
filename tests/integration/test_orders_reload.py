"""Orders outlive a reload, a reset in the midst of their feeding, and names that no file can have."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hotfolder.config import load
from hotfolder.engine import Engine
from hotfolder.index import orders
from hotfolder.index.orders import New
from hotfolder.model import Job
from hotfolder.queue.queue import JobQueue
from hotfolder.watches.wants import Spec
from tests.helpers import Daemon, Place, call, jpeg, wait_for
from tests.integration.test_orders import BASE, ended, order

Run = Callable[[Place], Daemon]
SMALL = "    presets: [small]\n    optimize: {enabled: false}"
IMAGES = 24


def filled(tmp_path: Path, top: str = "") -> Place:
    place = Place(tmp_path, top, SMALL)
    for number in range(IMAGES):
        place.put(f"{number}.jpg", jpeg(1600, 1200, number))
    return place


def test_a_reload_fails_no_image_of_an_order(tmp_path: Path, run: Run) -> None:
    place = filled(tmp_path, "pool: {queue_per_worker: 1}")
    daemon = run(place)
    daemon.wait_metric("hotfolder_jobs_total", IMAGES, watch="inbox", result="done")
    names = [f"inbox:{number}.jpg" for number in range(IMAGES)]
    sizes = [{"width": 900, "height": 900, "format": "png", "suffix": "_own"}]
    status, accepted = call(place, "POST", f"{BASE}/thumbnails/generate", {"paths": names, "sizes": sizes})
    assert status == 202, accepted
    config = place.base / "config.yaml"
    text = config.read_text()
    for count, presets in enumerate(("[small, square]", "[small, medium]", "[small]"), start=1):
        config.write_text(text.replace("presets: [small]", f"presets: {presets}"))
        daemon.process.send_signal(signal.SIGHUP)
        wait_for("the reload", lambda count=count: daemon.text().count("config_applied") >= count)  # type: ignore[misc]
    job = ended(place, accepted["status_url"])
    assert (job["done"], job["failed"]) == (IMAGES, 0), job


def test_a_reset_while_it_is_fed_leaves_no_image_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = filled(tmp_path)
    engine = Engine(load(str(place.base / "config.yaml"), {}).config, live=True)
    offer, resets = JobQueue.offer, iter(range(3))

    def reset_within(self: JobQueue, job: Job) -> bool:
        if job.ordered and next(resets, None) is not None:
            engine.orders.reset()
        return offer(self, job)

    monkeypatch.setattr(JobQueue, "offer", reset_within)
    engine.start()
    try:
        watcher = engine.watchers["inbox"]
        wait_for("the first walk", watcher.outstanding.is_idle)
        items = [New(watcher.site.id, b"%d.jpg" % number, f"inbox:{number}.jpg") for number in range(IMAGES)]
        key = engine.orders.add("analyze", Spec(analyze=True), items)

        def left() -> int:
            found = orders.find(engine.index.read(), key)
            assert found is not None
            return found.total - found.done - found.failed

        wait_for("all of it", lambda: left() == 0, 60, lambda: str(left()))
    finally:
        engine.stop(5.0)


def test_a_name_that_no_file_can_have_is_not_found(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=SMALL)
    run(place)
    job = order(place, "thumbnails/generate-preset", paths=[f"inbox:{'x' * 300}.jpg"], presets=["small"])
    assert [each["error"]["reason"] for each in job["results"]] == ["not_found"]
