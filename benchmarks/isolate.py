"""What decoding in helper processes costs: ``python benchmarks/isolate.py FOLDER [--runs 5]``.

Whole scans of the folder's images, `pool.isolate: never` and `always` by turns, after a warm-up; medians, ratio.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

from scan import scan

WATCH = "watches:\n  - path: ./in\n    output: ./out\n    optimize: {enabled: %s}\npool: {isolate: %s}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        base = Path(text)
        shutil.copytree(arguments.folder, base / "in")
        for kind, copies in (("thumbnails", "false"), ("full", "true")):
            times: dict[str, list[tuple[float, float]]] = {"never": [], "always": []}
            for turn in range(arguments.runs + 1):
                for mode, found in times.items():
                    shutil.rmtree(base / "out", ignore_errors=True)
                    shutil.rmtree(base / ".hotfolder", ignore_errors=True)
                    (base / "config.yaml").write_text(WATCH % (copies, mode))
                    measured = scan(base)
                    if turn:
                        found.append(measured)
            walls = {mode: statistics.median(wall for wall, _ in found) for mode, found in times.items()}
            cpus = {mode: statistics.median(cpu for _, cpu in found) for mode, found in times.items()}
            print(
                f"{kind}: never {walls['never']:.2f} s (CPU {cpus['never']:.2f}), always {walls['always']:.2f} s "
                f"(CPU {cpus['always']:.2f}): {100 * (walls['always'] / walls['never'] - 1):+.1f} % time, "
                f"{100 * (cpus['always'] / cpus['never'] - 1):+.1f} % CPU"
            )


if __name__ == "__main__":
    main()
