"""Whether a pool that grows helps: ``python benchmarks/pool.py FOLDER [--delay 0.5] [--runs 3]``.

Whole scans with `pool.workers: 2` and with `auto` by turns: from a file system on which each source takes `--delay`
seconds until its first byte (put into the reading of sources from outside), and from one as it is.
"""

from __future__ import annotations

import argparse
import os
import statistics
from functools import partial
from pathlib import Path

from daemons import Place, place
from measure import Spent, spent

SLOW = """
import threading
from hotfolder import imaging
_read, _never = imaging.read_all, threading.Event()

def read_all(fd, size, step=lambda: None):
    _never.wait({delay})
    return _read(fd, size, step)

imaging.read_all = read_all
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--delay", type=float, default=0.5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--copies", type=int, default=4)
    arguments = parser.parse_args()
    for kind, delay in (("slow", arguments.delay), ("fast", 0.0)):
        found: dict[str, list[Spent]] = {"2": [], "auto": []}
        for _ in range(arguments.runs):
            for workers, runs in found.items():
                with place(
                    "    presets: [small]\n    optimize: {enabled: false}", f"pool: {{workers: {workers}}}"
                ) as at:
                    runs.append(spent(partial(at.scan, prepared(at, arguments.folder, arguments.copies, delay))))
        walls = {workers: statistics.median(each.wall for each in runs) for workers, runs in found.items()}
        ratio = walls["2"] / walls["auto"]
        print(f"{kind}: 2 workers {walls['2']:.2f} s, auto {walls['auto']:.2f} s: {ratio:.2f} times as fast")


def prepared(at: Place, folder: Path, copies: int, delay: float) -> dict[str, str]:
    """Copies of the folder's photos in the root; gives the environment in which reading is slow."""
    for file in sorted(folder.iterdir()):
        for copy in range(copies if file.suffix.lower() in (".jpg", ".jpeg") else 0):
            (at.root / f"{copy}-{file.name}").write_bytes(file.read_bytes() + bytes(copy))
    hooks = at.base / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(SLOW.format(delay=delay) if delay else "")
    return {"PYTHONPATH": os.pathsep.join([str(hooks), *filter(None, [os.environ.get("PYTHONPATH")])])}


if __name__ == "__main__":
    main()
