"""A watcher whose thread comes back late from a folder that did not answer touches nothing of its successor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hotfolder.config import load
from hotfolder.engine import Engine
from hotfolder.model import Job, Lane
from hotfolder.watchers import Watchers
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


def test_while_a_watch_is_built_anew_it_is_away_and_not_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images of orders would end as none of ours."""
    place = Place(tmp_path)
    engine = Engine(load(str(place.base / "config.yaml"), {}).config, live=True)
    engine.start()
    between: list[dict[int, bool]] = []
    set_up = Watchers.set_up

    def seen(self: Watchers, *given: Any) -> None:
        between.append({watch_id: there for watch_id, (_, there) in self.reachable().items()})
        set_up(self, *given)

    monkeypatch.setattr(Watchers, "set_up", seen)
    try:
        watch_id = engine.watchers["inbox"].site.id
        place.configure(watch="    presets: [small]")
        engine.apply(load(str(place.base / "config.yaml"), {}).config)
        assert between == [{watch_id: False}]
        assert {key: there for key, (_, there) in engine.watchers.reachable().items()} == {watch_id: True}
    finally:
        engine.stop(5.0)
