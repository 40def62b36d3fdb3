"""When a rendition counts as surely on the disk: after a syncfs that came after its rename, and never before."""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path
from typing import Any

import pytest

from hotfolder.index import epochs
from hotfolder.index.database import Database
from hotfolder.index.epochs import Epochs


def closed(index: Database) -> int:
    """As the next start reads it."""
    return Epochs(index, "boot", list).load().closed


def test_an_epoch_closes_after_its_rows_and_its_files(index: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Epochs(index, "boot", lambda: ["/one", "/two"]).load()
    order: list[str] = []
    flush = index.flush

    def flushed() -> None:
        order.append("rows")
        flush()

    def synced(path: str) -> None:
        assert closed(index) == 0, "what is not on the disk yet counts as if it were"
        order.append(path)

    monkeypatch.setattr(index, "flush", flushed)
    monkeypatch.setattr(epochs, "sync", synced)
    ending = mine.use()
    mine._close()
    assert order == ["rows", "/one", "/two"]
    assert closed(index) == mine.closed == ending
    assert mine.use() > ending


def test_what_cannot_be_synced_stays_open(index: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Epochs(index, "boot", lambda: ["/one", "/two"]).load()

    def fails(path: str) -> None:
        if path == "/two":
            raise OSError(errno.EIO, "Input/output error", path)

    monkeypatch.setattr(epochs, "sync", fails)
    ending = mine.use()
    mine._close()
    assert closed(index) == mine.closed == 0
    assert mine._used, "tried again"
    monkeypatch.setattr(epochs, "sync", lambda path: None)
    mine._close()
    assert closed(index) > ending


def test_syncfs_is_asked_of_each_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs.sync(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        epochs.sync(str(tmp_path / "gone"))

    class Fails:
        def __init__(self, *arguments: Any, **keys: Any) -> None:
            pass

        def syncfs(self, fd: int) -> int:
            return -1

    monkeypatch.setattr(ctypes, "CDLL", Fails)
    with pytest.raises(OSError, match="error"):
        epochs.sync(str(tmp_path))


def test_another_boot_is_noticed_until_what_was_open_has_been_compared(index: Database) -> None:
    first = Epochs(index, "one", list).load()
    assert not first.rebooted
    first.start()
    first.stop()
    assert not Epochs(index, "one", list).load().rebooted
    assert Epochs(index, "two", list).load().rebooted
    second = Epochs(index, "two", list).load()
    assert second.current > first.current
    assert second.rebooted
    second.start()
    second.stop()
    assert not Epochs(index, "two", list).load().rebooted
