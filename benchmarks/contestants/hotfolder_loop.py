"""Our part of compare.py: ``hotfolder_loop.py IN OUT (thumbnails|full) WORKERS QUALITY PRESETS``.

The bare imaging loop on a plain ThreadPoolExecutor: no watching, no queue, no index.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import BinaryIO

from hotfolder.imaging import Limits, Plan, native, open_image, render
from hotfolder.presets import BUILT_IN, OptimizeSpec

source, target, mode, workers, quality, _ = sys.argv[1:]
if os.environ.get("WITHOUT_NATIVE"):
    native.core = None
presets = tuple(replace(preset, quality=int(quality)) for preset in BUILT_IN.values())
plan = Plan(presets, OptimizeSpec(quality=int(quality), min_saving=-10.0) if mode == "full" else None)


def work(name: str) -> None:
    with open(os.path.join(source, name), "rb") as file:
        data = file.read()
    stem = os.path.splitext(name)[0]
    files: list[BinaryIO] = []

    def create(preset: str) -> BinaryIO:
        files.append(open(os.path.join(target, f"{stem}_{preset}.jpg"), "w+b"))  # noqa: SIM115 - closed below
        return files[-1]

    render(open_image(data, Limits()), plan, plan.names(), create)
    for each in files:
        each.close()


with ThreadPoolExecutor(int(workers)) as pool:
    list(pool.map(work, sorted(os.listdir(source))))
