"""How long commands take to start: ``python benchmarks/startup.py [--runs 15]``.

A scan of an empty root from start to end, and `run` from start until it says that it stands; an interpreter that does
nothing beside them, for scale. Medians of wall and CPU time.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import Spent, spent

HOTFOLDER = [sys.executable, "-c", "from hotfolder.cli import main; main()"]


def run_to_end(command: list[str], base: Path) -> None:
    subprocess.run(command, cwd=base, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def run_until_it_stands(base: Path) -> None:
    """Its orderly end is measured, too, in CPU time; the wall time ends with its line."""
    daemon = subprocess.Popen([*HOTFOLDER, "run"], cwd=base, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert daemon.stderr is not None
    for line in daemon.stderr:
        if " started " in line:
            break
    daemon.send_signal(signal.SIGKILL)
    daemon.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        base = Path(text)
        (base / "in").mkdir()
        (base / "config.yaml").write_text("watches:\n  - path: ./in\n    output: ./out\nhttp: {port: 0}\n")
        kinds: dict[str, Callable[[], None]] = {
            "python that does nothing": lambda: run_to_end([sys.executable, "-c", "pass"], base),
            "scan of an empty root": lambda: run_to_end([*HOTFOLDER, "scan"], base),
            "run until it stands": lambda: run_until_it_stands(base),
        }
        found: dict[str, list[Spent]] = {kind: [] for kind in kinds}
        for turn in range(arguments.runs + 1):
            for kind, call in kinds.items():
                measured = spent(call)
                if turn:
                    found[kind].append(measured)
        for kind, measured_ in found.items():
            wall = statistics.median(each.wall for each in measured_)
            cpu = statistics.median(each.cpu for each in measured_)
            print(f"{kind}: {wall:.3f} s, CPU {cpu:.3f} s")


if __name__ == "__main__":
    main()
