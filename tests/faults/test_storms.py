"""Storms past every bound: deletes, renames, moves and exchanges by the thousand, more than lanes and queues hold.

HOTFOLDER_TEST_STORM is how many files a storm has; the tiny lane of the queue makes a few hundred enough.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import kernel
from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
COUNT = int(os.environ.get("HOTFOLDER_TEST_STORM", "600"))
SECONDS = 60.0
WATCH = "    presets: [small]\n    optimize: {enabled: false}"
TINY = "pool: {workers: 2, queue_per_worker: 1}"
"""A lane of 32 places."""
RENAME_EXCHANGE = 2
CONTENTS = [jpeg(16, 12, seed) for seed in range(16)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, TINY, WATCH)


def expected(place: Place) -> set[str]:
    """What a scan of the tree as it is now would make."""
    relative = [path.relative_to(place.inbox) for path in place.inbox.rglob("*.jpg") if path.is_file()]
    return {f"thumbnails/{path.parent / path.stem}_thumb_small.jpg".replace("/./", "/") for path in relative}


def settled(place: Place, daemon: Daemon) -> None:
    """The output becomes what the tree asks for, and then no scan finds anything to do."""

    def context() -> str:
        found, wanted = place.renditions(), expected(place)
        missing, beyond = sorted(wanted - found), sorted(found - wanted)
        return f"missing {len(missing)} {missing[:5]}\nbeyond {len(beyond)} {beyond[:5]}\n{daemon.text()[-3000:]}"

    wait_for("the tree and its output to agree", lambda: place.renditions() == expected(place), SECONDS, context)


def fill(place: Place, daemon: Daemon, count: int = COUNT, folder: str = "in") -> list[Path]:
    files = [place.put(f"{folder}/{number}.jpg", CONTENTS[number % 16]) for number in range(count)]
    settled(place, daemon)
    return files


def exchange(one: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), RENAME_EXCHANGE):
        pytest.skip(f"this file system exchanges no names: {os.strerror(ctypes.get_errno())}")


def test_all_deleted_at_once(place: Place, run: Run) -> None:
    daemon = run(place)
    for file in fill(place, daemon):
        file.unlink()
    settled(place, daemon)


@pytest.mark.parametrize("seen", [True, False], ids=["by events", "by a walk alone"])
def test_deleted_while_others_never_stop_to_come(place: Place, run: Run, seen: bool) -> None:
    """Nothing that was deleted waits for the watch to be idle."""
    place.configure(TINY, WATCH + "\n    delete_guard: {fraction: 100%, min: 1000}")
    daemon = run(place)
    fill(place, daemon, 100, "in")
    fill(place, daemon, 100, "going")
    ends = threading.Event()

    def trickle() -> None:
        number = 0
        while not ends.wait(0.05):
            number += 1
            place.put(f"busy/{number % 8}.jpg", CONTENTS[number % 16])

    hand = threading.Thread(target=trickle)
    if not seen:
        assert daemon.stop() == 0
    hand.start()
    try:
        for file in (place.inbox / "in").iterdir():
            file.unlink()
        shutil.rmtree(place.inbox / "going")
        if not seen:
            daemon = run(place)
        wait_for(
            "what was deleted to be gone",
            lambda: not [path for path in place.renditions() if "/busy/" not in path],
            SECONDS,
            lambda: daemon.text()[-3000:],
        )
    finally:
        ends.set()
        hand.join()
    settled(place, daemon)


def test_copied_in_and_deleted_at_once(place: Place, run: Run) -> None:
    daemon = run(place)
    for file in [place.put(f"in/{number}.jpg", CONTENTS[number % 16]) for number in range(max(2000, COUNT))]:
        file.unlink()
    settled(place, daemon)


def test_all_renamed_at_once(place: Place, run: Run) -> None:
    daemon = run(place)
    for file in fill(place, daemon):
        file.rename(file.with_name(f"new-{file.name}"))
    settled(place, daemon)


def test_each_renamed_fifty_times(place: Place, run: Run) -> None:
    daemon = run(place)
    for file in fill(place, daemon, max(200, COUNT // 10)):
        name = file
        for turn in range(50):
            name = name.rename(file.with_name(f"{turn}-{file.name}"))
    settled(place, daemon)


def test_deleted_and_made_again(place: Place, run: Run) -> None:
    daemon = run(place)
    for number, file in enumerate(fill(place, daemon)):
        file.unlink()
        if number % 3:
            file.write_bytes(CONTENTS[(number + number % 2) % 16])
    settled(place, daemon)


def test_files_exchanged(place: Place, run: Run) -> None:
    daemon = run(place)
    files = fill(place, daemon)
    for one, other in zip(files[::2], files[1::2], strict=True):
        exchange(one, other)
    for file in files[::2]:
        file.unlink()
    settled(place, daemon)


def test_folders_exchanged_and_moved_on(place: Place, run: Run) -> None:
    """Of unlike contents, so that each has names which the other has not."""
    daemon = run(place)
    for folder in range(20):
        for number in range(max(4, COUNT // 40)):
            place.put(f"{folder}/{number if number % 2 else f'{folder}-{number}'}.jpg", CONTENTS[number % 16])
            place.put(f"{folder}/below {folder}/{number}.jpg", CONTENTS[number % 16])
    settled(place, daemon)
    for folder in range(0, 20, 2):
        exchange(place.inbox / str(folder), place.inbox / str(folder + 1))
    settled(place, daemon)
    for folder in range(20):
        place.put(f"{folder}/later.jpg", CONTENTS[folder % 16])  # each is still watched under its new name
        (place.inbox / str(folder)).rename(place.inbox / f"on {folder}")
        (place.inbox / f"on {folder}").rename(place.inbox / f"further {folder}")
    settled(place, daemon)
    for folder in range(20):
        shutil.rmtree(place.inbox / f"further {folder}")
    settled(place, daemon)


def test_folders_that_swap_their_names_over_a_third(place: Place, run: Run) -> None:
    daemon = run(place)
    fill(place, daemon, COUNT // 4, "a")
    fill(place, daemon, COUNT // 3, "b")
    for _ in range(15):
        (place.inbox / "a").rename(place.inbox / "t")
        (place.inbox / "b").rename(place.inbox / "a")
        (place.inbox / "t").rename(place.inbox / "b")
    settled(place, daemon)


def test_a_file_goes_from_folder_to_folder(place: Place, run: Run) -> None:
    daemon = run(place)
    files = fill(place, daemon, COUNT // 2, "a")
    for folder in "bcd":
        (place.inbox / folder).mkdir()
    for file in files:
        at = file
        for folder in "bcd":
            at = at.rename(place.inbox / folder / file.name)
    settled(place, daemon)
    for folder in "ab":
        (place.inbox / folder).rmdir()
    shutil.rmtree(place.inbox / "d")
    settled(place, daemon)


def test_many_folders_go_at_once(place: Place, run: Run) -> None:
    daemon = run(place)
    for folder in range(max(50, COUNT // 4)):
        place.put(f"many/{folder}/x.jpg", CONTENTS[folder % 16])
    settled(place, daemon)
    shutil.rmtree(place.inbox / "many")
    settled(place, daemon)


def test_the_kernels_queue_overflows_with_deletes(place: Place, run: Run) -> None:
    """Stopped meanwhile, the daemon finds the queue full: most of what happened was announced to nobody."""
    with kernel.short_queue(64):
        daemon = run(place)
    files = fill(place, daemon)
    daemon.process.send_signal(signal.SIGSTOP)
    for file in files:
        file.unlink()
    daemon.process.send_signal(signal.SIGCONT)
    settled(place, daemon)
    assert daemon.metric("hotfolder_overflows_total", watch="inbox") >= 1


def test_deletions_that_were_announced_outlive_a_reload(place: Place, run: Run) -> None:
    """The new watcher's first walk finds far more missing than its guard would let pass."""
    daemon = run(place)
    for file in fill(place, daemon, 400):
        file.unlink()
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("config_applied")
    settled(place, daemon)
    assert "deletions_held" not in daemon.text()


