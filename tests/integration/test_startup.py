"""What is heavy is imported only where it serves: neither a scan of nothing nor a daemon that starts waits for it.

And the beat of one that rests opens no file.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.helpers import Place

PICTURES = {"PIL", "hotfolder.imaging.decoding.decode", "hotfolder.imaging.renditions"}
HEAVY = {"cv2", "multiprocessing", "numpy", "pathspec", "rich", "watchdog"} | PICTURES
FACES = {"asyncio", "fastapi", "starlette", "uvicorn"}

COMMAND = """
import gc, sys
from hotfolder.cli import main
sys.argv = ["hotfolder", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
assert gc.isenabled()
print("\\n".join(sys.modules))
"""

RUN = """
import os, signal, sys, threading
from hotfolder import daemon, processes
from hotfolder.cli import main

BEATS = 5
beats = 0
daemon.BEAT_SECONDS = 0.05
reap, notify = processes.reap_orphans, daemon.systemd.notify

def beat():
    global beats
    beats += 1
    if beats == BEATS:
        os.kill(os.getpid(), signal.SIGTERM)
    return reap()

def note(text):
    if text == "READY=1":
        print("stands with", *sys.modules)
    if text == "STOPPING=1":
        print("ends with", *sys.modules)
    notify(text)

def audit(event, arguments):
    if event == "open" and 0 < beats < BEATS and threading.current_thread() is threading.main_thread():
        print("opened", arguments[0])

processes.reap_orphans, daemon.systemd.notify = beat, note
sys.addaudithook(audit)
sys.argv = ["hotfolder", "run"]
main()
"""


def python(place: Place, code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(
        command, cwd=place.base, env=place.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_scan_of_nothing_imports_nothing_heavy(place: Place) -> None:
    modules = set(python(place, COMMAND, "scan").split())
    assert "hotfolder.engine" in modules
    assert modules & (HEAVY | FACES) == set()


@pytest.mark.parametrize("command", [("presets",), ("config", "check")])
def test_a_command_without_an_engine_imports_none(place: Place, command: tuple[str, ...]) -> None:
    modules = set(python(place, COMMAND, *command).split())
    assert modules & ({"hotfolder.engine", "sqlite3", "prometheus_client", "psutil"} | PICTURES | FACES) == set()


def test_a_daemon_stands_before_it_loads_what_pictures_need(place: Place) -> None:
    lines = python(place, RUN).splitlines()
    stands, ends = (
        set(next(line for line in lines if line.startswith(words)).split()) for words in ("stands with", "ends with")
    )
    assert "fastapi" in stands
    assert stands & (PICTURES | {"numpy", "pathspec", "websockets", "pydantic.v1.main"}) == set()
    assert ends >= PICTURES  # no picture waits for it, and an update of the package cannot come between
    assert [line for line in lines if line.startswith("opened")] == []
