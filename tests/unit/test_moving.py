"""A moved folder takes its output along, or nothing of it: also where somebody else writes to the index meanwhile."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from hotfolder import wiring
from hotfolder.config import load
from hotfolder.keeping import atomic, folders
from hotfolder.keeping.database import Database
from hotfolder.watching import moving
from hotfolder.working.site import Site


def set_up(base: Path) -> tuple[Database, Site]:
    (base / "config.yaml").write_text("watches:\n  - path: ./in\n    output: ./out\n")
    (base / "in").mkdir()
    config = load(str(base / "config.yaml"), {}).config
    habits = wiring.check_folders(config.watches)
    os.makedirs(config.state)
    index = Database(os.path.join(config.state, "index.db"))
    index.open()
    site = wiring.site_of(config, config.watches[0], index, habits[config.watches[0].name])
    index.write(lambda c: folders.ensure(c, site.id, b"old/deep", folds=False)).result()
    (base / "out/thumbnails/old/deep").mkdir(parents=True)
    (base / "out/thumbnails/old/deep/x.jpg").write_bytes(b"x")
    return index, site


def test_rows_and_files_move_together(tmp_path: Path) -> None:
    index, site = set_up(tmp_path)
    root_fd = atomic.open_root(site.root)
    assert moving.move_folder(index, site, root_fd, b"old", b"new/place")
    assert (tmp_path / "out/thumbnails/new/place/deep/x.jpg").exists()
    assert folders.find(index.read(), site.id, b"new/place/deep") is not None
    os.close(root_fd)
    index.close()


def test_who_gets_there_first_keeps_both_where_they_are(tmp_path: Path) -> None:
    """The walk gives the new path a row while the move is under way: files without rows would never go again."""
    index, site = set_up(tmp_path)
    root_fd = atomic.open_root(site.root)
    go = threading.Event()
    index.write(lambda c: go.wait(10))
    index.write(lambda c: folders.ensure(c, site.id, b"new", folds=False))
    found: list[bool] = []
    mover = threading.Thread(target=lambda: found.append(moving.move_folder(index, site, root_fd, b"old", b"new")))
    mover.start()
    while not site.gate._closed:
        threading.Event().wait(0.01)
    go.set()
    mover.join(10)
    assert found == [False]
    assert (tmp_path / "out/thumbnails/old/deep/x.jpg").exists()
    assert folders.find(index.read(), site.id, b"old/deep") is not None
    os.close(root_fd)
    index.close()
