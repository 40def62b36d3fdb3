"""Numbers that a file system hands out and 64 signed bits do not hold: a source that has them is made once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers import Daemon, Place, jpeg

Run = Callable[[Place], Daemon]
WATCH = "    presets: [small]\n    rescan_interval: 1s"
TIMES = {"y2263": 9_300_000_000, "y2400": 13_569_465_600, "y9999": 253_402_300_000, "y1601": -11_644_473_600}
TIMES |= {"y11000": 285_000_000_000, "never": -(2**40)}


@contextmanager
def mounted(place: Path, *command: str) -> Iterator[None]:
    """A mount for the time of a test; skips where this machine cannot have it."""
    if os.geteuid() != 0 or shutil.which(command[0]) is None:
        pytest.skip(f"needs the superuser and {command[0]}")
    place.mkdir(exist_ok=True)
    done = subprocess.run([*command, str(place)], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{command[0]}: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def small(name: str) -> str:
    return f"thumbnails/{name}_thumb_small.jpg"


def test_times_of_other_centuries(tmp_path: Path, run: Run) -> None:
    """tmpfs keeps any 64 bits of seconds. What is told of such a source is JSON that a browser takes, and a header."""
    with mounted(tmp_path / "inbox", "mount", "-t", "tmpfs", "none"):
        place = Place(tmp_path, watch=WATCH)
        expected = set()
        daemon = run(place)
        for number, (name, seconds) in enumerate(TIMES.items()):
            os.utime(place.put(f"{name}.jpg", jpeg(60, 40, number)), (seconds, seconds))
            expected |= {small(name), f"optimized/{name}.jpg"}
        daemon.wait_renditions(expected)
        walks = "hotfolder_reconcile_duration_seconds_count"
        daemon.wait_metric(walks, daemon.metric(walks) + 3)
        assert daemon.decoded() == len(TIMES)
        assert daemon.metric("hotfolder_quarantined_sources", reason="internal") == 0
        listed = json.loads(daemon.get("/api/sources?limit=100"))["sources"]
        assert {each["path"] for each in listed} == {f"{name}.jpg" for name in TIMES}
        for each in listed:
            detail = json.loads(daemon.get(f"/api/sources/{each['id']}"))
            name = each["path"].removesuffix(".jpg")
            assert int(detail["version"]["mtime_ns"]) == TIMES[name] * 10**9
            for preset in ("small", "optimized"):
                assert daemon.get(f"/api/renditions/{each['id']}/{preset}")
            assert place.cli("why", f"inbox/{name}.jpg").returncode == 0
        exported = {each["path"]: int(each["mtime_ns"]) for each in place.export()}
        assert exported == {f"{name}.jpg": seconds * 10**9 for name, seconds in TIMES.items()}
        daemon.stop()
        assert place.scan().returncode == 0
        assert "made 0 (0 renditions)" in place.scan().stdout


def test_inodes_of_64_bits(tmp_path: Path, run: Run) -> None:
    """mergerfs hashes paths to inodes; half of them have the highest bit, folders as well as files."""
    branch = tmp_path / "branch"
    branch.mkdir()
    options = "use_ino,inodecalc=path-hash,cache.files=off"
    with mounted(tmp_path / "inbox", "mergerfs", "-o", options, str(branch)):
        place = Place(tmp_path, watch=WATCH + "\n    optimize: {enabled: false}")
        names = [f"{number % 8}/{number}" for number in range(24)]
        for number, name in enumerate(names):
            place.put(f"{name}.jpg", jpeg(60, 40, number))
        inodes = [(place.inbox / f"{name}.jpg").stat().st_ino for name in names]
        folders = [path.stat().st_ino for path in place.inbox.iterdir()]
        assert max(inodes) >= 2**63 <= max(folders)
        daemon = run(place)
        daemon.wait_renditions({small(name) for name in names})
        walks = "hotfolder_reconcile_duration_seconds_count"
        daemon.wait_metric(walks, daemon.metric(walks) + 3)
        assert daemon.decoded() == len(names)
        (place.inbox / "0").rename(place.inbox / "moved")
        daemon.wait_renditions(
            {small(name.replace("0/", "moved/") if name.startswith("0/") else name) for name in names}
        )
        assert daemon.decoded() == len(names)
        assert sorted(each["inode"] for each in place.export()) == sorted(
            path.stat().st_ino for path in place.inbox.rglob("*.jpg")
        )


REFUSED = """
from hotfolder.index import renditions
_put = renditions.put

def put(connection, source_id, place, key, made, epoch):
    if made.name.startswith(b"bad"):
        raise OverflowError("Python int too large to convert to SQLite INTEGER")
    _put(connection, source_id, place, key, made, epoch)

renditions.put = put
"""


def test_a_result_that_the_index_refuses(tmp_path: Path, run: Run) -> None:
    """That source alone is tried again some times and then counts as failed, in a scan and in a daemon."""
    place = Place(tmp_path, watch=WATCH)
    place.hook(REFUSED)
    place.put("bad.jpg", jpeg(60, 40, 1))
    place.put("good.jpg", jpeg(60, 40, 2))
    scan = place.scan()
    assert scan.returncode == 1, scan.stdout + scan.stderr
    assert [each["reason"] for each in place.failures()] == ["internal"]
    daemon = run(place)
    place.put("bad2.jpg", jpeg(60, 40, 3))
    place.put("good2.jpg", jpeg(60, 40, 4))
    daemon.wait_metric("hotfolder_quarantined_sources", 2, reason="internal")
    decoded = daemon.decoded()
    walks = "hotfolder_reconcile_duration_seconds_count"
    daemon.wait_metric(walks, daemon.metric(walks) + 3)
    assert small("good2") in place.renditions()
    assert daemon.decoded() == decoded
