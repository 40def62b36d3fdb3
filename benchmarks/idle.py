"""What a daemon costs that has nothing to do: ``python benchmarks/idle.py [--files 200000] [--seconds 120]``.

CPU time as a share of the wall time, wake-ups of all its threads, and resident memory; after everything was made and
the last epoch is closed. The files are hard links to some pictures, so that making them takes minutes and not hours.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from daemons import Daemon, place, running
from generated import write

FOLDER = 500
PICTURES = 20
WATCH = "    presets: [small]\n    optimize: {enabled: false}\n    analyze: false\n    rescan_interval: never"


def switches(daemon: Daemon) -> int:
    """How often its threads have gone to sleep so far (proc(5), status)."""
    found = 0
    for task in Path(f"/proc/{daemon.process.pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        found += int(next(line for line in lines if line.startswith("voluntary_ctxt")).split()[1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=120)
    arguments = parser.parse_args()
    with place(WATCH) as at:
        for number in range(PICTURES):
            write("jpeg 4:2:0", str(at.base / f"{number}.jpg"), 0.01, number)
        for number in range(arguments.files):
            folder = at.root / f"{number // FOLDER}"
            if number % FOLDER == 0:
                folder.mkdir()
            os.link(at.base / f"{number % PICTURES}.jpg", folder / f"{number}.jpg")
        at.scan()
        with running(at) as daemon:
            walks = "hotfolder_reconcile_duration_seconds_count"
            while not daemon.metric(walks) or daemon.metric("hotfolder_sources_pending"):
                time.sleep(1)
            time.sleep(60)  # memory is given back, the epoch is closed
            cpu, slept, began = daemon.cpu(), switches(daemon), time.monotonic()
            time.sleep(arguments.seconds)
            passed = time.monotonic() - began
            share, woken = (daemon.cpu() - cpu) / passed, (switches(daemon) - slept) / passed
            print(
                f"{arguments.files} files: CPU {share:.3%}, {woken:.1f} wake-ups/s, {daemon.resident():.0f} MB resident"
                f" (peak {daemon.resident('VmHWM'):.0f} MB)"
            )


if __name__ == "__main__":
    main()
