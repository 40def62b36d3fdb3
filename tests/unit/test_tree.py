"""Which folders have a kernel watch, after whatever was done to them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from hotfolder.model import Kind
from hotfolder.watcher.tree import TreeWatcher
from tests.helpers import wait_for


class Owner:
    """A Sink and a Keeper that remembers."""

    def __init__(self) -> None:
        self.files: list[bytes] = []
        self.folders: list[bytes] = []

    def changed(self, path: bytes, kind: Kind) -> None:
        self.files.append(path)

    def folder_changed(self, path: bytes, kind: Kind) -> None:
        self.folders.append(path)

    def moved(self, old: bytes, new: bytes, *, is_folder: bool) -> None:
        self.folders.append(new)

    def overflow(self, moved_away: Collection[bytes]) -> None: ...

    def enters(self, folder: bytes) -> bool:
        return True

    def root_gone(self) -> None: ...

    def unwatched(self, folder: bytes, error: OSError) -> None: ...

    def deaf(self) -> None: ...


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def tree(tmp_path: Path, owner: Owner) -> Iterator[TreeWatcher]:
    (tmp_path / "b/h").mkdir(parents=True)
    watcher = TreeWatcher(str(tmp_path), owner, owner, recursive=True)
    watcher.start()
    for folder in (b"b", b"b/h"):
        watcher.ensure(folder)
    yield watcher
    watcher.stop()


@pytest.mark.parametrize("again", ["b", "b/h"])
def test_a_folder_by_the_name_of_one_that_left_keeps_its_watch(
    tmp_path: Path, owner: Owner, tree: TreeWatcher, again: str
) -> None:
    """It was moved into a folder that had no watch yet, so that the second half of the rename never came."""
    with tree._lock:  # all of it is done before the first event is looked at
        (tmp_path / "c").mkdir()
        (tmp_path / "b").rename(tmp_path / "c/g")
        (tmp_path / again).mkdir(parents=True)
    wait_for("both", lambda: b"c" in owner.folders and owner.folders.count(b"b") == 2)
    for folder in (b"c", b"c/g", b"c/g/h", again.encode()):  # as the walks do that follow
        tree.ensure(folder)
    tree.expire(time.monotonic() + 10)
    for path in (f"{again}/new.jpg", "c/g/new.jpg", "c/g/h/new.jpg"):
        (tmp_path / path).write_bytes(b"")
        wait_for(path, lambda path=path: path.encode() in owner.files)  # type: ignore[misc]
    assert tree.watches == len([tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())])
