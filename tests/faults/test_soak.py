"""Random users, random ends of the daemon, and after each round a look whether every rendition is the right one.

What the daemon holds is compared, too, with what it held when it had warmed up. A short run, as in CI, is always the
same one; a longer one is another each time, and says which.

SOAK_SECONDS=3600 SOAK_SEED=1 python -m pytest -s tests/faults/test_soak.py
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.footprint import Footprint, open_files
from tests.helpers import Daemon, Place, picture, wait_for

SHORT = 60.0
SECONDS = float(os.environ.get("SOAK_SECONDS", SHORT))
SEED = int(os.environ.get("SOAK_SEED", "0")) or (1 if SECONDS <= SHORT else random.SystemRandom().randrange(1, 10**6))
MEMORY = 24_000_000
"""Bytes that a daemon may hold more than after its first rounds: arenas of more workers, caches of larger pictures."""
WARM_ROUNDS = 2
THREADS = 8
"""Workers and those that answer requests come and go."""
WATCH = "    presets: [small, square]\n    delete_guard: {fraction: 100%, min: 1000}"
"""No rescan within the time of a round: it would find what an event was lost for."""
OUT = ("thumbnails/{0}_thumb_small.jpg", "thumbnails/{0}_square.jpg", "optimized/{0}.jpg")


class Users:
    """What people do to a tree; every picture has a colour of its own, so that a mix-up shows."""

    def __init__(self, place: Place, chance: random.Random) -> None:
        self.place = place
        self.root = place.inbox
        self.chance = chance
        self.done: Counter[str] = Counter()
        self._serial = 0

    def act(self) -> None:
        kinds = [each for each in dir(self) if each.startswith("do_")]
        kind = self.chance.choices(kinds, [4 if each == "do_drop" else 1 for each in kinds])[0]
        try:
            getattr(self, kind)()
        except OSError:  # not there, there already, or below itself: no operation
            return
        self.done[kind[3:]] += 1

    def _name(self) -> Path:
        depth = self.chance.choice([0, 1, 1, 2])
        folders = [self.chance.choice("abcd") for _ in range(depth)]
        return self.root.joinpath(*folders, f"{self.chance.randrange(30)}.jpg")

    def _file(self) -> Path:
        files = sorted(self.root.rglob("*.jpg"))
        return self.chance.choice(files) if files else self._name()

    def _folder(self) -> Path:
        folders = sorted(path for path in self.root.rglob("*") if path.is_dir())
        return self.chance.choice(folders) if folders else self.root / "a"

    def _write(self, path: Path) -> None:
        self._serial += 1
        chance = random.Random(self._serial * 1_000_003 + SEED)
        colour = tuple(chance.randrange(20, 235) for _ in range(3))
        size = (chance.randrange(40, 500), chance.randrange(40, 500))
        image = Image.blend(Image.new("RGB", size, colour), picture(*size, seed=self._serial), 0.06)
        path.parent.mkdir(parents=True, exist_ok=True)
        _unlink_shared(path)
        image.save(path, "JPEG", quality=90)

    def do_drop(self) -> None:
        self._write(self._name())

    def do_change(self) -> None:
        self._write(self._file())

    def do_replace(self) -> None:
        temporary = self.root / ".upload.part"
        with temporary.open("wb") as file:
            self._write(self.root / "zz.jpg.tmp.jpg")
            file.write((self.root / "zz.jpg.tmp.jpg").read_bytes())
        (self.root / "zz.jpg.tmp.jpg").unlink()
        temporary.replace(self._file())

    def do_delete(self) -> None:
        self._file().unlink()

    def do_touch(self) -> None:
        moment = self.chance.choice([0, 315_532_800, time.time(), 4_102_444_799])
        os.utime(self._file(), (moment, moment))

    def do_rename(self) -> None:
        goal = self._name()
        goal.parent.mkdir(parents=True, exist_ok=True)
        self._file().rename(goal)

    def do_copy(self) -> None:
        goal = self._name()
        goal.parent.mkdir(parents=True, exist_ok=True)
        source = self._file()
        if not (goal.exists() and goal.samefile(source)):
            _unlink_shared(goal)
        shutil.copy2(source, goal)

    def do_link(self) -> None:
        goal = self._name()
        goal.unlink(missing_ok=True)
        goal.hardlink_to(self._file())

    def do_swap(self) -> None:
        one, other = self._file(), self._file()
        if one != other:
            one.rename(self.root / "swap.tmp")
            other.rename(one)
            (self.root / "swap.tmp").rename(other)

    def do_move_folder(self) -> None:
        goal = self.root / self.chance.choice("abcd") / self.chance.choice("efgh")
        goal.parent.mkdir(exist_ok=True)
        self._folder().rename(goal)

    def do_remove_folder(self) -> None:
        shutil.rmtree(self._folder())

    def do_out_and_in(self) -> None:
        folder, outside = self._folder(), self.place.base / "outside"
        folder.rename(outside)
        outside.rename(folder)

    def do_damage(self) -> None:
        path = self.root / "damaged.jpg"
        path.write_bytes(b"\xff\xd8\xff damaged" + self.chance.randbytes(300))
        path.unlink()


def _unlink_shared(path: Path) -> None:
    """A change through one name of a file raises no event for its others: only a rescan finds it."""
    if path.exists() and path.stat().st_nlink > 1:
        path.unlink()


def wrong(place: Place) -> list[str]:
    """What is missing, too much, or shows another picture than its source."""
    found, wanted, complaints = place.renditions(), set(), []
    for source in place.inbox.rglob("*.jpg"):
        stem = str(source.relative_to(place.inbox))[:-4]
        names = {name.format(stem) for name in OUT}
        wanted |= names
        if names <= found:
            try:
                complaints += [name for name in names if not alike(source, place.out / name)]
            except FileNotFoundError:
                complaints.append(f"{stem} just went")
    return complaints + sorted(wanted - found) + sorted(found - wanted)


def alike(source: Path, rendition: Path) -> bool:
    colours = []
    for path in (source, rendition):
        with Image.open(path) as image:
            box = image.convert("RGB").resize((1, 1), Image.Resampling.BOX)
            colours.append(box.getpixel((0, 0)))
    return all(abs(a - b) < 14 for a, b in zip(*colours, strict=True))


def settled(place: Place, daemon: Daemon, text: str) -> None:
    def context() -> str:
        return f"{wrong(place)[:9]}\n{daemon.text()[-8000:]}"

    wait_for(f"the output to be right ({text})", lambda: not wrong(place), 90, context)


class Watchful:
    """Compares what each life of the daemon holds with what it held after its first rounds."""

    def __init__(self) -> None:
        self._pid = self._rounds = 0
        self._warm: Footprint | None = None

    def look(self, daemon: Daemon, text: str) -> None:
        if daemon.process.pid != self._pid:
            self._pid, self._rounds, self._warm = daemon.process.pid, 0, None
        self._rounds += 1
        if self._rounds == WARM_ROUNDS:
            self._warm = Footprint.of(self._pid)
        elif (warm := self._warm) is not None:
            wait_for(
                f"no more to be held than before ({text})",
                lambda: not Footprint.of(self._pid).beyond(warm, MEMORY, THREADS),
                60,
                lambda: f"{Footprint.of(self._pid).beyond(warm, MEMORY, THREADS)} {open_files(self._pid)}",
            )


@pytest.mark.timeout(600 + 2 * SECONDS)
def test_soak(tmp_path: Path, run: Callable[[Place], Daemon]) -> None:
    place = Place(tmp_path, watch=WATCH)
    chance = random.Random(SEED)
    users, ends, pause = Users(place, chance), Counter[str](), threading.Event()
    daemon, watchful = run(place), Watchful()
    until, rounds = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        for _ in range(chance.randrange(5, 120)):
            users.act()
            if chance.random() < 0.1:
                pause.wait(chance.random() * 0.1)
        end = chance.choice(["go on", "go on", "kill", "stop", "reload", "scan"])
        ends[end] += 1
        if end in ("kill", "stop"):
            daemon.stop(signal.SIGKILL if end == "kill" else signal.SIGTERM)
            for _ in range(chance.randrange(20)):
                users.act()
            daemon = run(place)
        elif end == "reload":
            daemon.process.send_signal(signal.SIGHUP)
        elif end == "scan":
            place.scan(timeout=120)
        text = f"seed {SEED}, round {rounds}, after {end}"
        settled(place, daemon, text)
        watchful.look(daemon, text)
        rounds += 1
    assert daemon.stop() == 0
    assert not list(place.out.rglob("*.tmp"))
    lived = {name: (place.out / name).read_bytes() for name in place.renditions()}
    shutil.rmtree(place.out)
    shutil.rmtree(tmp_path / ".hotfolder")
    assert place.scan(timeout=300).returncode == 0
    assert {name: (place.out / name).read_bytes() for name in place.renditions()} == lived
    print(f"seed {SEED}: {rounds} rounds, {users.done.total()} operations {dict(users.done)}, ends {dict(ends)}")
