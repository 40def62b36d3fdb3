"""`why`, `status` and health: what a person is told."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]


def test_why_of_a_folder(place: Place) -> None:
    place.put("sub/good.jpg", jpeg(60, 40))
    place.put("@eaDir/x.jpg", jpeg(60, 40))
    assert place.scan().returncode == 0
    for name in ("", "sub"):
        found = place.cli("why", str(place.inbox / name)).stdout
        assert "a folder, which is looked into" in found
        assert "hotfolder scan" in found
    assert (
        "ignored: its folder '@eaDir' is on the built-in list" in place.cli("why", str(place.inbox / "@eaDir")).stdout
    )


@pytest.mark.parametrize("living", [True, False])
def test_why(place: Place, run: Run, living: bool) -> None:
    place.put("good.jpg", jpeg(500, 400))
    place.put("bad.jpg", b"\xff\xd8\xff" + b"nonsense" * 50)
    place.put("@eaDir/x.jpg", jpeg(60, 40))
    place.put("notes.txt", b"text")
    os.utime(place.inbox / "bad.jpg", (1, 1))
    assert place.scan().returncode == 1
    if living:
        run(place)

    def why(name: str) -> str:
        return place.cli("why", str(place.inbox / name)).stdout

    good = why("good.jpg")
    assert "all renditions are made" in good
    assert "small      150×120" in good
    assert "optimized/good.jpg" in good
    bad = why("bad.jpg")
    assert "failed: the file ends too early" in bad
    assert "failures retry" in bad
    assert "ignored: its folder '@eaDir' is on the built-in list" in why("@eaDir/x.jpg")
    assert "ignored: its name has no image extension" in why("notes.txt")
    assert "there is no file" in why("never.jpg")
    shutil.copy(place.inbox / "good.jpg", place.base / "outside.jpg")
    (place.inbox / "link.jpg").symlink_to(place.base / "outside.jpg")
    refused = place.cli("why", "/etc/passwd")
    assert "below no watched root" in refused.stderr
    found = json.loads(place.cli("why", "--json", str(place.inbox / "good.jpg")).stdout)
    assert (found["state"], found["width"], found["height"]) == ("done", 500, 400)
    assert {each["preset"] for each in found["renditions"]} >= {"small", "banner", "optimized"}


@pytest.mark.parametrize("mode", ["lossless", "lossy", "auto"])
def test_what_copies_save_is_told_of_each_and_of_all(place: Place, mode: str) -> None:
    place.configure(watch=f"    optimize: {{mode: {mode}}}")
    sources = [place.put(f"{seed}.jpg", jpeg(500, 400, seed)) for seed in (1, 2)]
    assert place.scan().returncode == 0
    saved = sum(each.stat().st_size - (place.out / "optimized" / each.name).stat().st_size for each in sources)
    assert saved > 0
    found = json.loads(place.cli("cache", "stats", "--json").stdout)
    assert found["by_preset"]["optimized"]["saved_bytes"] == saved
    assert "less than their sources" in place.cli("cache", "stats").stdout
    assert "% saved)" in place.cli("why", str(sources[0])).stdout


def test_status_once_json_and_its_exit(place: Place, run: Run) -> None:
    assert place.cli("status").returncode == 3
    daemon = run(place)
    place.put("a.jpg", jpeg())
    daemon.wait_renditions(place.of("a.jpg"))
    daemon.wait_log(" ready ")
    shown = place.cli("status", "--once")
    assert (shown.returncode, "made 1" in shown.stdout, "inbox" in shown.stdout) == (0, True, True)
    assert json.loads(place.cli("status", "--json").stdout)["made"] == 1
    place.inbox.rename(place.base / "away")
    wait_for("offline", lambda: daemon.metric("hotfolder_watch_up", watch="inbox") == 0)
    shown = place.cli("status")
    assert shown.returncode == 1
    assert "away" in shown.stdout


def test_status_is_live_at_a_terminal(place: Place, run: Run) -> None:
    run(place)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from hotfolder.cli import main; main()", "status"]
    environ = place.environment() | {"TERM": "xterm", "COLUMNS": "160", "LINES": "40"}
    process = subprocess.Popen(command, cwd=place.base, stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
    os.close(theirs)
    seen = b""

    def sees(text: bytes) -> bool:
        nonlocal seen
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while select.select([ours], [], [], 0)[0]:
                seen += os.read(ours, 65536)
        return text in seen

    def ended() -> bool:
        sees(b"")  # a terminal that nobody reads lets nobody write a last line
        return process.poll() is not None

    wait_for("the first picture", lambda: sees(b"made 0"), context=lambda: seen.decode("utf-8", "replace"))
    place.put("a.jpg", jpeg())
    wait_for("a picture that moves", lambda: sees(b"made 1"), context=lambda: seen.decode("utf-8", "replace"))
    process.send_signal(signal.SIGINT)
    wait_for("the end", ended, context=lambda: seen.decode("utf-8", "replace"))
    assert process.returncode in (0, 130)
    os.close(ours)


def test_health_knows_its_threads(place: Place, run: Run) -> None:
    daemon = run(place)
    found = json.loads(daemon.get("/healthz"))
    assert (found["status"], found["problems"]) == ("ok", {})


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    place = Place(tmp_path)
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        monkeypatch.setenv("WATCHDOG_USEC", "2000000")
        daemon = run(place)
        assert listening.recv(1000) == b"READY=1"
        word = listening.recv(1000)
        assert word.startswith(b"WATCHDOG=1\nSTATUS=ok; made 0")
        daemon.process.send_signal(signal.SIGTERM)
        while listening.recv(1000) != b"STOPPING=1":
            pass
