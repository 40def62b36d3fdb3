"""Every lasting thread outlives what its step raises: logged with its traceback, counted, and the work goes on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from hotfolder import loop
from hotfolder.config import load
from hotfolder.engine import Engine
from hotfolder.index.database import Database
from hotfolder.loop import Loop
from hotfolder.pipeline.admission import IN_FLIGHT_MOST, Admission
from hotfolder.pool.oversight import Oversight
from hotfolder.pool.threads import ElasticPool
from hotfolder.renderers.suspects import Suspects
from hotfolder.server.server import Server
from hotfolder.store.inflight import InFlight
from hotfolder.telemetry.metrics import WHERE
from hotfolder.watcher.intake import Intake
from tests.faults import hooks
from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]

LOOPS = (
    "index",
    "sync",
    "oversight",
    "feeder",
    "orders",
    "dispatcher",
    "suspects",
    "intake",
    "reconcile",
    "hook",
    "pulse",
    "http",
    "control",
)
OTHERS = {"hotfolder-worker", "hotfolder-inotify-inbox"}
"""Registered, and no Loop: their tests are in tests/faults/test_silent_death.py."""
HOOK = 'hooks: [{name: note, events: [ready], run: [sh, -c, "echo told >> told"]}]'


def place_with_hook(tmp_path: Path) -> Place:
    told = tmp_path / "told"
    return Place(tmp_path, HOOK.replace(">> told", f">> {told}"))


@pytest.mark.parametrize("kind", LOOPS)
def test_each_loop_goes_on(kind: str, tmp_path: Path, run: Run) -> None:
    place = place_with_hook(tmp_path)
    suspects = hooks.ALL_SUSPECTS if kind == "suspects" else ""
    place.hook(hooks.FAILS_AT_FIRST.format(kind=kind) + suspects)
    place.put("old.jpg", jpeg(seed=1))
    daemon = run(place)
    place.put("new.jpg", jpeg(seed=2))
    daemon.wait_renditions(place.of("old.jpg") | place.of("new.jpg"))
    with connect(f"ws://127.0.0.1:{place.port}/api/events?topics=state") as client:
        assert json.loads(client.recv(timeout=30))["event"] == "state"
    daemon.wait_metric("hotfolder_internal_errors_total", 2, where=kind)
    assert daemon.text().count("RuntimeError: injected") >= 2
    daemon.wait_log("Traceback (most recent call last)", 2)
    told = tmp_path / "told"
    wait_for("both deliveries", lambda: told.exists() and told.read_text().count("told") >= 2, context=daemon.text)
    answer = place.cli("process", "new.jpg", "--help")  # the control socket answers, too
    assert answer.returncode == 0
    assert place.scan().returncode == 0


def test_the_table_has_every_loop(tmp_path: Path) -> None:
    place = place_with_hook(tmp_path)
    before = {id(each) for each in loop.living()}
    threads_before = set(threading.enumerate())
    engine = Engine(load(str(place.base / "config.yaml"), {}).config, live=True)
    engine.start()
    server = Server(engine, None)
    server.start()
    try:
        engine.line.loop.start()  # a daemon without suspects has none
        ours = [each for each in loop.living() if id(each) not in before]
        assert {each.kind for each in ours if isinstance(each, Loop)} == set(LOOPS)
        assert {each.name for each in ours if not isinstance(each, Loop)} == OTHERS
        assert set(LOOPS) | {"inotify", "worker"} <= set(WHERE)
        names = {each.name for each in threading.enumerate() if each not in threads_before}
        names -= {name for name in names if not name.startswith("hotfolder-") or name.startswith("hotfolder-worker-")}
        # What only does one thing and ends needs nobody to look after it.
        names -= {"hotfolder-leftovers", "hotfolder-free", "hotfolder-priority"}
        assert names <= {each.name for each in ours}
    finally:
        server.stop()
        engine.stop(5.0)
    assert [each.name for each in loop.living() if id(each) not in before] == []


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (InFlight, "enter"),
        (Oversight, "begin"),
        (Oversight, "end"),
        (Admission, "leave"),
        (Admission, "_committed"),
        (Admission, "_end"),
        (Database, "write"),
        (Suspects, "clear"),
        (Engine, "ended"),
        (Intake, "_hand_on"),
        (ElasticPool, "submit"),
        (Engine, "_work"),
    ],
)
def test_nothing_is_held_after_a_bug(
    owner: type, name: str, error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, armed = Place(tmp_path), threading.Event()
    real = getattr(owner, name)

    def fails(*arguments: Any, **keys: Any) -> Any:
        if armed.is_set():
            armed.clear()
            raise error("injected")
        return real(*arguments, **keys)

    monkeypatch.setattr(owner, name, fails)
    engine = Engine(load(str(place.base / "config.yaml"), {}).config, live=True)
    engine.start()
    site = engine.watchers["inbox"].site
    try:
        wait_for("the first walk", engine.watchers["inbox"].outstanding.is_idle)
        slots = len(engine.inflight._free)
        armed.set()
        place.put("a.jpg", jpeg())

        def alive() -> bool:
            engine.check()  # the main thread's beat
            return place.renditions() == place.of("a.jpg") and engine.queue.busy() == 0 and engine.pool.busy == 0

        wait_for("its renditions, and rest", alive)
        assert not armed.is_set()
        assert engine.admission._places._value == IN_FLIGHT_MOST
        assert len(engine.inflight._free) == slots
        assert site.gate._inside == 0
        assert engine.admission._works == {}
        assert not engine.oversight._tasks
        assert engine.worker._steps._publisher._claims._taken == {}
    finally:
        engine.stop(5.0)
