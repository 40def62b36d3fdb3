"""kill -9 at random moments while files come, change, move and go: afterwards the tree is that of a clean scan."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
from pathlib import Path

import pytest

from tests.helpers import Daemon, Place, jpeg, wait_for

CYCLES = int(os.environ.get("CRASH_CYCLES", "12"))
WATCH = "    presets: [small, preview]"


def disturb(place: Place, chance: random.Random, steps: int) -> None:
    """Random operations of users on the watched tree."""
    pause = threading.Event()
    for _ in range(steps):
        files = [path for path in place.inbox.rglob("*.jpg") if path.is_file()]
        folders = [path for path in place.inbox.rglob("*") if path.is_dir()]
        kind = chance.choice(["new", "new", "change", "delete", "rename", "move folder", "touch", "replace"])
        name = f"{chance.choice('abc')}/{chance.choice('de')}/{chance.randrange(40)}.jpg"
        content = jpeg(chance.randrange(200, 900), 300, chance.randrange(1000))
        if kind == "new" or not files:
            place.put(name, content)
        elif kind == "change":
            chance.choice(files).write_bytes(content)
        elif kind == "delete":
            chance.choice(files).unlink()
        elif kind == "rename":
            chance.choice(files).rename(place.inbox / f"r{chance.randrange(60)}.jpg")
        elif kind == "touch":
            os.utime(chance.choice(files))
        elif kind == "replace":
            fresh = place.put("x.tmp", content)
            fresh.replace(chance.choice(files))
        elif folders:
            shutil.move(chance.choice(folders), place.inbox / f"m{chance.randrange(10**6)}")
        pause.wait(chance.random() * 0.02)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2])
def test_kill_at_any_moment_loses_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    place = Place(tmp_path, watch=WATCH)
    pause = threading.Event()
    for _ in range(CYCLES):
        daemon = Daemon(place)
        pause.wait(chance.random())  # within start-up, too
        disturb(place, chance, chance.randrange(5, 40))
        daemon.stop(signal.SIGKILL)
    daemon = Daemon(place).ready()
    wait_for("the last scan", lambda: place.scan("--confirm-deletes").returncode == 0, context=daemon.text)
    assert daemon.stop() == 0

    shutil.move(place.out, tmp_path / "lived")
    shutil.rmtree(tmp_path / ".hotfolder")
    assert place.scan().returncode == 0
    lived = {str(path.relative_to(tmp_path / "lived")) for path in (tmp_path / "lived").rglob("*") if path.is_file()}
    clean = place.renditions() | {"CACHEDIR.TAG"}
    assert lived == clean, (sorted(lived - clean)[:9], sorted(clean - lived)[:9])
    for name in clean:
        assert (tmp_path / "lived" / name).read_bytes() == (place.out / name).read_bytes(), name
