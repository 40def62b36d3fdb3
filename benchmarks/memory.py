"""What an image takes at its peak against what is reserved for it: ``python benchmarks/memory.py [KIND…]``.

Each kind is generated, then rendered in a fresh process by each plan; the peak is the highest resident size (VmHWM)
above that of the process with its codecs loaded. Prints a table as Markdown; status 1 where a peak is above its
reservation. Kinds whose decoder is not installed are named and left out.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from generated import KINDS, NEEDS, write

PLANS = ("thumbnails", "large", "full", "jpeg", "webp", "avif")
"""Thumbnails alone; a single one nearly as large as the source; six with an optimized copy of the source's own format,
as JPEG, as WebP, as AVIF."""
RENDER = "--render"


def rendered(file: str, plan_name: str, warm: str) -> dict[str, int]:
    """In this process: reserve, render, and look at the peak. `warm` is a small picture of the same kind."""
    from hotfolder import imaging
    from hotfolder.imaging import Plan
    from hotfolder.presets import BUILT_IN, OptimizeSpec, Preset

    optimize = {
        "thumbnails": None,
        "large": None,
        "full": OptimizeSpec(),
        "jpeg": OptimizeSpec(format="jpeg"),
        "webp": OptimizeSpec(format="webp"),
        "avif": OptimizeSpec(format="avif"),
    }
    presets = (Preset("large", 5000, 5000),) if plan_name == "large" else tuple(BUILT_IN.values())
    plan = Plan(presets, optimize[plan_name])
    limits = imaging.Limits()

    def work(path: str) -> int:
        size = os.stat(path).st_size
        with open(path, "rb") as source:
            data = imaging.read_all(source.fileno(), size)
        opened = imaging.open_image(data, limits, os.fsencode(path))
        need = size + imaging.peak(opened, plan, plan.names())
        with contextlib.ExitStack() as files:
            imaging.render(opened, plan, plan.names(), lambda name: files.enter_context(tempfile.TemporaryFile()))
        return need

    work(warm)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest resident size begins anew (proc(5))
    need = work(file)
    return {"need": need, "peak": _status("VmHWM") - before, "kept": _status("VmRSS") - before}


def _status(key: str) -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith(key))
    return int(line.split()[1]) * 1024


def measured(kinds: list[str], plans: list[str], megapixels: float) -> Iterator[tuple[str, str, dict[str, int]]]:
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            file, warm = (os.path.join(folder, f"{name}.{KINDS[kind]}") for name in ("large", "small"))
            write(kind, warm, 0.01)
            write(kind, file, megapixels)
            for plan in plans:
                command = [sys.executable, __file__, RENDER, file, plan, warm]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"{kind}, {plan}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                    continue
                yield kind, plan, json.loads(done.stdout)
            os.unlink(file)


def main() -> None:
    if sys.argv[1:2] == [RENDER]:
        print(json.dumps(rendered(*sys.argv[2:5])))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS], help="default: all")
    parser.add_argument("--plan", action="append", choices=PLANS, help="default: all; can be given again")
    parser.add_argument("--megapixels", type=float, default=24)
    arguments = parser.parse_args()
    missing = [kind for kind, module in NEEDS.items() if importlib.util.find_spec(module) is None]
    kinds = [kind for kind in arguments.kinds or KINDS if kind not in missing]
    print(
        f"| {arguments.megapixels:g} MP | plan | peak, MB | reserved, MB | used | kept, MB |\n|---|---|---|---|---|---|"
    )
    short = 0
    for kind, plan, found in measured(kinds, arguments.plan or list(PLANS), arguments.megapixels):
        share = found["peak"] / found["need"]
        short += share > 1
        cells = [kind, plan, *(f"{found[key] / 1e6:.0f}" for key in ("peak", "need"))]
        print(
            f"| {' | '.join(cells)} | {share:.0%}{' !' if share > 1 else ''} | {found['kept'] / 1e6:.0f} |", flush=True
        )
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
    sys.exit(1 if short else 0)


if __name__ == "__main__":
    main()
