"""hotfolder's imaging beside its peers: ``python benchmarks/compare.py FOLDER [--runs 5] [--only sharp …]``.

Installs the peers by itself (peers.py), runs all of them in turn, again and again, on the same photos in memory, and
takes medians; the ratios are those of one interleaved run. Checks that all made pictures of the same sizes, measures
their quality (quality.py), and writes a table and a chart to docs/.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import chart
from formats import HEADING
from peers import PYTHON, Contestant, contestants, environment, install
from PIL import Image

from hotfolder.presets import BUILT_IN

KINDS = {"thumbnails": "six thumbnails", "full": "six thumbnails and a full-size optimized copy"}
QUALITY = 85
WORKERS = 2


@dataclass
class Measured:
    """One contestant's runs: seconds, CPU seconds, peak memory in MB; and what its renditions are worth."""

    contestant: Contestant
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)

    def run(self, source: Path, target: Path, kind: str, workers: int) -> None:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        table = json.dumps([preset.as_dict() for preset in BUILT_IN.values()])
        command = [*self.contestant.command, str(source), str(target), kind, str(workers), str(QUALITY), table]
        began = time.perf_counter()
        child = subprocess.Popen(command, env=environment(self.contestant))
        _, status, used = os.wait4(child.pid, 0)
        self.wall.append(time.perf_counter() - began)
        if status:
            sys.exit(f"{self.contestant.name} failed")
        self.cpu.append(used.ru_utime + used.ru_stime)
        self.peak.append(used.ru_maxrss / 1000)

    def look(self, target: Path) -> None:
        for file in sorted(target.iterdir()):
            with Image.open(file) as image:
                self.sizes[file.name] = image.size
                if not image.info.get("progressive"):
                    sys.exit(f"{self.contestant.name}: {file.name} is not progressive")
            self.bytes[file.name] = file.stat().st_size


def same_sizes(measured: list[Measured]) -> None:
    """A pixel's difference is how libraries round; more would be another picture."""
    ours = measured[0].sizes
    for other in measured[1:]:
        if other.sizes.keys() != ours.keys():
            sys.exit(f"{other.contestant.name} made other files: {sorted(other.sizes.keys() ^ ours.keys())}")
        for name, (wide, high) in other.sizes.items():
            if abs(wide - ours[name][0]) > 1 or abs(high - ours[name][1]) > 1:
                sys.exit(f"{other.contestant.name}: {name} is {wide}×{high}, ours {ours[name]}")


def judge(source: Path, folder: Path) -> dict[str, float]:
    script = Path(__file__).parent / "quality.py"
    table = json.dumps([preset.as_dict() for preset in BUILT_IN.values()])
    answer = subprocess.run([PYTHON, script, source, folder, table], check=True, capture_output=True, text=True)
    scores: dict[str, float] = json.loads(answer.stdout)
    return scores


def table(measured: list[Measured], count: int) -> str:
    """Markdown. Speed and CPU are ratios of medians to those of the first."""
    first = measured[0]
    lines = [
        "| | images/s | ours is faster by | CPU ms a photo | by CPU | peak MB | bytes | SSIMULACRA2 median, worst |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for each in measured:
        wall, ours = statistics.median(each.wall), statistics.median(first.wall)
        cpu, our_cpu = statistics.median(each.cpu), statistics.median(first.cpu)
        scores = each.quality.values()
        worth = f"{statistics.median(scores):.2f}, {min(scores):.1f}" if scores else "–"
        lines.append(
            f"| {each.contestant.name} | {count / wall:.1f} | {wall / ours:.2f}× "
            f"| {cpu / count * 1000:.0f} | {cpu / our_cpu:.2f}× | {statistics.median(each.peak):.0f} "
            f"| {sum(each.bytes.values()) / sum(first.bytes.values()):.3f} | {worth} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="contestants whose names contain one of these")
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--no-quality", action="store_true")
    parser.add_argument("--docs", action="store_true", help="write docs/comparison.md and docs/comparison.png")
    arguments = parser.parse_args()
    install()
    text: list[str] = []
    results: dict[str, list[Measured]] = {}
    place = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=place) as base:
        source = Path(base) / "in"
        source.mkdir()
        for photo in sorted(arguments.folder.iterdir()):
            if photo.suffix.lower() in (".jpg", ".jpeg"):
                shutil.copy(photo, source / photo.name)
        count = len(list(source.iterdir()))
        for kind in [arguments.kind] if arguments.kind else KINDS:
            chosen = [c for c in contestants() if not arguments.only or any(part in c.name for part in arguments.only)]
            measured = [Measured(contestant) for contestant in chosen if contestant.available()]
            targets = [Path(base) / f"out{number}" for number in range(len(measured))]
            for _ in range(arguments.runs):
                for each, target in zip(measured, targets, strict=True):
                    each.run(source, target, kind, arguments.workers)
            for each, target in zip(measured, targets, strict=True):
                each.look(target)
                each.quality = {} if arguments.no_quality else judge(source, target)
            same_sizes(measured)
            text += [f"**{KINDS[kind].capitalize()}**, {count} photos, {arguments.workers} workers\n"]
            text += [table(measured, count) + "\n"]
            results[kind] = measured
            print("\n".join(text[-2:]), flush=True)
    if arguments.docs:
        docs = Path(__file__).parents[1] / "docs"
        page = docs / "comparison.md"
        _, heading, behind = page.read_text().partition(HEADING)  # which formats.py writes
        page.write_text("\n".join([*text, heading + behind]))
        bars = {
            KINDS[kind]: {each.contestant.name: count / statistics.median(each.wall) for each in measured}
            for kind, measured in results.items()
        }
        chart.draw(bars, "images a second", docs / "comparison.png")


if __name__ == "__main__":
    main()
