"""Health tells of threads that ended, of a main thread that is silent, and of an index that hangs."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from hotfolder import health, loop
from hotfolder.health import Health, Possession
from hotfolder.index.database import Database
from hotfolder.loop import Loop
from hotfolder.store.lock import StateLock
from tests.helpers import wait_for


def test_what_does_not_live_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Database(str(tmp_path / "index.db"))
    index.open()
    found = Health(index, Possession(StateLock(str(tmp_path)), lambda halted: None))
    assert "hotfolder-index" in [each.name for each in loop.living()]
    dying, alive = Loop("intake", sys.exit, subject="b"), Loop("intake", lambda: True, subject="a")
    for each in (dying, alive):
        each.start()
    wait_for("the end of one", lambda: dying.ended)
    assert found.problems() == {"hotfolder-intake-b": "has ended"}
    for each in (dying, alive):
        each.stop()
    assert found.problems() == {}
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
    index.close()
    assert "hotfolder-index" not in [each.name for each in loop.living()]
