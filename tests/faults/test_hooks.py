"""kill -9 at random moments while a hook is told: nothing is lost, and nothing is told before it is there."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import Daemon, Place, jpeg, wait_for

CYCLES = int(os.environ.get("CRASH_CYCLES", "12"))
WATCH = "    presets: [small, preview]"
RECORD = """#!{python}
import json, os, sys
told = json.load(sys.stdin)
images = told.get("images", [told])
missing = [r["path"] for i in images if i["event"] == "ready" for r in i["renditions"] if not os.path.exists(r["path"])]
line = {{"id": told["id"], "event": told["event"], "missing": missing,
        "images": [[i["event"], i["relative"], i.get("source", {{}}).get("hash")] for i in images if "relative" in i]}}
fd = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
os.write(fd, json.dumps(line).encode() + b"\\n")
"""

SLOW = """
import threading
from hotfolder.hooks import program
_run = program.run

def run(*arguments):
    threading.Event().wait(0.2)
    return _run(*arguments)

program.run = run
"""
"""A program lives on when the daemon is killed: so that kills find deliveries that have not begun, they begin late."""


def recorder(place: Place, name: str) -> Path:
    path = place.base / name
    path.write_text(RECORD.format(python=sys.executable, log=str(place.base / f"{name}.log")))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def told(place: Place, name: str) -> list[dict[str, Any]]:
    path = place.base / f"{name}.log"
    return [json.loads(line) for line in path.read_text().rpartition("\n")[0].splitlines()] if path.exists() else []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_event_is_lost_and_none_comes_too_early(tmp_path: Path, run: Callable[[Place], Daemon], seed: int) -> None:
    chance = random.Random(seed)
    place = Place(tmp_path, watch=WATCH)
    place.hook(SLOW)
    single, batch = recorder(place, "single"), recorder(place, "batch")
    place.configure(
        f"hooks:\n  - {{name: single, events: [ready], run: [{single}]}}\n"
        f"  - {{name: batch, events: [batch_done], run: [{batch}], after: 200ms}}",
        WATCH,
    )
    pause = threading.Event()
    names: set[str] = set()
    for cycle in range(CYCLES):
        daemon = Daemon(place)
        before = len(told(place, "single"))
        for number in range(chance.randrange(4, 12)):
            name = f"{cycle}-{number}.jpg"
            place.put(name, jpeg(chance.randrange(200, 900), 300, cycle * 100 + number))
            names.add(name)
        if cycle % 4:
            enough = before + chance.randrange(1, 4)
            wait_for("some deliveries", lambda n=enough: len(told(place, "single")) >= n, 60, daemon.text)  # type: ignore[misc]
            pause.wait(chance.random() * 0.3)
        else:
            pause.wait(chance.random() * 2)  # within start-up, too
        daemon.stop(signal.SIGKILL)
    daemon = run(place)

    def seen(name: str) -> set[str]:
        return {image for each in told(place, name) for event, image, _ in each["images"] if event == "ready"}

    wait_for("every image to be told of", lambda: seen("single") == names, 60, daemon.text)
    wait_for("every image in a batch", lambda: seen("batch") == names, 60, daemon.text)

    def left() -> list[int]:
        return [each["waiting"] + each["dead"] for each in json.loads(daemon.get("/api/hooks"))["hooks"]]

    wait_for("an empty outbox", lambda: left() == [0, 0], 30, daemon.text)
    for name in ("single", "batch"):
        assert [each["missing"] for each in told(place, name) if each["missing"]] == []
    # A repeat has the id of what it repeats: by id each image was told of once.
    once = {each["id"]: each["images"][0][1] for each in told(place, "single")}
    assert sorted(once.values()) == sorted(names)
    print(f"{len(told(place, 'single'))} deliveries of {len(names)} images, {CYCLES} kills")
