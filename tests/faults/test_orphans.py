"""As process 1, as in a container: what a hook's program leaves behind does not stay as a zombie."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import Daemon, Place, jpeg, wait_for

WATCH = "    presets: [small]"
ENDED = (FileNotFoundError, ProcessLookupError)
"""What /proc answers of one that ended: before it was opened, or before it was read."""
ALONE = ("unshare", "--pid", "--fork", "--kill-child")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None or subprocess.call([*ALONE, "true"]) != 0,
    reason="needs root and process namespaces",
)


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(*ENDED):
            found += [int(each) for each in (task / "children").read_text().split()]
    return found


def zombies(pid: int) -> list[str]:
    found = []
    for child in children(pid):
        try:
            stat = Path(f"/proc/{child}/stat").read_text()
        except ENDED:
            continue
        if stat.rpartition(")")[2].split()[0] == "Z":
            found.append(stat.partition(")")[0])
    return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(tmp_path, watch=WATCH)


def test_what_a_hook_leaves_behind_is_reaped(place: Place) -> None:
    log = place.base / "told"
    program = place.base / "hook"
    # One that outlives the program, one that is a daemon, and one that ended before it.
    program.write_text(f"#!/bin/sh\n(sleep 0.5 &)\n(setsid sleep 0.3 &)\n(true &)\necho x >> {log}\n")
    program.chmod(0o755)
    place.configure(f"hooks:\n  - {{name: leaves, events: [ready], run: [{program}]}}\n", WATCH)
    daemon = Daemon(place, *ALONE).ready()
    try:
        (first,) = children(daemon.process.pid)
        for number in range(20):
            place.put(f"{number}.jpg", jpeg(64, 48, number))
        wait_for("each image told", lambda: log.exists() and log.read_text().count("x") == 20, 60)
        wait_for("no zombie", lambda: not zombies(first), 30, lambda: str(zombies(first)))
        wait_for("no orphan", lambda: not children(first), 30, lambda: str(children(first)))
        assert daemon.metric("hotfolder_hook_deliveries_total", hook="leaves", result="ok") == 20
    finally:
        os.kill(first, 15)
        daemon.process.wait(30)


STOLEN = """
import os, threading
from hotfolder import processes

assert os.getpid() == 1
done = threading.Event()
def reap():
    while not done.is_set():
        processes.reap_orphans()
thread = threading.Thread(target=reap)
thread.start()
wrong = []
def start(number):
    for _ in range(100):
        process = processes.Process(["/bin/sh", "-c", f"(true &) ; exit {number}"])
        if process.wait() != number:
            wrong.append(process.returncode)
        try:
            processes.Process(["/nothing"])
        except FileNotFoundError:
            pass
threads = [threading.Thread(target=start, args=(number,)) for number in (3, 7, 11)]
for each in threads:
    each.start()
for each in threads:
    each.join()
done.set()
thread.join()
assert not wrong, wrong
count = 0
while processes.reap_orphans():
    count += 1
print("no status lost")
"""


def test_no_status_is_taken_from_who_waits_for_it() -> None:
    done = subprocess.run(
        [*ALONE, sys.executable, "-c", STOLEN], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "no status lost\n", done.stderr
