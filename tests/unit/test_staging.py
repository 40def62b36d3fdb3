"""The renditions of one job get their names together, or none has one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfolder.store import atomic
from hotfolder.store.layouts import Target
from hotfolder.store.staging import Staging

TARGETS = [Target(preset, b"thumbnails", b"%s.jpg" % preset.encode()) for preset in ("a", "b", "c")]


@pytest.fixture
def output(tmp_path: Path) -> Iterator[int]:
    fd = atomic.open_root(str(tmp_path))
    yield fd
    os.close(fd)


def stage(output: int) -> dict[str, tuple[int, int]]:
    with Staging(output, b"in", mode=0o644, dir_mode=0o755, fsync=True) as staging:
        for target in TARGETS:
            staging.create(target).write(b"new")
        return staging.publish({})


def test_all_get_their_names(tmp_path: Path, output: int) -> None:
    assert {preset: size for preset, (size, _) in stage(output).items()} == {"a": 3, "b": 3, "c": 3}
    assert sorted(os.listdir(tmp_path / "thumbnails/in")) == ["a.jpg", "b.jpg", "c.jpg"]


def test_where_one_name_is_refused_none_stays(tmp_path: Path, output: int) -> None:
    """No row would know of those that came before, and they would stay for ever."""
    (tmp_path / "thumbnails/in/c.jpg/kept").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        stage(output)
    assert sorted(os.listdir(tmp_path / "thumbnails/in")) == ["c.jpg"]
    assert (tmp_path / "thumbnails/in/c.jpg/kept").is_dir()
