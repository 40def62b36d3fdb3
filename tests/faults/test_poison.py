"""Images that kill or hang their decoder: they end in quarantine, and nobody else does."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hotfolder.imaging import native
from tests.faults.hooks import BARRIER, DECODER, ENDED
from tests.helpers import Daemon, Place, jpeg, wait_for
from tests.unit.imaging import large_webp, long_jpeg

WATCH = "    presets: [small]\n    optimize: {enabled: false}"
Run = Callable[[Place], Daemon]


def failures(place: Place) -> dict[str, str]:
    return {row["path"]: row["reason"] for row in place.failures()}


def small(number: int | str) -> str:
    return f"thumbnails/{number}_thumb_small.jpg"


@pytest.mark.parametrize("kind", ["segv", "exit"])
def test_two_of_thirty_two_in_flight(tmp_path: Path, run: Run, kind: str) -> None:
    place = Place(tmp_path, "pool: {workers: 32}", WATCH)
    flag = tmp_path / "alone"
    place.hook(DECODER + BARRIER.format(parties=32, flag=str(flag), seconds=20))
    for number in range(32):
        place.put(f"{number}.jpg", jpeg(80, 60, number, comment=kind.encode() if number in (5, 17) else b""))
    first = Daemon(place)
    status = first.process.wait(60)
    assert status == (-signal.SIGSEGV if kind == "segv" else 7), first.text()
    flag.touch()
    daemon = run(place)
    daemon.wait_renditions({small(number) for number in range(32) if number not in (5, 17)})
    wait_for("both poisons in quarantine", lambda: len(failures(place)) == 2, context=daemon.text)
    assert {Path(path).name for path in failures(place)} == {"5.jpg", "17.jpg"}
    how = "killed by signal 11" if kind == "segv" else "ended with status 7"
    assert all(how in row["message"] and row["reason"] == "crashed" for row in place.failures())
    assert daemon.process.poll() is None
    place.put("after.jpg", jpeg(80, 60, 99))
    wait_for("a later drop", lambda: small("after") in place.renditions(), context=daemon.text)
    assert daemon.stop() == 0


def test_a_kill_convicts_nobody(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, "pool: {workers: 8}", WATCH)
    flag = tmp_path / "go"
    place.hook(DECODER + BARRIER.format(parties=99, flag=str(flag), seconds=60))
    expected = set()
    for number in range(20):
        place.put(f"{number}.jpg", jpeg(80, 60, number))
        expected.add(small(number))
    killed = run(place)
    wait_for("work", lambda: killed.metric("hotfolder_workers", state="busy") >= 8, context=killed.text)
    killed.stop(signal.SIGKILL)
    flag.touch()
    daemon = run(place)
    daemon.wait_renditions(expected)
    daemon.wait_log(" suspect ", 8)
    assert failures(place) == {}


def test_children_that_are_killed_and_come_back(tmp_path: Path, run: Run) -> None:
    """SIGKILL may be anybody's: the second one convicts."""
    place = Place(tmp_path, "pool: {isolate: always}", WATCH)
    place.hook(DECODER)
    place.put("a.jpg", jpeg(80, 60, 1))
    place.put("poison.jpg", jpeg(80, 60, 2, comment=b"kill"))
    daemon = run(place)
    daemon.wait_renditions({small("a")})
    wait_for("the conviction", lambda: len(failures(place)) == 1, context=daemon.text)
    (row,) = place.failures()
    assert (row["reason"], row["tries"]) == ("crashed", 2)
    assert "signal 9" in row["message"]


@pytest.mark.parametrize("isolate", ["auto", "always"])
def test_a_decode_that_never_ends(tmp_path: Path, run: Run, isolate: str) -> None:
    place = Place(tmp_path, f"pool: {{workers: 2, job_timeout: 2s, isolate: {isolate}}}", WATCH)
    place.hook(DECODER)
    daemon = run(place)
    place.put("hang.jpg", jpeg(80, 60, 1, comment=b"hang"))
    expected = set()
    for number in range(12):
        place.put(f"{number}.jpg", jpeg(80, 60, number + 2))
        expected.add(small(number))
    daemon.wait_renditions(expected)
    wait_for("the conviction", lambda: list(failures(place).values()) == ["timeout"], context=daemon.text)
    stuck = daemon.metric("hotfolder_workers", state="stuck")
    wait_for(
        "the stuck thread's count", lambda: daemon.metric("hotfolder_workers", state="stuck") == (isolate == "auto")
    )
    assert stuck <= 1
    place.put("last.jpg", jpeg(80, 60, 50))
    daemon.wait_renditions({*expected, small("last")})
    assert daemon.stop() == 0


@pytest.mark.skipif(native.core is None, reason="the accelerator is not built here")
def test_a_decode_in_the_core_is_ended_with_its_thread(tmp_path: Path, run: Run) -> None:
    """The core can be told to end, so nothing of it stays behind: neither the thread nor its memory."""
    ended = tmp_path / "ended"
    place = Place(tmp_path, "pool: {workers: 2, job_timeout: 500ms}", WATCH)
    place.hook(ENDED.format(flag=str(ended)))
    daemon = run(place)
    place.put("long.jpg", long_jpeg(7_000, 7_000, scans=200))
    reason = wait_for("the end of the decode", lambda: ended.exists() and ended.read_text(), 60, daemon.text)
    assert reason == "timeout"
    wait_for("the conviction", lambda: list(failures(place).values()) == ["timeout"], 60, daemon.text)
    daemon.wait_log(" stuck ")
    wait_for("the thread's end", lambda: daemon.metric("hotfolder_workers", state="stuck") == 0, 60, daemon.text)
    place.put("last.jpg", jpeg(80, 60, 50))
    daemon.wait_renditions({small("last")})
    assert daemon.stop() == 0


def test_a_large_picture_that_no_thread_can_be_called_back_from_is_ended(tmp_path: Path, run: Run) -> None:
    """151 megapixels in 32 bytes: decoded in one call of a library, then encoded in another."""
    place = Place(tmp_path, "pool: {workers: 2, job_timeout: 1s}")
    daemon = run(place)
    place.put("large.webp", large_webp(12_288, 12_288))
    wait_for("the conviction", lambda: list(failures(place).values()) == ["timeout"], 120, daemon.text)
    assert daemon.metric("hotfolder_workers", state="stuck") == 0
    assert " stuck " not in daemon.text()
    place.put("last.jpg", jpeg(80, 60, 50))
    daemon.wait_log("last.jpg")
    assert daemon.stop() == 0


def test_slow_alone_convicts_nobody(tmp_path: Path, run: Run) -> None:
    """Many more busy workers than CPUs: each takes far longer than its own time. Threads that wait for the interpreter
    look asleep, so a helper may be asked on a crowded machine; it acquits."""
    place = Place(tmp_path, "pool: {workers: 32, job_timeout: 1500ms}")
    for number in range(24):
        place.put(f"{number}.jpg", jpeg(2400, 1600, number))
    daemon = run(place)
    wait_for("all", lambda: len(place.renditions()) == 24 * 7, 120, daemon.text)
    assert failures(place) == {}
