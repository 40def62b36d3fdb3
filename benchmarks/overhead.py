"""A whole `hotfolder scan` against the bare imaging loop: ``python benchmarks/overhead.py FOLDER [--runs 5]``.

The loop renders the same bytes by the same plan on a plain ThreadPoolExecutor and renames the files, and does nothing
else: no index, no versions, no watching. By turns, after a warm-up; medians of wall and CPU time of whole processes.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from daemons import Place, place
from measure import Spent, spent

PLANS = {"thumbnails": "    optimize: {enabled: false}", "full": "    optimize: {enabled: true}"}
LOOP = "--loop"


def loop(root: str, out: str, *, copies: bool, workers: int) -> None:
    """In a process of its own."""
    import os
    from concurrent.futures import ThreadPoolExecutor
    from contextlib import ExitStack
    from typing import BinaryIO

    from hotfolder import imaging
    from hotfolder.presets import BUILT_IN, AnalyzeSpec, OptimizeSpec

    plan = imaging.Plan(tuple(BUILT_IN.values()), OptimizeSpec() if copies else None, AnalyzeSpec())
    os.makedirs(out, exist_ok=True)

    def render(name: str) -> None:
        paths: list[str] = []
        with ExitStack() as files:

            def create(preset: str) -> BinaryIO:
                paths.append(f"{out}/{name}_{preset}")
                return files.enter_context(open(paths[-1] + ".tmp", "w+b"))

            with open(f"{root}/{name}", "rb") as source:
                data = imaging.read_all(source.fileno(), os.fstat(source.fileno()).st_size)
            imaging.render(imaging.open_image(data, imaging.Limits(), name.encode()), plan, plan.names(), create)
        for path in paths:
            os.rename(path + ".tmp", path)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(render, sorted(os.listdir(root))))


def bare(at: Place, plan: str, workers: int) -> None:
    shutil.rmtree(at.base / "bare", ignore_errors=True)
    command = [sys.executable, __file__, LOOP, str(at.root), str(at.base / "bare"), plan, str(workers)]
    subprocess.run(command, check=True)


def main() -> None:
    if sys.argv[1:2] == [LOOP]:
        loop(sys.argv[2], sys.argv[3], copies=sys.argv[4] == "full", workers=int(sys.argv[5]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--copies", type=int, default=4, help="of each image, with a byte more: a longer run")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    for plan, watch in PLANS.items():
        with place(watch, f"pool: {{workers: {arguments.workers}}}") as at:
            count = 0
            for file in sorted(arguments.folder.iterdir()):
                for copy in range(arguments.copies if file.suffix.lower() in (".jpg", ".jpeg") else 0):
                    (at.root / f"{copy}-{file.name}").write_bytes(file.read_bytes() + bytes(copy))
                    count += 1
            calls: dict[str, Callable[[], object]] = {
                "loop": partial(bare, at, plan, arguments.workers),
                "scan": at.scan,
            }
            found: dict[str, list[Spent]] = {kind: [] for kind in calls}
            for turn in range(arguments.runs + 1):
                at.fresh()
                for kind, call in calls.items():
                    measured = spent(call)
                    if turn:
                        found[kind].append(measured)
            walls = {kind: statistics.median(each.wall for each in found[kind]) for kind in found}
            cpus = {kind: statistics.median(each.cpu for each in found[kind]) for kind in found}
            by_wall, by_cpu = (each["loop"] / each["scan"] for each in (walls, cpus))
            both = (f"{kind} {walls[kind]:.2f} s (CPU {cpus[kind]:.2f})" for kind in calls)
            print(f"{plan}, {count} images: {', '.join(both)}: {by_wall:.3f} of its speed, by CPU time {by_cpu:.3f}")


if __name__ == "__main__":
    main()
