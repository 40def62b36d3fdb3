"""What the analysis adds to the CPU time of making renditions: the same photos with it and without, in turns.

python benchmarks/analyze.py FOLDER [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from typing import BinaryIO

from hotfolder.imaging import Limits, Plan, open_image, render
from hotfolder.presets import BUILT_IN, AnalyzeSpec, OptimizeSpec

PRESETS = tuple(BUILT_IN.values())
WAYS = {"thumbnails": None, "thumbnails and optimized copy": OptimizeSpec()}


def spent(data: bytes, plan: Plan) -> float:
    """Seconds of CPU to make everything of the plan."""
    files: list[BinaryIO] = []

    def create(name: str) -> BinaryIO:
        files.append(tempfile.TemporaryFile())  # noqa: SIM115 - closed below
        return files[-1]

    began = time.process_time()
    render(open_image(data, Limits(), b"x.jpg"), plan, plan.names(), create)
    took = time.process_time() - began
    for file in files:
        file.close()
    return took


def main(folder: str, rounds: int) -> None:
    photos = []
    for name in sorted(os.listdir(folder)):
        if name.lower().endswith((".jpg", ".jpeg")):
            with open(os.path.join(folder, name), "rb") as file:
                photos.append(file.read())
    for way, optimize in WAYS.items():
        without, with_it = Plan(PRESETS, optimize), Plan(PRESETS, optimize, AnalyzeSpec())
        spent(photos[0], with_it)  # imports
        plain, analysed = [], []
        for photo in photos:
            pairs = [(spent(photo, without), spent(photo, with_it)) for _ in range(rounds)]
            plain.append(min(a for a, _ in pairs))
            analysed.append(min(b for _, b in pairs))
        added = statistics.median(b / a for a, b in zip(plain, analysed, strict=True)) - 1
        print(
            f"{way}: {1000 * statistics.mean(plain):.0f} ms a photo, with analysis "
            f"{1000 * statistics.mean(analysed):.0f} ms; median {added:+.1%}"
        )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3)
