"""Roots and outputs that do not answer, from the very start on: they hold up their own watch, and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import Daemon, Place, call, jpeg, wait_for
from tests.integration.test_orders import BASE
from tests.integration.test_uploads import body, send

WATCH = "    presets: [small]\n    optimize: {enabled: false}\n    rescan_interval: 2s\n    poll_interval: 3s"
OTHER = "  - path: ./other\n    output: ./other-out\n    settle: 100ms\n" + WATCH
BOUND = 40.0
"""Seconds in which everything has to end; without a bound it never does."""


class Silent:
    """A mount whose server can be stopped, so that whoever touches it waits for as long as it is."""

    def __init__(self, where: Path, store: Path) -> None:
        self.where = where
        options = "attr_timeout=0,entry_timeout=0,negative_timeout=0"
        command = ["bindfs", "-f", "-o", options, str(store), str(where)]
        self._server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_for("the mount", lambda: os.path.ismount(where))

    def hush(self) -> None:
        self._server.send_signal(signal.SIGSTOP)

    def answer(self) -> None:
        self._server.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self._server.kill()
        self._server.wait()
        subprocess.run(["umount", "-l", self.where], check=False, stderr=subprocess.DEVNULL)


Mount = Callable[[Path], Silent]


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Mount]:
    if os.geteuid() != 0 or shutil.which("bindfs") is None or not os.path.exists("/dev/fuse"):
        pytest.skip("needs the superuser, bindfs and /dev/fuse")
    made: list[Silent] = []

    def mount(where: Path) -> Silent:
        where.mkdir(exist_ok=True)
        store = tmp_path / f"store-of-{where.name}"
        store.mkdir()
        made.append(Silent(where, store))
        return made[-1]

    yield mount
    for each in made:
        each.close()


@pytest.fixture
def start() -> Iterator[Callable[[Place], Daemon]]:
    """Start a daemon without waiting for it."""
    started: list[Daemon] = []

    def begin(place: Place) -> Daemon:
        started.append(Daemon(place))
        return started[-1]

    yield begin
    for daemon in started:
        daemon.stop(signal.SIGKILL)


def two(tmp_path: Path, watch: str = WATCH) -> Place:
    """A place with a second watch, `other`."""
    place = Place(tmp_path)
    (tmp_path / "other").mkdir()
    text = f"watches:\n  - path: ./inbox\n    output: ./out\n    settle: 100ms\n{watch}\n{OTHER}\n"
    (tmp_path / "config.yaml").write_text(f"{text}http: {{port: {place.port}}}\npool: {{workers: 2}}\n")
    return place


def small(path: str) -> str:
    return f"thumbnails/{path}_thumb_small.jpg"


def put_other(tmp_path: Path, name: str, seed: int) -> Path:
    """An image of the other watch; gives the rendition that is to come."""
    (tmp_path / f"other/{name}.jpg").write_bytes(jpeg(80, 60, seed))
    return tmp_path / "other-out" / small(name)


def ends_in_time(daemon: Daemon) -> None:
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("folder", ["inbox", "out"])
def test_it_is_silent_from_the_start(
    tmp_path: Path, silent: Mount, start: Callable[[Place], Daemon], folder: str
) -> None:
    place = two(tmp_path)
    mount = silent(tmp_path / folder)
    place.put("1.jpg", jpeg(80, 60, 1))
    mount.hush()
    daemon = start(place)
    rendition = put_other(tmp_path, "x", 50)
    wait_for("the other watch", rendition.exists, BOUND, daemon.text)
    daemon.ready()
    for path in ("/healthz", "/metrics", "/api/status"):
        daemon.get(path)
    state = "offline" if folder == "inbox" else "degraded"
    wait_for("its state", lambda: daemon.metric("hotfolder_watch_state", state=state, watch="inbox"), 60, daemon.text)
    assert f"{tmp_path}/{folder} does not answer" in place.cli("status").stdout
    daemon.get("/healthz")
    mount.answer()
    daemon.wait_renditions({small("1")})
    wait_for("its return", lambda: daemon.metric("hotfolder_watch_up", watch="inbox") == 1, context=daemon.text)
    place.put("2.jpg", jpeg(80, 60, 2))
    daemon.wait_renditions({small("1"), small("2")})
    assert place.failures() == []


@pytest.mark.parametrize("folder", ["inbox", "out"])
def test_it_is_silent_to_the_end(tmp_path: Path, silent: Mount, start: Callable[[Place], Daemon], folder: str) -> None:
    place = two(tmp_path)
    mount = silent(tmp_path / folder)
    mount.hush()
    daemon = start(place)
    wait_for("the other watch", put_other(tmp_path, "x", 50).exists, BOUND, daemon.text)
    ends_in_time(daemon)
    daemon = start(place)
    wait_for("the other watch again", put_other(tmp_path, "y", 51).exists, BOUND, daemon.text)
    ends_in_time(daemon)


@pytest.mark.parametrize("folder", ["inbox", "out"])
def test_a_reload_meets_a_silent_one(
    tmp_path: Path, silent: Mount, start: Callable[[Place], Daemon], folder: str
) -> None:
    place = two(tmp_path)
    both = (tmp_path / "config.yaml").read_text()
    head, _, tail = both.partition("  - path: ./inbox")
    (tmp_path / "config.yaml").write_text(head + tail[tail.index("  - path: ./other") :])
    mount = silent(tmp_path / folder)
    place.put("1.jpg", jpeg(80, 60, 1))
    daemon = start(place).ready()
    mount.hush()
    (tmp_path / "config.yaml").write_text(both)
    daemon.process.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: "config_applied" in daemon.text(), BOUND, daemon.text)
    wait_for("the other watch", put_other(tmp_path, "x", 50).exists, BOUND, daemon.text)
    state = "offline" if folder == "inbox" else "degraded"
    wait_for("its state", lambda: daemon.metric("hotfolder_watch_state", state=state, watch="inbox"), 60, daemon.text)
    (tmp_path / "config.yaml").write_text(head + tail[tail.index("  - path: ./other") :])
    daemon.process.send_signal(signal.SIGHUP)
    wait_for("the one without", lambda: daemon.text().count("config_applied") == 2, BOUND, daemon.text)
    (tmp_path / "config.yaml").write_text(both)
    daemon.process.send_signal(signal.SIGHUP)
    wait_for("the one with", lambda: daemon.text().count("config_applied") == 3, BOUND, daemon.text)
    mount.answer()
    daemon.wait_renditions({small("1")})


def test_what_a_killed_one_left_on_a_silent_output(
    tmp_path: Path, silent: Mount, start: Callable[[Place], Daemon]
) -> None:
    """Its leftovers go when the output answers again, and hold up nobody before."""
    place = two(tmp_path)
    mount = silent(tmp_path / "out")
    place.put("1.jpg", jpeg(80, 60, 1))
    place.hook(LEAVE_A_NOTE)
    daemon = start(place).ready()
    daemon.wait_renditions({small("1")})
    leftover = tmp_path / "out/thumbnails/.hotfolder-0123456789abcdef.tmp"
    leftover.write_bytes(b"half")
    daemon.stop(signal.SIGKILL)
    (tmp_path / "hooks/sitecustomize.py").unlink()
    mount.hush()
    daemon = start(place)
    wait_for("the other watch", put_other(tmp_path, "x", 50).exists, BOUND, daemon.text)
    mount.answer()
    daemon.wait_log("unclean_end")
    daemon.wait_renditions({small("1")})


LEAVE_A_NOTE = """
from hotfolder.store.inflight import InFlight
InFlight.leave = lambda self, slot: None
"""


@pytest.mark.parametrize("folder", ["inbox", "out"])
@pytest.mark.parametrize("command", [("config", "check"), ("scan",), ("doctor",), ("scan", "--dry-run")])
def test_commands_end_and_name_the_folder(tmp_path: Path, silent: Mount, folder: str, command: tuple[str, ...]) -> None:
    place = two(tmp_path)
    mount = silent(tmp_path / folder)
    rendition = put_other(tmp_path, "x", 50)
    mount.hush()
    done = place.cli(*command, timeout=60)
    assert f"{tmp_path}/{folder}" in done.stdout + done.stderr
    assert "does not answer" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if command == ("scan",):
        assert rendition.exists()
        assert done.returncode == 4
    if command == ("doctor",):
        assert done.returncode == 1


@pytest.mark.parametrize("command", [("status",), ("scan",), ("scan", "--dry-run"), ("failures", "list"), ("doctor",)])
def test_commands_end_beside_a_daemon(
    tmp_path: Path, silent: Mount, start: Callable[[Place], Daemon], command: tuple[str, ...]
) -> None:
    place = two(tmp_path)
    mount = silent(tmp_path / "inbox")
    mount.hush()
    daemon = start(place).ready()
    wait_for(
        "offline", lambda: daemon.metric("hotfolder_watch_state", state="offline", watch="inbox") == 1, 60, daemon.text
    )
    done = place.cli(*command, timeout=60)
    assert "Traceback" not in done.stderr
    if command[0] != "failures":
        assert f"{tmp_path}/inbox does not answer" in done.stdout + done.stderr
    daemon.get("/healthz")


def test_calls_that_name_a_path_on_a_silent_root_are_answered(
    tmp_path: Path, silent: Mount, start: Callable[[Place], Daemon]
) -> None:
    """Each left a thread of the server behind; some dozens, and nobody was answered any more."""
    place = two(tmp_path)
    mount = silent(tmp_path / "inbox")
    put_other(tmp_path, "x", 50)
    daemon = start(place).ready()
    mount.hush()

    def asked(name: str) -> int:
        try:
            daemon.get(f"/api/why?path={tmp_path}/{name}")
        except urllib.error.HTTPError as error:
            return error.code
        return 200

    began = time.monotonic()
    assert [asked(f"inbox/{n}.jpg") for n in range(60)] == [503] * 60
    assert time.monotonic() - began < BOUND
    assert asked("other/x.jpg") == 200
    assert send(place, body(("watch", None, b"inbox"), ("files", "a.jpg", jpeg())))[0] == 503
    wanted = {"paths": ["other:x.jpg"], "sizes": [{"width": 20, "height": 20, "suffix": "_t"}], "output": "below"}
    assert call(place, "POST", f"{BASE}/thumbnails/generate", wanted)[0] == 202
    mount.answer()
    wait_for("an answer", lambda: asked("inbox/0.jpg") == 200, 60, daemon.text)
