"""Each mount below a root is seen in its own way; and what a crash of the machine may have lost is made again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.hooks import BOOT, REMOTE
from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
WATCH = "    presets: [small]\n    optimize: {enabled: false}"


def small(path: str) -> str:
    return f"thumbnails/{path}_thumb_small.jpg"


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only the superuser may mount")
    where = tmp_path / "inbox/share"
    where.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "hotfolder-test", where], check=True)
    yield where
    subprocess.run(["umount", "-l", where], check=True)


def test_a_network_mount_below_a_local_root_is_polled(tmp_path: Path, share: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH + "\n    poll_interval: 1s")
    place.hook(REMOTE)
    place.put("share/deep/0.jpg", jpeg(60, 40, 9))
    place.put("local/0.jpg", jpeg(60, 40, 8))
    daemon = run(place)
    both = {small("share/deep/0"), small("local/0")}
    daemon.wait_renditions(both)
    folder = Path(f"/proc/{daemon.process.pid}/fdinfo")
    watches = [line for file in folder.iterdir() for line in file.read_text().splitlines() if "inotify " in line]
    assert len(watches) == 2  # the root and local/
    assert daemon.metric("hotfolder_watch_state", state="ok", watch="inbox") == 1
    place.put("local/1.jpg", jpeg(60, 40, 1))
    daemon.wait_renditions(both | {small("local/1")})
    place.put("share/deep/2.jpg", jpeg(60, 40, 2))
    all_three = both | {small("local/1"), small("share/deep/2")}
    daemon.wait_renditions(all_three)
    (place.inbox / "share/deep/0.jpg").unlink()
    daemon.wait_renditions(all_three - {small("share/deep/0")})
    assert daemon.metric("hotfolder_missed_changes_total", watch="inbox") == 0


def test_after_a_crash_of_the_machine_short_renditions_are_made_again(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    boot = tmp_path / "boot"
    boot.write_text("first")
    place.hook(BOOT.format(flag=str(boot)))
    daemon = run(place)
    expected = set()
    for number in range(6):
        place.put(f"{number}.jpg", jpeg(60, 40, number))
        expected.add(small(str(number)))
    daemon.wait_renditions(expected)
    wait_for("all stored", lambda: daemon.metric("hotfolder_renditions_total", preset="small") == 6)
    content = {name: (place.out / name).read_bytes() for name in expected}
    daemon.stop(signal.SIGKILL)
    # What an unsynced disk may show after a power cut: an empty file, a short one, and one that never was.
    (place.out / small("0")).write_bytes(b"")
    (place.out / small("1")).write_bytes(content[small("1")][:100])
    (place.out / small("2")).unlink()
    kept = (place.out / small("3")).stat().st_mtime_ns
    boot.write_text("second")
    daemon = run(place)
    wait_for(
        "the lost ones",
        lambda: {n: (place.out / n).read_bytes() for n in place.renditions()} == content,
        30,
        daemon.text,
    )
    assert "renditions_lost=3" in daemon.text()
    assert (place.out / small("3")).stat().st_mtime_ns == kept
    assert daemon.decoded() == 3


def test_a_closed_epoch_is_not_compared(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    boot = tmp_path / "boot"
    boot.write_text("first")
    place.hook(BOOT.format(flag=str(boot)))
    daemon = run(place)
    place.put("0.jpg", jpeg(60, 40))
    daemon.wait_renditions({small("0")})
    assert daemon.stop() == 0  # an orderly end closes its epoch
    boot.write_text("second")
    daemon = run(place)
    assert "sources_compared=0" in daemon.text()


CLOSING = """
from hotfolder.index import epochs
from hotfolder.store.staging import Staging

_init, _publish, _all = epochs.Epochs.__init__, Staging.publish, []

def init(self, *arguments):
    _init(self, *arguments)
    _all.append(self)

def publish(self, times):
    _all[-1]._close()
    return _publish(self, times)

epochs.Epochs.__init__, Staging.publish = init, publish
"""
"""An epoch closes at the worst moment: when all is written and nothing has its name yet."""


def test_what_is_renamed_after_a_sync_is_not_of_its_epoch(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    boot = tmp_path / "boot"
    boot.write_text("first")
    place.hook(BOOT.format(flag=str(boot)) + CLOSING)
    daemon = run(place)
    place.put("0.jpg", jpeg(60, 40))
    daemon.wait_renditions({small("0")})
    wait_for("it to be stored", lambda: daemon.metric("hotfolder_renditions_total", preset="small") == 1)
    content = (place.out / small("0")).read_bytes()
    daemon.stop(signal.SIGKILL)
    (place.out / small("0")).write_bytes(b"")
    boot.write_text("second")
    daemon = run(place)
    assert "sources_compared=1" in daemon.text()
    wait_for("it to be made again", lambda: (place.out / small("0")).read_bytes() == content, context=daemon.text)
