"""No silent death: what is raised in a running daemon is logged with its traceback, counted, and work goes on."""

from __future__ import annotations

import json
import signal
import threading
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.faults import hooks
from tests.helpers import Daemon, Place, jpeg, wait_for
from tests.integration.test_orders import order

Run = Callable[[Place], Daemon]

STEPS = (
    "hotfolder.pipeline.admission:Admission.enter",
    "hotfolder.pipeline.admission:Admission.leave",
    "hotfolder.pipeline.admission:Admission._committed",
    "hotfolder.watches.site:Gate.enter",
    "hotfolder.watches.site:Gate.leave",
    "hotfolder.store.inflight:InFlight.enter",
    "hotfolder.store.inflight:InFlight.leave",
    "hotfolder.pool.oversight:Oversight.begin",
    "hotfolder.pool.oversight:Oversight.end",
    "hotfolder.pipeline.claims:Claim.release",
    "hotfolder.renderers.suspects:Suspects.clear",
    "hotfolder.pipeline.worker:Worker.run",
    "hotfolder.pool.threads:ElasticPool.submit",
    "hotfolder.index.database:Database.write",
    "hotfolder.engine:Engine._work",
    "hotfolder.engine:Engine.ended",
    "hotfolder.pipeline.reporter:Reporter.tell",
    "hotfolder.queue.waiters:Waiters.told",
    "hotfolder.orders.orders:Orders.told",
    "hotfolder.watcher.watcher:Watcher.told",
    "hotfolder.watcher.tree:TreeWatcher.on_event",
    "hotfolder.watcher.intake:Intake.changed",
    "hotfolder.watcher.watcher:Watcher.look_at",
    "hotfolder.hooks.courier:Couriers.kick",
)
"""What a drop passes on its way."""


def problems(daemon: Daemon) -> dict[str, str]:
    """What /healthz answers with 503; nothing where it is well."""
    try:
        daemon.get("/healthz")
    except urllib.error.HTTPError as error:
        assert error.code == 503
        found: dict[str, str] = json.loads(error.read())["problems"]
        return found
    return {}


def internal_errors(daemon: Daemon) -> float:
    lines = daemon.get("/metrics").decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("hotfolder_internal_errors_total{"))


@pytest.mark.parametrize("error", ["RuntimeError", "SystemExit"])
@pytest.mark.parametrize("step", STEPS)
def test_a_drop_is_made_whatever_raises_on_its_way(step: str, error: str, tmp_path: Path, run: Run) -> None:
    place, flag = Place(tmp_path), tmp_path / "raise"
    place.hook(hooks.RAISE.format(where=step, flag=str(flag), error=error))
    daemon = run(place)
    place.put("first.jpg", jpeg(seed=1))
    daemon.wait_renditions(place.of("first.jpg"))
    flag.touch()
    place.put("second.jpg", jpeg(seed=2))
    daemon.wait_renditions(place.of("first.jpg") | place.of("second.jpg"))
    wait_for("the injected exception", lambda: not flag.exists(), context=daemon.text)
    wait_for("its count", lambda: internal_errors(daemon) >= 1, context=daemon.text)
    daemon.wait_log("Traceback (most recent call last)")
    daemon.wait_log("injected")
    # Nothing of it stays: the path is free, and so are its gate and its claims.
    place.put("second.jpg", jpeg(seed=3))
    (place.inbox / "first.jpg").unlink()
    daemon.wait_renditions(place.of("second.jpg"))
    wait_for("nothing in work", lambda: daemon.metric("hotfolder_workers", state="busy") == 0, context=daemon.text)
    wait_for("well", lambda: not problems(daemon), context=daemon.text)


