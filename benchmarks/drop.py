"""From the last write of a drop to its last rendition: ``python benchmarks/drop.py PHOTO [--waiting 50000]``.

On an idle daemon, beside rendering the same bytes without a daemon (by turns, in a process of its own); then with many
sources waiting. The last rendition is seen by inotify, not by looking again and again.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from daemons import Place, place, running
from PIL import Image
from watchdog.observers.inotify_c import InotifyEvent, InotifyFD, WatchCallback

IN_MOVED_TO = 0x80
THUMBNAILS = "    optimize: {enabled: false}"
RENDITIONS = 6


class Arrivals(WatchCallback):
    """Counts renditions of one source as they are given their names."""

    def __init__(self, folder: Path) -> None:
        self._changed = threading.Condition()
        self._seen: dict[bytes, tuple[int, float]] = {}
        self._fd = InotifyFD()
        self._fd.start()
        self._fd.add_callback(os.fsencode(folder), IN_MOVED_TO, self, 1)  # type: ignore[arg-type]

    def on_event(self, event: InotifyEvent) -> None:
        stem = (event.name or b"").partition(b"_")[0]
        with self._changed:
            count, _ = self._seen.get(stem, (0, 0.0))
            self._seen[stem] = (count + 1, time.perf_counter())
            self._changed.notify_all()

    def on_watch_deleted(self, wd: int) -> None: ...

    def on_queue_overflow(self) -> None: ...

    def wait(self, stem: bytes) -> float:
        """When the last of its renditions came."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._seen.get(stem, (0, 0.0))[0] >= RENDITIONS, 120)
            assert found, f"{stem!r} was not made"
            return self._seen[stem][1]


def bare(data: bytes, folder: str) -> float:
    """Seconds that imaging alone takes for the same renditions."""
    from hotfolder import imaging
    from hotfolder.presets import BUILT_IN, AnalyzeSpec

    plan = imaging.Plan(tuple(BUILT_IN.values()), None, AnalyzeSpec())
    began = time.perf_counter()
    with ExitStack() as files:

        def create(name: str) -> BinaryIO:
            return files.enter_context(tempfile.TemporaryFile(dir=folder))

        imaging.render(imaging.open_image(data, imaging.Limits()), plan, plan.names(), create)
    return time.perf_counter() - began


def say(what: str, seconds: list[float], base: float = 0.0) -> None:
    ordered = sorted(1000 * (each - base) for each in seconds)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    print(f"{what}: p50 {statistics.median(ordered):.1f} ms, p99 {p99:.1f} ms of {len(ordered)}")


def measure(at: Place, data: bytes, drops: int) -> tuple[list[float], list[float]]:
    ready, alone = [], []
    folder = at.out / "thumbnails"
    folder.mkdir(exist_ok=True)
    arrivals = Arrivals(folder)
    for number in range(drops):
        alone.append(bare(data, str(at.base)))
        stem = f"d{time.monotonic_ns()}"
        with open(at.root / f"{stem}.jpg", "wb") as file:
            file.write(data + number.to_bytes(4, "big"))
        closed = time.perf_counter()
        ready.append(arrivals.wait(stem.encode()) - closed)
    return ready, alone


def shrunk(data: bytes) -> bytes:
    """What waits is small, so that a disk has room for it; it counts how many wait, not how large they are."""
    image, file = Image.open(io.BytesIO(data)), io.BytesIO()
    image.thumbnail((640, 640))
    image.save(file, "JPEG", quality=85)
    return file.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--drops", type=int, default=100)
    parser.add_argument("--waiting", type=int, default=50_000)
    arguments = parser.parse_args()
    data = arguments.photo.read_bytes()
    with place(THUMBNAILS) as at, running(at):
        measure(at, data, 5)  # everything is loaded
        ready, alone = measure(at, data, arguments.drops)
        middle = statistics.median(alone)
        say("imaging alone", alone)
        say("drop on an idle daemon", ready)
        say("more than imaging alone (its median)", ready, middle)
    if arguments.waiting:
        with place(THUMBNAILS) as at:
            waiting = shrunk(data)
            for number in range(arguments.waiting):  # noise of the file system is not measured: written before
                folder = at.root / f"{number // 500}"
                folder.mkdir(exist_ok=True)
                (folder / f"{number}.jpg").write_bytes(waiting + number.to_bytes(4, "little"))
            with running(at) as daemon:
                while daemon.metric("hotfolder_sources_pending") < arguments.waiting / 2:
                    time.sleep(0.5)
                ready, _ = measure(at, data, arguments.drops)
                say(f"drop with {daemon.metric('hotfolder_sources_pending'):.0f} waiting", ready)


if __name__ == "__main__":
    main()
