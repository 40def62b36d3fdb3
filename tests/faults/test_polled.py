"""Polled watches: a change that leaves size and times as they were, right after the file was read, is found."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
WATCH = "    backend: polling\n    poll_interval: 2s\n    presets: [small]\n    optimize: {enabled: false}"


def same_size(path: Path, content: bytes) -> None:
    """Other bytes in the same inode, at the same size and mtime."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(content.ljust(before.st_size, b"\0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# The coarse clock of FAT or NFS: both writes leave the same times. The window is wider, for machines under load.
COARSE = """
import os
from hotfolder import model
model.RACY_SECONDS = 20.0
_stat, _fstat = os.stat, os.fstat
def coarse(found):
    two = 2_000_000_000
    whole = list(found)[:10]
    extra = {"st_atime_ns": found.st_atime_ns, "st_mtime_ns": found.st_mtime_ns // two * two,
             "st_ctime_ns": 1_000_000_000, "st_blksize": found.st_blksize, "st_blocks": found.st_blocks,
             "st_rdev": found.st_rdev}
    return os.stat_result(whole, extra)
os.stat = lambda *a, **k: coarse(_stat(*a, **k))
os.fstat = lambda fd: coarse(_fstat(fd))
"""


def colour(rendition: Path) -> tuple[int, ...]:
    with Image.open(io.BytesIO(rendition.read_bytes())) as image:
        found = image.convert("RGB").resize((1, 1)).getpixel((0, 0))
    assert isinstance(found, tuple)
    return found


def plain(red: int, size: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (80, 60), (red, 0, 0)).save(file, "JPEG")
    return file.getvalue().ljust(size, b"\0")


def test_a_change_in_the_same_moment(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    place.hook(COARSE)
    daemon = run(place)
    rendition = tmp_path / "out/thumbnails/1_thumb_small.jpg"
    source = place.put("1.jpg", plain(250, 4000))
    wait_for("the first one", rendition.exists, context=daemon.text)
    assert colour(rendition)[0] > 200
    same_size(source, plain(20, 4000))
    wait_for("the second one", lambda: colour(rendition)[0] < 60, context=daemon.text)
    decoded = daemon.decoded()
    before = daemon.metric("hotfolder_reconcile_duration_seconds_count")
    place.put("2.jpg", jpeg(80, 60, 2))
    wait_for("another one", (tmp_path / "out/thumbnails/2_thumb_small.jpg").exists, context=daemon.text)
    read = "hotfolder_stage_duration_seconds_count"

    def rests() -> bool:
        """Two polls in a row that read nothing."""
        seen = daemon.metric(read, stage="read"), daemon.metric("hotfolder_reconcile_duration_seconds_count")
        history.append(seen)
        counts = [polls for reads, polls in history if reads == seen[0]]
        return max(counts) - min(counts) >= 3

    history: list[tuple[float, float]] = []
    wait_for("it to be at rest", rests, 120, daemon.text)
    assert daemon.metric("hotfolder_reconcile_duration_seconds_count") > before
    assert daemon.decoded() == decoded + 1
