"""What really went goes, in whatever way it went; and a root that is another folder than before is not the library."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import Daemon, Place, jpeg

Run = Callable[[Place], Daemon]
WATCH = "    presets: [small]\n    optimize: {enabled: false}"
RENAME_EXCHANGE = 2


def small(path: str) -> str:
    return f"thumbnails/{path}_thumb_small.jpg"


def exchange(one: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), RENAME_EXCHANGE):
        pytest.skip("this file system cannot exchange two names")


def filled(tmp_path: Path, run: Run, *names: str) -> tuple[Place, Daemon]:
    place = Place(tmp_path, watch=WATCH)
    daemon = run(place)
    for number, name in enumerate(names):
        place.put(f"{name}.jpg", jpeg(60, 40, number))
    daemon.wait_renditions({small(name) for name in names})
    return place, daemon


@pytest.mark.parametrize("kind", ["link", "FIFO", "folder", "another suffix", "outside", "left out"])
def test_an_image_that_is_none_any_more(tmp_path: Path, run: Run, kind: str) -> None:
    place, daemon = filled(tmp_path, run, "a", "stays")
    path = place.inbox / "a.jpg"
    replacement = place.inbox / "replacement"
    if kind == "link":
        replacement.symlink_to("stays.jpg")
        replacement.rename(path)
    elif kind == "FIFO":
        os.mkfifo(replacement)
        replacement.rename(path)
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "another suffix":
        path.rename(place.inbox / "a.txt")
    elif kind == "outside":
        path.rename(tmp_path / "a.jpg")
    else:
        place.put(".hotfolderignore", b"a.jpg\n")
    daemon.wait_renditions({small("stays")})


def test_two_folders_are_exchanged(tmp_path: Path, run: Run) -> None:
    place, daemon = filled(tmp_path, run, "one/a", "one/both", "other/b", "other/both", "other/below/c")
    exchange(place.inbox / "one", place.inbox / "other")
    daemon.wait_renditions({small(name) for name in ("other/a", "other/both", "one/b", "one/both", "one/below/c")})
    (place.inbox / "one/b.jpg").unlink()
    (place.inbox / "one/below/c.jpg").unlink()
    daemon.wait_renditions({small(name) for name in ("other/a", "other/both", "one/both")})


def test_a_file_is_exchanged_with_a_folder(tmp_path: Path, run: Run) -> None:
    place, daemon = filled(tmp_path, run, "a", "folder/b", "stays")
    exchange(place.inbox / "a.jpg", place.inbox / "folder")
    daemon.wait_renditions({small("stays"), "thumbnails/a.jpg/b_thumb_small.jpg"})


def test_folders_and_files_are_exchanged_in_turn(tmp_path: Path, run: Run) -> None:
    place, daemon = filled(tmp_path, run, "one/a", "one/x", "other/b", "other/y", "f", "stays")
    exchange(place.inbox / "one", place.inbox / "other")
    exchange(place.inbox / "f.jpg", place.inbox / "one")
    below = {f"thumbnails/f.jpg/{name}_thumb_small.jpg" for name in "by"}
    daemon.wait_renditions({small("other/a"), small("other/x"), small("stays")} | below)


@pytest.mark.parametrize("way", ["a parent is renamed", "a link leads elsewhere"])
def test_another_folder_stands_at_the_root(tmp_path: Path, run: Run, way: str) -> None:
    place = Place(tmp_path, watch=WATCH)
    (tmp_path / "config.yaml").write_text((tmp_path / "config.yaml").read_text().replace("./inbox", "./p/inbox"))
    first, place.inbox = tmp_path / "first", tmp_path / "p/inbox"
    if way == "a parent is renamed":
        place.inbox.mkdir(parents=True)
    else:
        (first / "inbox").mkdir(parents=True)
        (tmp_path / "p").symlink_to(first)
    daemon = run(place)
    place.put("known.jpg", jpeg(60, 40, 1))
    daemon.wait_renditions({small("known")})
    if way == "a parent is renamed":
        (tmp_path / "p").rename(tmp_path / "p.old")
        place.inbox.mkdir(parents=True)
    else:
        (tmp_path / "second/inbox").mkdir(parents=True)
        (tmp_path / "new").symlink_to(tmp_path / "second")
        (tmp_path / "new").rename(tmp_path / "p")
    place.put("dropped.jpg", jpeg(60, 40, 2))
    daemon.wait_renditions({small("known"), small("dropped")})
    place.put("brief.jpg", jpeg(60, 40, 3))
    daemon.wait_renditions({small("known"), small("dropped"), small("brief")})
    (place.inbox / "brief.jpg").unlink()
    daemon.wait_renditions({small("known"), small("dropped")})
    for _ in range(2):
        assert place.scan().returncode == 0
    daemon.wait_renditions({small("known"), small("dropped")})
    assert (
        "known images lie on another file system, or below another root folder" in place.cli("status", "--json").stdout
    )
    assert place.scan("--confirm-deletes").returncode == 0
    daemon.wait_renditions({small("dropped")})
