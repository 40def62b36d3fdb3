"""`hotfolder scan` beside sharp, format by format: ``python benchmarks/formats.py PHOTOS [--only PNG …] [--docs]``.

Writes the folder's photos anew in each format, in memory, and makes six thumbnails of each by both, by turns. A run of
some is taken off a run of all, so that start-up counts on neither side; medians. sharp decodes each picture once, as in
compare.py, and cannot read HEIC as it is installed: there the time of libheif alone stands beside ours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemons import HOTFOLDER, Place
from peers import Contestant, contestants, environment, install
from PIL import Image, ImageOps

from hotfolder.presets import BUILT_IN

WATCH = f"    optimize: {{enabled: false}}\n    analyze: false\n    presets: [{', '.join(BUILT_IN)}]"
WORKERS = 2
FEW = 8
HEADING = "## By format"
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG": ("jpg", {"quality": 92}),
    "progressive JPEG": ("jpg", {"quality": 92, "progressive": True}),
    "PNG": ("png", {"compress_level": 6}),
    "WebP": ("webp", {"quality": 85, "method": 2}),
    "TIFF": ("tif", {"compression": "tiff_lzw"}),
    "AVIF": ("avif", {"quality": 70, "speed": 9}),
    "HEIC": ("heic", {"quality": 70}),
}
GOALS = {"JPEG": 3.5, "progressive JPEG": 2.2, "PNG": 1.5, "WebP": 1.5, "TIFF": 1.8, "AVIF": 1.8}


def written(photo: Path, kind: str, folder: Path) -> None:
    extension, options = SETTINGS[kind]
    if extension == "heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
    with Image.open(photo) as image:
        ImageOps.exif_transpose(image).convert("RGB").save(folder / f"{photo.stem}.{extension}", **options)


@dataclass
class Runs:
    """Seconds, CPU seconds and peak memory in MB: of all pictures, and of some."""

    all: list[tuple[float, float, float]] = field(default_factory=list)
    some: list[tuple[float, float, float]] = field(default_factory=list)

    def each(self, count: int, part: int) -> float:
        """Seconds (0) or CPU seconds (1) a picture, without the start."""
        whole, less = (statistics.median(run[part] for run in runs) for runs in (self.all, self.some))
        return (whole - less) / (count - FEW)

    @property
    def peak(self) -> float:
        return statistics.median(run[2] for run in self.all)


def spent(command: list[str], where: Path, settings: dict[str, str]) -> tuple[float, float, float]:
    began = time.perf_counter()
    child = subprocess.Popen(command, cwd=where, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr is not None
    said = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{command} failed:\n{said.decode()}")
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000


def ours(place: Place, source: Path) -> tuple[float, float, float]:
    place.fresh()
    if place.root.is_symlink():
        place.root.unlink()
    else:
        place.root.rmdir()
    place.root.symlink_to(source)
    return spent([*HOTFOLDER, "scan"], place.base, dict(os.environ))


def theirs(sharp: Contestant, base: Path, source: Path) -> tuple[float, float, float]:
    target = base / "sharp"
    target.mkdir(exist_ok=True)
    table = json.dumps([preset.as_dict() for preset in BUILT_IN.values()])
    command = [*sharp.command, str(source), str(target), "thumbnails", str(WORKERS), "85", table]
    return spent(command, base, environment(sharp))


def libheif(source: Path) -> float:
    """CPU seconds that decoding a picture takes, and nothing else."""
    import pillow_heif

    files = [file.read_bytes() for file in sorted(source.iterdir())]
    began = time.process_time()
    for data in files:
        pillow_heif.open_heif(data)[0].data  # noqa: B018 - decodes
    return (time.process_time() - began) / len(files)


def measure(kind: str, photos: list[Path], base: Path, runs: int, sharp: Contestant) -> tuple[Runs, Runs, float]:
    """Ours, theirs, and libheif's seconds where they cannot."""
    whole, some = base / "all", base / "some"
    for folder in (whole, some):
        folder.mkdir()
    with ProcessPoolExecutor(WORKERS) as pool:
        for made in [pool.submit(written, photo, kind, whole) for photo in photos]:
            made.result()
    for file in sorted(whole.iterdir())[:FEW]:
        os.link(file, some / file.name)
    place = Place(base, WATCH, f"pool: {{workers: {WORKERS}}}")
    found = Runs(), Runs()
    contest: list[Callable[[Path], tuple[float, float, float]]] = [lambda source: ours(place, source)]
    if kind in GOALS:
        contest.append(lambda source: theirs(sharp, base, source))
    for _ in range(runs):
        for work, mine in zip(contest, found, strict=False):
            mine.some.append(work(some))
            mine.all.append(work(whole))
    return *found, 0.0 if kind in GOALS else libheif(whole)


def row(kind: str, count: int, us: Runs, them: Runs, alone: float) -> str:
    mine = f"{1 / us.each(count, 0):.1f} | {1000 * us.each(count, 1):.0f}"
    if not them.all:
        theirs = f"– | {1000 * alone:.0f} (libheif alone)"
        return f"| {kind} | {mine} | {theirs} | {us.each(count, 1) / alone:.2f} of its CPU | {us.peak:.0f} | – |"
    ratio, cpu = (them.each(count, part) / us.each(count, part) for part in (0, 1))
    theirs = f"{1 / them.each(count, 0):.1f} | {1000 * them.each(count, 1):.0f}"
    return f"| {kind} | {mine} | {theirs} | {ratio:.2f}× ({cpu:.2f}× by CPU) | {us.peak:.0f} | {them.peak:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--docs", action="store_true", help=f"write the part {HEADING!r} of docs/comparison.md")
    arguments = parser.parse_args()
    install()
    (sharp,) = [each for each in contestants() if each.name == "sharp, decode once"]
    photos = sorted(file for file in arguments.folder.iterdir() if file.suffix.lower() in (".jpg", ".jpeg"))
    lines = [
        f"Six thumbnails of {len(photos)} photos, {WORKERS} workers, without start-up.\n",
        "| | hotfolder: images/s | CPU ms | sharp: images/s | CPU ms | ours is faster by | our peak MB | sharp's |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    print("\n".join(lines), flush=True)
    for kind in arguments.only:
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as text:
            lines.append(row(kind, len(photos), *measure(kind, photos, Path(text), arguments.runs, sharp)))
        print(lines[-1], flush=True)
    if arguments.docs:
        page = Path(__file__).parents[1] / "docs/comparison.md"
        page.write_text(page.read_text().split(HEADING)[0] + HEADING + "\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