@pytest.mark.parametrize(
    ("step", "thread"),
    [
        ("watchdog.observers.inotify_c:InotifyFD.read_events", "hotfolder-inotify-inbox"),
        ("hotfolder.index.epochs:Epochs._close", "hotfolder-sync"),
        ("hotfolder.queue.feeder:Feeder._feed", "hotfolder-feeder"),
        ("hotfolder.watcher.rounds:Rounds._walk", "hotfolder-reconcile-inbox"),
        ("hotfolder.watcher.intake:Intake._tell", "hotfolder-intake-inbox"),
    ],
)
def test_a_thread_that_ended_is_named_and_started_anew(step: str, thread: str, tmp_path: Path, run: Run) -> None:
    """SystemExit ends any thread, and Python says nothing of it."""
    place, flag = Place(tmp_path, watch="    poll_interval: 1s\n    rescan_interval: 2s"), tmp_path / "raise"
    quick = "from hotfolder.index import epochs\nepochs.SYNC_SECONDS = 0.1\n"
    place.hook(quick + hooks.RAISE.format(where=step, flag=str(flag), error="SystemExit"))
    daemon = run(place)
    place.put("first.jpg", jpeg(seed=1))
    daemon.wait_renditions(place.of("first.jpg"))
    flag.touch()
    place.put("second.jpg", jpeg(seed=2))
    # Woken by whatever comes: a reader by the drop, the others by their work.
    wait_for("the thread's end", lambda: not flag.exists(), context=daemon.text)
    wait_for("/healthz to name it", lambda: thread in problems(daemon), context=daemon.text)
    wait_for("it to be started anew", lambda: not problems(daemon), context=daemon.text)
    daemon.wait_renditions(place.of("first.jpg") | place.of("second.jpg"))
    place.put("third.jpg", jpeg(seed=3))
    daemon.wait_renditions({each for name in ("first", "second", "third") for each in place.of(f"{name}.jpg")})
    assert internal_errors(daemon) >= 1
    daemon.wait_log("Traceback (most recent call last)")


@pytest.mark.parametrize("error", ["RuntimeError", "SystemExit"])
@pytest.mark.parametrize(
    "step",
    [
        "hotfolder.engine:Engine.check",
        "hotfolder.engine:Engine._check_watchers",
        "hotfolder.pool.scaling:Balance.beat",
        "hotfolder.daemon:Trimming.look",
        "hotfolder.daemon:_notify",
    ],
)
def test_the_main_thread_goes_on(step: str, error: str, tmp_path: Path, run: Run) -> None:
    place, flag = Place(tmp_path), tmp_path / "raise"
    place.hook(hooks.RAISE.format(where=step, flag=str(flag), error=error))
    daemon = run(place)
    flag.touch()
    daemon.wait_metric("hotfolder_internal_errors_total", 1, where="main")
    daemon.wait_log("Traceback (most recent call last)")
    place.put("a.jpg", jpeg())
    daemon.wait_renditions(place.of("a.jpg"))
    assert not problems(daemon)
    assert daemon.stop() == 0


def test_a_reload_that_raises_ends_nothing(tmp_path: Path, run: Run) -> None:
    place, flag = Place(tmp_path), tmp_path / "raise"
    place.hook(hooks.RAISE.format(where="hotfolder.engine:Engine.apply", flag=str(flag), error="RuntimeError"))
    daemon = run(place)
    flag.touch()
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_metric("hotfolder_internal_errors_total", 1, where="main")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("config_applied")
    place.put("a.jpg", jpeg())
    daemon.wait_renditions(place.of("a.jpg"))


def test_an_error_in_a_request_is_counted(tmp_path: Path, run: Run) -> None:
    place, flag = Place(tmp_path), tmp_path / "raise"
    place.hook(hooks.RAISE.format(where="hotfolder.services.state:status", flag=str(flag), error="RuntimeError"))
    daemon = run(place)
    flag.touch()
    with pytest.raises(urllib.error.HTTPError) as answer:
        daemon.get("/api/status")
    assert answer.value.code == 500
    assert b"injected" not in answer.value.read()
    daemon.wait_metric("hotfolder_internal_errors_total", 1, where="http")
    daemon.wait_log("RuntimeError: injected")
    assert json.loads(daemon.get("/api/status"))


