"""A watch's name, its root or its output changes: nothing is decoded again, and nothing is deleted for it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
Seen = dict[str, tuple[int, int]]


def write(place: Place, *watches: tuple[str, str, str], extra: str = "") -> None:
    """The configuration: name, root and output of each watch."""
    pace = "settle: 100ms, poll_interval: 1s"
    text = "".join(f"  - {{name: {name}, path: {root}, output: {out}, {pace}}}\n" for name, root, out in watches)
    (place.base / "config.yaml").write_text(f"watches:\n{text}http: {{port: {place.port}}}\n{extra}\n")


def seen(*folders: Path) -> Seen:
    """What lies there by its name, with what another rendition would not have: inode or mtime."""
    found = {}
    for folder in folders:
        for path in folder.rglob("*.jpg"):
            status = path.stat()
            found[f"{path.relative_to(folder)}"] = (status.st_size, status.st_mtime_ns)
    return found


@pytest.fixture
def home(place: Place) -> Place:
    """Three images, all of them done."""
    write(place, ("one", "./inbox", "./out"))
    for seed in range(3):
        place.put(f"folder/{seed}.jpg", jpeg(seed=seed))
    assert place.scan().returncode == 0
    assert len(seen(place.out)) == 21
    return place


def _name(place: Place) -> Path:
    write(place, ("two", "./inbox", "./out"))
    return place.out


def _output(place: Place) -> Path:
    place.out.rename(place.base / "moved-out")
    write(place, ("one", "./inbox", "./moved-out"))
    return place.base / "moved-out"


def _root(place: Place) -> Path:
    place.inbox.rename(place.base / "moved-in")
    write(place, ("one", "./moved-in", "./out"))
    return place.out


def _places(place: Place) -> Path:
    place.inbox.rename(place.base / "moved-in")
    place.out.rename(place.base / "moved-out")
    write(place, ("one", "./moved-in", "./moved-out"))
    return place.base / "moved-out"


def _everything(place: Place) -> Path:
    found = _places(place)
    write(place, ("two", "./moved-in", "./moved-out"))
    return found


def _copied(place: Place) -> Path:
    """As by `rsync -a`: other inodes, and the former places are still there."""
    shutil.copytree(place.inbox, place.base / "copied-in")
    shutil.copytree(place.out, place.base / "copied-out")
    write(place, ("one", "./copied-in", "./copied-out"))
    return place.base / "copied-out"


def _link(place: Place) -> Path:
    (place.base / "link").symlink_to(place.inbox)
    write(place, ("two", "./link", "./out"))
    return place.out


HOUSES = [_name, _output, _root, _places, _everything, _copied, _link]


@pytest.mark.parametrize("move", HOUSES)
def test_a_scan_decodes_nothing_again(home: Place, move: Callable[[Place], Path]) -> None:
    before = seen(home.out)
    out = move(home)
    found = home.cli("doctor")
    assert "recognised" in found.stdout, found.stdout
    found = home.scan()
    assert found.returncode == 0, found.stderr
    assert "made 0 " in found.stdout, found.stdout
    assert seen(out) == before
    assert "watch_recognised" in found.stderr, found.stderr
    assert home.cli("cache", "verify").returncode == 0
    assert "0 missing" in home.cli("cache", "verify").stdout
    assert "recognised" in home.cli("doctor").stdout
    home.cli("cache", "gc")
    assert seen(out) == before


@pytest.mark.parametrize("move", HOUSES)
def test_a_reload_decodes_nothing_again_and_goes_on(home: Place, run: Run, move: Callable[[Place], Path]) -> None:
    daemon = run(home)
    before = seen(home.out)
    out = move(home)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("config_applied")
    home.inbox = next(each for each in (home.base / "copied-in", home.base / "moved-in", home.inbox) if each.exists())
    home.put("new.jpg", jpeg(seed=9))
    wait_for("the new one", lambda: len(seen(out)) == 28, context=daemon.text)
    assert {name: each for name, each in seen(out).items() if "new" not in name} == before
    wait_for("its record", lambda: daemon.decoded() == 1, context=daemon.text)
    assert daemon.decoded() == 1
    assert daemon.stop() == 0
    assert "made 0 " in home.scan().stdout


def test_two_watches_change_names_and_places(place: Place, run: Run) -> None:
    write(place, ("a", "./in-a", "./out-a"), ("b", "./in-b", "./out-b"), extra="hooks: []")
    for name in "ab":
        (place.base / f"in-{name}").mkdir()
        (place.base / f"in-{name}/same.jpg").write_bytes(jpeg(seed=ord(name)))
    assert place.scan().returncode == 0
    outs = [seen(place.base / f"out-{name}") for name in "ab"]

    write(place, ("b", "./in-a", "./out-a"), ("a", "./in-b", "./out-b"))
    assert "made 0 " in place.scan().stdout
    assert [seen(place.base / f"out-{name}") for name in "ab"] == outs

    (place.base / "out-a").rename(place.base / "out-c")
    (place.base / "out-b").rename(place.base / "out-a")
    (place.base / "out-c").rename(place.base / "out-b")
    write(place, ("b", "./in-a", "./out-b"), ("a", "./in-b", "./out-a"))
    assert "made 0 " in place.scan().stdout
    assert [seen(place.base / f"out-{name}") for name in "ba"] == outs


def test_an_output_that_did_not_come_along_is_made_again_and_the_former_stays(home: Place) -> None:
    before = seen(home.out)
    write(home, ("one", "./inbox", "./elsewhere"))
    shutil.copytree(home.out / "optimized", home.base / "elsewhere/optimized")
    shutil.copy(home.out / "CACHEDIR.TAG", home.base / "elsewhere/CACHEDIR.TAG")
    assert "made 3 " in home.scan().stdout
    assert seen(home.out) == before
    assert seen(home.base / "elsewhere").keys() == before.keys()


def test_another_root_deletes_nothing_before_it_is_confirmed(home: Place) -> None:
    before = seen(home.out)
    (home.base / "other").mkdir()
    (home.base / "other/x.jpg").write_bytes(jpeg(seed=7))
    write(home, ("one", "./other", "./out"))
    for _ in range(3):
        found = home.scan()
        assert before.items() <= seen(home.out).items(), found.stdout
    assert len(seen(home.out)) == 28
    assert "--confirm-deletes" in found.stdout + found.stderr
    write(home, ("one", "./inbox", "./out"))  # back: all is as it was
    assert "made 0 " in home.scan().stdout
    write(home, ("one", "./other", "./out"))
    home.scan("--confirm-deletes")
    assert len(seen(home.out)) == 7


def test_a_name_that_is_given_to_another_tree_takes_nothing_with_it(home: Place) -> None:
    before = seen(home.out)
    (home.base / "other").mkdir()
    write(home, ("one", "./other", "./other-out"))
    for _ in range(2):
        home.scan("--confirm-deletes")
    assert seen(home.out) == before
    write(home, ("one", "./other", "./other-out"), ("two", "./inbox", "./out"))
    assert "made 0 " in home.scan().stdout
    assert seen(home.out) == before


def test_a_root_that_moved_while_an_image_was_deleted(home: Place) -> None:
    home.inbox.rename(home.base / "moved-in")
    os.unlink(home.base / "moved-in/folder/1.jpg")
    write(home, ("one", "./moved-in", "./out"))
    assert "made 0 " in home.scan().stdout
    assert len(seen(home.out)) == 14


def test_what_was_paused_by_name_stays_so(home: Place, run: Run) -> None:
    daemon = run(home)
    assert home.cli("pause", "--watch", "one").returncode == 0
    _name(home)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("config_applied")
    home.put("new.jpg", jpeg(seed=9))
    for _ in range(2):
        paused = json.loads(home.cli("status", "--json").stdout)["paused"]
        assert {each["watch"] for each in paused} == {"two"}
        daemon.stop()
        daemon = run(home)
    assert len(seen(home.out)) == 21
    assert home.cli("resume", "--watch", "two").returncode == 0
    wait_for("the new one", lambda: len(seen(home.out)) == 28, context=daemon.text)
