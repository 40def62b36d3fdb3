"""How quickly GET /stats answers while every worker is busy with 24 MP photos: p50, p99 and the slowest.

    python benchmarks/api.py [--seconds 20] [--photos 60]

The bound is 100 ms for p99. Photos are made here; the daemon is one of its own in a temporary folder.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

EVERY = 0.02
"""Seconds between two requests."""


def photo(path: Path) -> None:
    """24 MP: smooth shapes with noise, compressed like a camera's."""
    y, x = np.mgrid[0:4000, 0:6000].astype(np.float32)
    waves = np.stack([127 + 90 * np.sin(x / (90 + c)) * np.cos(y / (130 + c)) for c in range(3)], -1)
    noise = np.random.default_rng(1).normal(0, 8, waves.shape).astype(np.float32)
    Image.fromarray(np.clip(waves + noise, 0, 255).astype(np.uint8)).save(path, quality=92)


def measure(port: int, seconds: float) -> tuple[list[float], list[int]]:
    """Milliseconds of each answer, and how many workers were busy at that time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    took, busy = [], []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.perf_counter()
        connection.request("GET", "/api/image-processing/stats")
        found = json.load(connection.getresponse())
        took.append((time.perf_counter() - began) * 1000)
        busy.append(found["thread_pool"]["active_threads"])
        time.sleep(EVERY)
    return took, busy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--port", type=int, default=19766)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        (base / "inbox").mkdir()
        photo(base / "inbox/0.jpg")
        for number in range(1, options.photos):
            copied = base / f"inbox/{number}.jpg"
            shutil.copy(base / "inbox/0.jpg", copied)
            with copied.open("ab") as file:  # other bytes: no copy of another's renditions
                file.write(bytes([number % 256, number // 256]))
        (base / "config.yaml").write_text(
            f"watches:\n  - path: ./inbox\n    output: ./out\nhttp: {{port: {options.port}}}\n"
        )
        command = [sys.executable, "-c", "from hotfolder.cli import main; main()", "run"]
        with subprocess.Popen(command, cwd=base, stderr=subprocess.PIPE, text=True) as daemon:
            assert daemon.stderr is not None
            next(line for line in daemon.stderr if " started " in line)
            try:
                took, busy = measure(options.port, options.seconds)
            finally:
                daemon.send_signal(signal.SIGKILL)
    took.sort()
    print(f"answers {len(took)}, workers busy {statistics.mean(busy):.1f} on average")
    print(f"p50 {took[len(took) // 2]:.1f} ms, p99 {took[int(len(took) * 0.99)]:.1f} ms, slowest {took[-1]:.1f} ms")


if __name__ == "__main__":
    main()
