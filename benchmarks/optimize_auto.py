"""What mode `auto` gives: ``python benchmarks/optimize_auto.py FOLDER [--peer PROGRAM] [--write FILE]``.

Every JPEG of the folder, one after another in one thread: our `auto`; the standard tables at one quality for all
(libjpeg-turbo, progressive), 85 and the lowest whose worst photo meets the target; and with ``--peer`` the automatic
mode of optimize-images. Scores are of whole pictures, by the measure of optimizing/quality.py, whose fit against the
package `ssimulacra2` is shown where that is installed. CPU seconds are of whole copies, decoding among them.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hotfolder.imaging import Limits, Plan, open_image, render
from hotfolder.imaging.optimizing.quality import Reference
from hotfolder.presets import OPTIMIZED, OptimizeSpec

BEGIN, END = "<!-- benchmarks/optimize_auto.py -->\n", "<!-- end -->\n"
QUALITIES = range(80, 99)


@dataclass(frozen=True, slots=True)
class Result:
    """One copy of one photo."""

    size: int
    score: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--target", type=float, default=85.0)
    parser.add_argument("--peer", help="the program optimize-images 2.2")
    parser.add_argument("--write", type=Path, help="put the table between its marks in this file")
    arguments = parser.parse_args()
    photos = sorted(path for path in arguments.folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    ways: dict[str, list[Result]] = {"`auto`": [], "quality 85": [], "fixed": []}
    needed, misses = [], []
    for photo in photos:
        data = photo.read_bytes()
        reference = Reference(_pixels(data))
        ways["`auto`"].append(_copy(data, reference, OptimizeSpec(mode="auto", target=arguments.target)))
        ways["quality 85"].append(_fixed(data, reference, 85))
        needed.append(_needed(data, reference, arguments.target))
        if ways["`auto`"][-1].score < arguments.target:
            misses.append(f"{photo.name}: {ways['`auto`'][-1].score:.2f}")
        print(f"{photo.name}: auto {ways['`auto`'][-1]}, would need quality {needed[-1]}", flush=True)
    lowest = max(needed)
    ways[f"quality {lowest}"] = ways.pop("fixed")
    for photo in photos:
        data = photo.read_bytes()
        ways[f"quality {lowest}"].append(_fixed(data, Reference(_pixels(data)), lowest))
    if arguments.peer:
        ways["optimize-images"] = _peer(arguments.peer, photos)
    text = _table(ways, f"quality {lowest}", sum(photo.stat().st_size for photo in photos), arguments.target)
    text += f"\nBelow the target by `auto`: {', '.join(misses) or 'none'}.\n" + _fit(photos)
    print(text)
    if arguments.write:
        before, _, rest = arguments.write.read_text().partition(BEGIN)
        arguments.write.write_text(before + BEGIN + text + END + rest.partition(END)[2])


def _pixels(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))[np.newaxis]


def _as_stored(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[np.newaxis]


def _measured(reference: Reference, make: Callable[[], bytes]) -> Result:
    begun = time.process_time()
    encoded = make()
    cpu = time.process_time() - begun
    return Result(len(encoded), reference.score(_pixels(encoded)).value, cpu)


def _copy(data: bytes, reference: Reference, spec: OptimizeSpec) -> Result:
    def make() -> bytes:
        with tempfile.TemporaryFile() as file:
            render(open_image(data, Limits()), Plan((), spec), (OPTIMIZED,), lambda _: file)
            file.seek(0)
            return file.read()

    return _measured(reference, make)


def _fixed(data: bytes, reference: Reference, quality: int) -> Result:
    def make() -> bytes:
        with tempfile.TemporaryFile() as file:
            ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB").save(
                file, "JPEG", quality=quality, progressive=True, optimize=True
            )
            file.seek(0)
            return file.read()

    return _measured(reference, make)


def _needed(data: bytes, reference: Reference, target: float) -> int:
    """The lowest quality that meets the target, by halving; the highest where none does."""
    low, high = QUALITIES[0], QUALITIES[-1]
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _fixed(data, reference, middle).score >= target else (middle + 1, high)
    return low


def _peer(program: str, photos: list[Path]) -> list[Result]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for photo in photos:
            there = Path(shutil.copy(photo, folder))
            there.chmod(0o600)
            begun = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([program, "-jobs", "1", "--quiet", str(there)], check=True, stdout=subprocess.DEVNULL)
            ended = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime
            data, encoded = photo.read_bytes(), there.read_bytes()
            score = Reference(_as_stored(data)).score(_as_stored(encoded)).value  # it drops the tag and does not turn
            found.append(Result(len(encoded), score, cpu))
    return found


def _table(ways: dict[str, list[Result]], fixed: str, source: int, target: float) -> str:
    """Bytes are compared with the lowest fixed quality that meets the target everywhere, CPU with quality 85."""
    count = len(next(iter(ways.values())))
    base, slow = sum(r.size for r in ways[fixed]), sum(r.cpu for r in ways["quality 85"])
    lines = [
        f"{count} photos of {source / 1e6:.1f} MB in all, target {target:g}; {_machine()}.\n",
        f"| way | MB | of {fixed} | score: median | worst | CPU s | of quality 85 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for way, found in ways.items():
        size, cpu, scores = sum(r.size for r in found), sum(r.cpu for r in found), [r.score for r in found]
        lines.append(
            f"| {way} | {size / 1e6:.1f} | {size / base:.2f} | {statistics.median(scores):.1f} | {min(scores):.1f} "
            f"| {cpu:.1f} | {cpu / slow:.2f} |"
        )
    return "\n".join(lines) + "\n"


def _machine() -> str:
    return f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} when it ended"


def _fit(photos: list[Path], side: int = 640) -> str:
    """Our measure beside the reference implementation, on one crop of each photo at three qualities."""
    try:
        from ssimulacra2 import compute_ssimulacra2
    except ImportError:
        return ""
    apart = []
    with tempfile.TemporaryDirectory() as folder:
        for photo in photos:
            image = Image.open(photo).convert("RGB")
            left, top = (image.width - side) // 2, (image.height - side) // 2
            crop = image.crop((left, top, left + side, top + side))
            crop.save(f"{folder}/a.png")
            reference = Reference(np.asarray(crop)[np.newaxis])
            for quality in (75, 85, 93):
                crop.save(f"{folder}/b.jpg", quality=quality)
                found = reference.score(_pixels(Path(folder, "b.jpg").read_bytes())).value
                apart.append(found - compute_ssimulacra2(f"{folder}/a.png", f"{folder}/b.jpg"))
    return (
        f"\nFit against the package `ssimulacra2`: {len(apart)} pairs of {side}×{side} pixels, ours less theirs "
        f"{statistics.mean(apart):+.2f} on average, between {min(apart):+.2f} and {max(apart):+.2f}.\n"
    )


if __name__ == "__main__":
    main()
