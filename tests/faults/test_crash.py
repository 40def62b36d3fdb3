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


DIE_IN_A_MOVE = """
import os, signal
from hotfolder.watcher import folder_moves
_settle = folder_moves._settle

def settle(*given, **keys):
    if os.path.exists({flag!r}):
        os.unlink({flag!r})
        os.kill(os.getpid(), signal.SIGKILL)
    return _settle(*given, **keys)

folder_moves._settle = settle
"""
"""Killed when the files of a folder have been renamed, and its row has not."""


@pytest.mark.parametrize("gone", ["one image", "the folder", "nothing"])
def test_killed_in_the_move_of_a_folder(tmp_path: Path, gone: str) -> None:
    place, flag = Place(tmp_path, watch=WATCH), tmp_path / "die"
    place.hook(DIE_IN_A_MOVE.format(flag=str(flag)))
    for number in range(3):
        place.put(f"old/deep/{number}.jpg", jpeg(300, 200, number))
    daemon = Daemon(place).ready()
    kept = {f"old/deep/{number}.jpg" for number in range(3)}
    wait_for(
        "all", lambda: {name for each in kept for name in made_of(each)} == place.renditions(), context=daemon.text
    )
    flag.touch()
    (place.inbox / "old").rename(place.inbox / "new")
    wait_for("the kill", lambda: daemon.process.poll() is not None, context=daemon.text)
    left = {f"new/deep/{number}.jpg" for number in range(3)}
    if gone == "one image":
        (place.inbox / "new/deep/1.jpg").unlink()
        left.discard("new/deep/1.jpg")
    elif gone == "the folder":
        shutil.rmtree(place.inbox / "new")
        left = set()
    daemon = Daemon(place).ready()
    assert place.scan("--confirm-deletes").returncode == 0
    wait_for(
        "what is there",
        lambda: {name for each in left for name in made_of(each)} == place.renditions(),
        context=lambda: f"{place.renditions()} {daemon.text()}",
    )
    assert daemon.stop() == 0


def made_of(name: str) -> set[str]:
    stem = name.removesuffix(".jpg")
    return {f"thumbnails/{stem}{suffix}.jpg" for suffix in ("_thumb_small", "_preview")} | {f"optimized/{name}"}


@pytest.mark.timeout(600 + 10 * CYCLES)
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
