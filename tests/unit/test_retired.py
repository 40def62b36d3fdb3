"""A watcher whose thread comes back late from a folder that did not answer touches nothing of its successor."""

from __future__ import annotations

from pathlib import Path

from hotfolder.config import load
from hotfolder.engine import Engine
from hotfolder.model import Job, Lane
from tests.helpers import Place


def test_an_ended_watcher_holds_no_work_of_its_successor(tmp_path: Path) -> None:
    place = Place(tmp_path)
    engine = Engine(load(str(place.base / "config.yaml"), {}).config, live=True)
    engine.start()
    try:
        former = engine.watchers["inbox"]
        place.configure(watch="    presets: [small]")
        engine.apply(load(str(place.base / "config.yaml"), {}).config)
        assert engine.watchers["inbox"] is not former
        former._root.is_gone()
        assert engine.metrics.value("hotfolder_watch_up", watch="inbox") == 1
        engine.queue.hold(frozenset())
        engine.queue.offer(Job("inbox", b"none.jpg", Lane.FRESH, 0.0, 0.0))
        assert engine.queue.wait_idle(30), "its jobs are held"
    finally:
        engine.stop(5.0)
