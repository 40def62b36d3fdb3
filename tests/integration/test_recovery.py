"""After an unclean end: what was left goes before anything is made again, and no note of it is dropped."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from hotfolder.config import load
from hotfolder.engine import Engine
from hotfolder.pipeline import recovery
from hotfolder.pipeline.recovery import Leftovers
from hotfolder.pipeline.worker import Worker
from hotfolder.store.inflight import InFlight
from tests.helpers import Place, jpeg, wait_for

OVERTAKES = 1.0
"""Seconds in which a worker would have begun, were it allowed to."""


@pytest.fixture
def killed(place: Place) -> Place:
    """Two images were in flight when the daemon was killed; the first of them is a suspect."""
    for name in ("a.jpg", "b.jpg"):
        place.put(name, jpeg())
    assert place.scan().returncode == 0
    notes = InFlight(str(place.base / ".hotfolder/inflight"), slots=8).open()
    notes.enter("inbox", b"a.jpg")
    notes.decoded(notes.enter("inbox", b"b.jpg"))
    for name in ("a.jpg", "b.jpg"):
        place.put(name, jpeg(seed=2))
        (place.out / "thumbnails" / f".hotfolder-{name[0] * 16}.tmp").write_bytes(b"half")
    return place


def started(place: Place) -> Engine:
    engine = Engine(load(str(place.base / "config.yaml"), {}).config, live=True)
    engine.start()
    return engine


def test_nothing_is_made_before_what_was_left_has_gone(killed: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that overtook it lost what it had just made."""
    order: list[str] = []
    worked = threading.Event()
    clean, run = Leftovers.clean, Worker.run

    def cleaned(self: Leftovers, *arguments: Any) -> None:
        worked.wait(OVERTAKES)
        clean(self, *arguments)
        order.append("clean")

    def ran(self: Worker, *arguments: Any) -> None:
        order.append("work")
        worked.set()
        run(self, *arguments)

    monkeypatch.setattr(Leftovers, "clean", cleaned)
    monkeypatch.setattr(Worker, "run", ran)
    engine = started(killed)
    try:
        wait_for("both", lambda: order.count("work") >= 2 and engine.queue.busy() == 0)
    finally:
        engine.stop(5.0)
    assert order[:2] == ["clean", "work"]
    assert killed.renditions() == killed.of("a.jpg") | killed.of("b.jpg")


def test_a_bug_with_one_note_costs_the_others_nothing(killed: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    recover = recovery.recover

    def fails(index: Any, site: Any, path: bytes) -> int:
        if path == b"b.jpg":  # the first of the notes
            raise TypeError("injected")
        return recover(index, site, path)

    monkeypatch.setattr(recovery, "recover", fails)
    engine = started(killed)
    try:
        wait_for("its place", lambda: engine.watchers["inbox"].watched.stands and engine.watchers.idle("inbox"))
        assert [note.path for note in engine.inflight.leftovers if note.slot in engine.inflight._left] == [b"b.jpg"]
    finally:
        engine.stop(5.0)
    monkeypatch.setattr(recovery, "recover", recover)
    engine = started(killed)
    try:
        wait_for("the note to go", lambda: not engine.inflight._left)
    finally:
        engine.stop(5.0)
    assert [name for name in os.listdir(killed.out / "thumbnails") if name.endswith(".tmp")] == []