def test_a_restart_keeps_the_deletions_that_were_announced(place: Place, run: Run) -> None:
    daemon = run(place)
    for file in fill(place, daemon, 400):
        file.unlink()
    wait_for(
        "the last deletion to be noted",
        lambda: daemon.metric("hotfolder_events_total", watch="inbox", kind="deleted") >= 400,
    )
    daemon.stop()
    daemon = run(place)
    settled(place, daemon)


BOUNDS = """
from hotfolder.watcher import intake, notes, trails
intake.NOTES_MAX, intake.FOLDERS_MAX, notes.CLOSES_MAX, trails.STEPS_MAX = 20, 5, 10, 10
"""


def test_past_the_bounds_of_what_is_noted(place: Place, run: Run) -> None:
    """More than the guard would let pass, of which most is noted by its folder, or by the root alone."""
    place.hook(BOUNDS)
    daemon = run(place)
    for folder in range(20):
        for number in range(20):
            place.put(f"{folder}/{number}.jpg", CONTENTS[number % 16])
    settled(place, daemon)
    for folder in range(0, 20, 4):
        for file in (place.inbox / str(folder)).iterdir():
            file.rename(file.with_name(f"new-{file.name}"))
    settled(place, daemon)
    for folder in range(12):
        for file in (place.inbox / str(folder)).iterdir():
            file.unlink()
    settled(place, daemon)
    for folder in range(12, 20):
        (place.inbox / str(folder)).rename(place.inbox / f"on {folder}")
    settled(place, daemon)
    for folder in range(12, 20):
        shutil.rmtree(place.inbox / f"on {folder}")
    settled(place, daemon)
    assert "deletions_held" not in daemon.text()
