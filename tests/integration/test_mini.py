"""docs/internals/mini.md is a program that does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import jpeg, wait_for

PAGE = Path(__file__).parents[2] / "docs/internals/mini.md"
CODE = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "mini.py").write_text(CODE)
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    begun: list[subprocess.Popen[bytes]] = []

    def begin() -> subprocess.Popen[bytes]:
        command = [sys.executable, "mini.py", "in", "out"]
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        _, said = process.communicate()
        assert said == b""


def test_it_fits_on_a_page() -> None:
    assert len([line for line in CODE.splitlines() if line.strip()]) <= 150


def test_it_does_what_it_says(tmp_path: Path, start: Start) -> None:
    one, two = tmp_path / "in/one.jpg", tmp_path / "in/sub/two.jpg"
    made = {path: tmp_path / "out" / f"{path.relative_to(tmp_path / 'in')}_thumb.jpg" for path in (one, two)}
    one.write_bytes(jpeg())
    process = start()
    wait_for("what was there", made[one].exists)
    two.write_bytes(jpeg(seed=2))
    wait_for("what was dropped", made[two].exists)
    first = made[one].stat().st_ino
    os.utime(one)
    two.unlink()
    wait_for("what was deleted", lambda: not made[two].exists())
    assert made[one].stat().st_ino == first
    process.kill()
    process.wait()
    one.write_bytes(jpeg(seed=3))
    (tmp_path / "in/damaged.jpg").write_bytes(b"no picture")
    start()
    wait_for("what changed meanwhile", lambda: made[one].stat().st_ino != first)
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.tmp")) == []
