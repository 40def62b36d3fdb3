"""How near six thumbnails come to their floor: ``python benchmarks/floor.py FOLDER [--runs 5]``.

The floor is what nobody can leave out with this library: decode each photo once, at the scale that the plan allows,
and encode six pictures. Against it stands all that a worker does: read, open, decode, resample, encode, write. CPU
time of one thread, in turns, medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from hotfolder.imaging import Limits, Plan, native, open_image, render
from hotfolder.imaging.rendering.resize import apply
from hotfolder.presets import BUILT_IN

PLAN = Plan(tuple(BUILT_IN.values()))


def whole(photo: Path, folder: Path) -> None:
    files: list[BinaryIO] = []

    def create(preset: str) -> BinaryIO:
        files.append((folder / f"{photo.stem}_{preset}.jpg").open("w+b"))
        return files[-1]

    render(open_image(photo.read_bytes(), Limits()), PLAN, PLAN.names(), create)
    for file in files:
        file.close()


def floor(photo: Path) -> Callable[[], None]:
    """What must be done, with everything that need not be done before."""
    opened = open_image(photo.read_bytes(), Limits())
    scale = PLAN.scale(opened.size)
    base = native.decode(opened, scale)
    assert base is not None, f"{photo} is no JPEG for the accelerator, or that is not built"
    made: dict[str, native.Picture] = {}
    for step in PLAN.steps(opened.size):
        made[step.preset.name] = apply(step, base if step.parent is None else made[step.parent])

    def work() -> None:
        native.decode(opened, scale)
        for picture in made.values():
            picture.jpeg(85)

    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    photos = [path for path in sorted(arguments.folder.iterdir()) if path.suffix.lower() in (".jpg", ".jpeg")]
    lowest = [floor(photo) for photo in photos]
    spent: dict[str, list[float]] = {"floor": [], "whole": []}
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        for _ in range(arguments.runs + 1):
            began = time.process_time()
            for work in lowest:
                work()
            between = time.process_time()
            for photo in photos:
                whole(photo, Path(folder))
            spent["floor"].append(between - began)
            spent["whole"].append(time.process_time() - between)
    at_least, all_of_it = (statistics.median(spent[name][1:]) / len(photos) * 1000 for name in ("floor", "whole"))
    print(f"floor {at_least:.1f} ms a photo, whole {all_of_it:.1f} ms: {at_least / all_of_it:.2f} of the floor's speed")


if __name__ == "__main__":
    main()
