"""The state folder and its control socket go while the daemon runs."""

from __future__ import annotations

import json
import shutil
import socket
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import RENDITIONS, Daemon, Place, call, jpeg, wait_for

Run = Callable[[Place], Daemon]


def unhealthy(daemon: Daemon) -> dict[str, str]:
    """What /healthz complains of."""
    try:
        daemon.get("/healthz")
    except urllib.error.HTTPError as error:
        return dict(json.loads(error.read())["problems"])
    return {}


def state_of(place: Place) -> Path:
    return next(place.base.rglob("control.sock")).parent


@pytest.mark.parametrize("instead", ["nothing", "a file", "another socket", "a folder"])
def test_the_control_socket_is_made_again(place: Place, run: Run, instead: str) -> None:
    daemon = run(place)
    path = state_of(place) / "control.sock"
    path.unlink()
    match instead:
        case "a file":
            path.write_bytes(b"")
        case "another socket":
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(str(path))
        case "a folder":
            path.mkdir()
            daemon.wait_log("control_socket_lost")
            path.rmdir()
    wait_for("an answer", lambda: place.cli("status", "--once").returncode == 0, 60, context=daemon.text)
    assert path.stat().st_mode & 0o777 == 0o600
    assert daemon.text().count("control_socket_renewed") == 1
    assert unhealthy(daemon) == {}
    assert daemon.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize("how", ["renamed", "removed", "replaced", "without its lock"])
def test_a_state_folder_that_is_lost_is_told_and_nothing_is_begun(place: Place, run: Run, how: str) -> None:
    place.put("a.jpg", jpeg(seed=1))
    daemon = run(place)
    wait_for("the first", lambda: len(place.renditions()) == RENDITIONS, context=daemon.text)
    state = state_of(place)
    match how:
        case "removed":
            shutil.rmtree(state)
        case "without its lock":
            (state / "lock").unlink()
        case _:
            state.rename(state.with_name("elsewhere"))
            if how == "replaced":
                place.put("b.jpg", jpeg(seed=2))
                assert place.scan().returncode == 0  # beside a daemon that cannot be seen from there
    wait_for("the complaint", lambda: unhealthy(daemon).get("state"), context=daemon.text)
    assert "restart hotfolder" in unhealthy(daemon)["state"]
    daemon.wait_log("state_lost")
    assert " error " in next(line for line in daemon.text().splitlines() if "state_lost" in line).lower()
    if how == "renamed":
        place.put("c.jpg", jpeg(seed=3))
        wait_for("c.jpg", lambda: daemon.metric("hotfolder_queue_depth", lane="fresh") == 1, context=daemon.text)
        assert not place.of("c.jpg") & place.renditions()
        state.with_name("elsewhere").rename(state)
        wait_for("the end of it", lambda: unhealthy(daemon) == {}, context=daemon.text)
        wait_for("c.jpg", lambda: place.of("c.jpg") <= place.renditions(), context=daemon.text)
        assert place.cli("status", "--once").returncode == 0
    if how == "replaced":
        made = json.loads(place.cli("cache", "stats", "--json").stdout)
        (state / "control.sock").write_bytes(b"of another daemon")
        assert daemon.stop() == 0
        assert (state / "control.sock").exists()
        assert json.loads(place.cli("cache", "stats", "--json").stdout) == made


def test_nothing_is_changed_while_the_state_folder_is_lost(place: Place, run: Run) -> None:
    """Another may work on the same output by now: it is not cleared and not moved, and nothing is taken in."""
    place.put("d/a.jpg", jpeg(seed=1))
    daemon = run(place)
    daemon.wait_renditions(place.of("d/a.jpg"))
    decoded = daemon.decoded()
    state = state_of(place)
    state.rename(state.with_name("elsewhere"))
    wait_for("the complaint", lambda: unhealthy(daemon).get("state"), context=daemon.text)
    for method, path in (
        ("DELETE", "/api/image-processing/cache/thumbnails"),
        ("POST", "/api/cache/gc"),
        ("POST", "/api/rescan"),
    ):
        status, problem = call(place, method, path)
        assert status == 503
        assert "restart hotfolder" in problem["detail"]
    (place.inbox / "d").rename(place.inbox / "e")
    place.put("c.jpg", jpeg(seed=3))  # is handed on after the folder's move
    wait_for("c.jpg", lambda: daemon.metric("hotfolder_queue_depth", lane="fresh") == 1, context=daemon.text)
    assert place.renditions() == place.of("d/a.jpg")
    state.with_name("elsewhere").rename(state)
    wait_for("all", lambda: place.renditions() == place.of("e/a.jpg") | place.of("c.jpg"), context=daemon.text)
    assert daemon.decoded() == decoded + 1
