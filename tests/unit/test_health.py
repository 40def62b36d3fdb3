"""Health tells of threads that ended, of a main thread that is silent, and of an index that hangs."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from hotfolder import health
from hotfolder.health import LASTING, Health
from hotfolder.keeping.database import Database


def test_what_does_not_live_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Database(str(tmp_path / "index.db"))
    index.open()
    found = Health(index)
    end = threading.Event()
    names = [name for name in LASTING if name != "hotfolder-index"] + ["hotfolder-intake-a", "hotfolder-reconcile-a"]
    threads = [threading.Thread(target=end.wait, name=name) for name in names]
    for thread in threads:
        thread.start()
    found.watches = ("a",)
    assert found.problems() == {}
    found.watches = ("a", "b")
    assert found.problems() == {"hotfolder-intake-b": "has ended", "hotfolder-reconcile-b": "has ended"}
    found.watches = ()
    monkeypatch.setattr(health, "BEAT_SECONDS", -1.0)
    assert "main" in found.problems()
    monkeypatch.setattr(health, "BEAT_SECONDS", 60.0)
    monkeypatch.setattr(health, "COMMIT_SECONDS", 0.05)
    held = threading.Event()
    future = index.write(lambda connection: held.wait(10))
    deadline = time.monotonic() + 5
    while "index" not in found.problems():
        assert time.monotonic() < deadline
    held.set()
    future.result()
    end.set()
    for thread in threads:
        thread.join()
    assert "hotfolder-feeder" in found.problems()
    index.close()
