"""A daemon with nothing to do writes nothing and touches no root: disks of a NAS may sleep."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import Daemon, Place, jpeg, wait_for

SECONDS = int(os.environ.get("IDLE_SECONDS", "20"))


@pytest.mark.timeout(120 + 2 * SECONDS)
def test_idle(tmp_path: Path, run: Callable[[Place], Daemon]) -> None:
    place = Place(tmp_path, watch="    presets: [small]\n    optimize: {enabled: false}")
    content = jpeg(48, 32)
    for number in range(10_000):
        path = place.inbox / f"{number // 100}/{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    daemon = run(place)
    wait_for("all made", lambda: len(place.renditions()) == 10_000, 120, daemon.text)
    done = "hotfolder_sources_pending"
    wait_for("all stored", lambda: daemon.metric(done, watch="inbox") == 0, 60)
    state = tmp_path / ".hotfolder"

    def look() -> dict[str, tuple[int, int]]:
        return {file.name: (file.stat().st_mtime_ns, file.stat().st_size) for file in state.iterdir()}

    wait_for("the last epoch to be closed", lambda: epoch_closed(state), 60, daemon.text)
    before, io = look(), written(daemon)
    woken = wake_ups(daemon)
    assert woken < 5, f"{woken:.1f} wake-ups a second: an idle daemon beats every two seconds, its servers each second"
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-e", "trace=%file,getdents64,write,pwrite64,fsync,fdatasync"]
    tracer = subprocess.Popen([*command, "-o", trace, "-p", str(daemon.process.pid)])
    with pytest.raises(subprocess.TimeoutExpired):
        tracer.wait(SECONDS)
    tracer.terminate()
    tracer.wait(10)
    lines = trace.read_text().splitlines()
    assert lines, "the daemon beats: something has to be seen"
    touched = [line for line in lines if str(place.inbox) in line or str(place.out) in line or "getdents64" in line]
    # Whether the root's path still leads to the folder that is watched: in memory, since it is watched.
    looks = [line for line in touched if "newfstatat" in line and f'"{place.inbox}"' in line]
    assert len(looks) <= SECONDS
    assert [line for line in touched if line not in looks] == []
    assert [line for line in lines if "sync(" in line] == []
    assert look() == before
    assert written(daemon) == io
    assert daemon.decoded() <= 8  # the others are copies of what the first workers made


def written(daemon: Daemon) -> int:
    """Bytes that the process caused to be written to disks (proc(5), io)."""
    with open(f"/proc/{daemon.process.pid}/io", encoding="ascii") as file:
        return int(dict(line.split(": ") for line in file.read().splitlines())["write_bytes"])


def wake_ups(daemon: Daemon, seconds: float = 10.0) -> float:
    """How often a second any of its threads wakes, from the times that they went to sleep (proc(5), status)."""

    def slept() -> int:
        found = 0
        for task in Path(f"/proc/{daemon.process.pid}/task").iterdir():
            lines = (task / "status").read_text().splitlines()
            found += int(next(line for line in lines if line.startswith("voluntary_ctxt")).split()[1])
        return found

    before = slept()
    threading.Event().wait(seconds)
    return (slept() - before) / seconds


def epoch_closed(state: Path) -> bool:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(f"file:{state}/index.db?mode=ro", uri=True)) as index:
        meta = dict(index.execute("SELECT key, value FROM meta").fetchall())
        newest = index.execute("SELECT max(epoch) FROM rendition").fetchone()[0]
    return bool(int(meta.get("epoch_closed", 0)) >= newest)
