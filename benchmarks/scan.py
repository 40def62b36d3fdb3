"""Images a second of a whole `hotfolder scan`: ``python benchmarks/scan.py FOLDER [--runs 5]``.

Copies the folder's images once, scans into a fresh output each time, and shows the median, with CPU time beside.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KINDS = {
    "thumbnails": "optimize: {enabled: false}",
    "full": "optimize: {enabled: true}",
}


def scan(base: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one scan."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    command = [sys.executable, "-c", "from hotfolder.cli import main; main()", "scan"]
    subprocess.run(command, cwd=base, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        base = Path(text)
        shutil.copytree(arguments.folder, base / "in")
        count = sum(name.lower().endswith((".jpg", ".jpeg", ".png")) for name in os.listdir(base / "in"))
        for kind, line in {**KINDS, "nothing to do": ""}.items():
            times = []
            for _ in range(arguments.runs):
                if line:
                    shutil.rmtree(base / "out", ignore_errors=True)
                    shutil.rmtree(base / ".hotfolder", ignore_errors=True)
                    config = f"watches:\n  - path: ./in\n    output: ./out\n    {line}\n"
                    (base / "config.yaml").write_text(config)
                times.append(scan(base))
            wall, cpu = (statistics.median(each) for each in zip(*times, strict=True))
            print(f"{kind}: {wall:.2f} s, CPU {cpu:.2f} s, {count / wall:.1f} images/s")


if __name__ == "__main__":
    main()