def test_an_error_in_a_listener_hangs_up(tmp_path: Path, run: Run) -> None:
    place, flag = Place(tmp_path), tmp_path / "raise"
    place.hook(
        hooks.RAISE.format(where="hotfolder.telemetry.bus:Subscription.take", flag=str(flag), error="RuntimeError")
    )
    daemon = run(place)
    with connect(f"ws://127.0.0.1:{place.port}/api/events?topics=state") as client:
        flag.touch()
        with pytest.raises(ConnectionClosed):
            while True:
                client.recv(timeout=30)
    daemon.wait_metric("hotfolder_internal_errors_total", 1, where="http")
    daemon.wait_log("RuntimeError: injected")
    assert not problems(daemon)


def test_a_bug_that_stays_does_not_fill_the_log(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path)
    place.hook(
        "from hotfolder.pipeline import admission\n"
        "def enter(self, site, job):\n    raise RuntimeError('injected')\n"
        "admission.Admission.enter = enter\n"
    )
    daemon = run(place)
    place.put("a.jpg", jpeg())
    daemon.wait_log("RuntimeError: injected", 5)
    before = internal_errors(daemon)
    threading.Event().wait(6)
    assert internal_errors(daemon) <= before + 8
    assert not problems(daemon)


@pytest.mark.parametrize("step", ["_judged", "_feed", "_give", "told", "_offer"])
def test_an_order_ends_whatever_raises_on_its_way(step: str, tmp_path: Path, run: Run) -> None:
    place, flag = Place(tmp_path), tmp_path / "raise"
    where = f"hotfolder.orders.orders:Orders.{step}"
    place.hook(hooks.RAISE.format(where=where, flag=str(flag), error="RuntimeError"))
    daemon = run(place)
    place.put("a.jpg", jpeg(900, 700))
    daemon.wait_renditions(place.of("a.jpg"))
    flag.touch()
    sizes = [{"width": 320, "height": 320, "suffix": "_w320"}]
    found = order(place, "thumbnails/generate", paths=["a.jpg"], sizes=sizes)
    assert (found["state"], found["failed"]) == ("done", 0)
    assert not flag.exists()
    assert internal_errors(daemon) >= 1


def test_a_hook_goes_on_after_a_bug_in_one_delivery(tmp_path: Path, run: Run) -> None:
    told, flag = tmp_path / "told", tmp_path / "raise"
    place = Place(tmp_path, f'hooks: [{{name: note, events: [ready], run: [sh, -c, "echo told >> {told}"]}}]')
    place.hook(hooks.RAISE.format(where="hotfolder.hooks.program:run", flag=str(flag), error="RuntimeError"))
    daemon = run(place)
    flag.touch()
    for number in range(3):
        place.put(f"{number}.jpg", jpeg(seed=number))
    wait_for("all deliveries", lambda: told.exists() and told.read_text().count("told") == 3, context=daemon.text)
    daemon.wait_metric("hotfolder_internal_errors_total", 1, where="hook")


def test_what_hangs_is_given_up_whatever_raises(tmp_path: Path, run: Run) -> None:
    place, flag = Place(tmp_path, "pool: {job_timeout: 2s}"), tmp_path / "raise"
    fails = hooks.RAISE.format(where="hotfolder.renderers.suspects:Suspects.add", flag=str(flag), error="RuntimeError")
    place.hook(hooks.DECODER + fails)
    daemon = run(place)
    flag.touch()
    place.put("hangs.jpg", jpeg(comment=b"hang"))
    wait_for("its quarantine", place.failures, seconds=90, context=daemon.text)
    assert internal_errors(daemon) >= 1
    place.put("good.jpg", jpeg())
    daemon.wait_renditions(place.of("good.jpg"))
