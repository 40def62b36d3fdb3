"""A moved folder takes its output along, or nothing of it: also where somebody else writes to the index meanwhile."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from hotfolder import wiring
from hotfolder.config import load
from hotfolder.index import backlog, folders
from hotfolder.index.database import Database
from hotfolder.pipeline import files, judge
from hotfolder.watcher import folder_moves
from hotfolder.watches.site import Site


def set_up(base: Path) -> tuple[Database, Site]:
    (base / "config.yaml").write_text("watches:\n  - path: ./in\n    output: ./out\n")
    (base / "in").mkdir()
    config = load(str(base / "config.yaml"), {}).config
    wiring.check_folders(config.watches)
    os.makedirs(config.state)
    index = Database(os.path.join(config.state, "index.db"))
    index.open()
    site = wiring.site_of(config, config.watches[0], index)
    index.write(lambda c: folders.ensure(c, site.id, b"old/deep", folds=False)).result()
    (base / "out/thumbnails/old/deep").mkdir(parents=True)
    (base / "out/thumbnails/old/deep/x.jpg").write_bytes(b"x")
    return index, site


def test_rows_and_files_move_together(tmp_path: Path) -> None:
    index, site = set_up(tmp_path)
    volume = judge.volume_of_folder(site.root, b"")
    assert folder_moves.move_folder(index, site, b"old", b"new/place", volume)
    assert (tmp_path / "out/thumbnails/new/place/deep/x.jpg").exists()
    assert folders.find(index.read(), site.id, b"new/place/deep") is not None
    index.close()


def test_who_gets_there_first_keeps_both_where_they_are(tmp_path: Path) -> None:
    """The walk gives the new path a row while the move is under way: files without rows would never go again."""
    index, site = set_up(tmp_path)
    volume = judge.volume_of_folder(site.root, b"")
    go = threading.Event()
    index.write(lambda c: go.wait(10))
    index.write(lambda c: folders.ensure(c, site.id, b"new", folds=False))
    found: list[bool] = []
    mover = threading.Thread(target=lambda: found.append(folder_moves.move_folder(index, site, b"old", b"new", volume)))
    mover.start()
    while not site.gate._closed:
        threading.Event().wait(0.01)
    go.set()
    mover.join(10)
    assert found == [False]
    assert (tmp_path / "out/thumbnails/old/deep/x.jpg").exists()
    assert folders.find(index.read(), site.id, b"old/deep") is not None
    index.close()


def test_what_a_walk_notes_at_the_new_path_meanwhile_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index, site = set_up(tmp_path)
    volume = judge.volume_of_folder(site.root, b"")
    real = files.rename_folder

    def renamed(*arguments: Any) -> bool:
        """The index is free while files are renamed: others write to it, here to the new path itself."""

        def wait(connection: sqlite3.Connection) -> None:
            for folder in (b"new", b"new/deep", b"new/later"):
                backlog.wait(connection, site.id, folders.ensure(connection, site.id, folder, folds=False), b"a.jpg", 1)

        index.write(wait).result(10)
        return real(*arguments)

    monkeypatch.setattr(files, "rename_folder", renamed)
    kept = folders.find(index.read(), site.id, b"old/deep")
    assert folder_moves.move_folder(index, site, b"old", b"new", volume)
    assert folders.find(index.read(), site.id, b"new/deep") == kept
    assert folders.find(index.read(), site.id, b"new/later") is None
    assert (tmp_path / "out/thumbnails/new/deep/x.jpg").exists()
    index.close()


def test_a_move_that_fails_leaves_no_claim(tmp_path: Path) -> None:
    index, site = set_up(tmp_path)
    (tmp_path / "out/thumbnails/new").mkdir()
    assert not folder_moves.move_folder(index, site, b"old", b"new", judge.volume_of_folder(site.root, b""))
    assert folders.find(index.read(), site.id, b"new") is None
    assert folders.find(index.read(), site.id, b"old/deep") is not None
    index.close()
