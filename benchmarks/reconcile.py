"""A reconcile of unchanged files: files a second and memory: ``python benchmarks/reconcile.py [--files 200000]``.

The tree is made of hard links; its rows are written as if every file had been done, so that nothing but comparing is
measured. Beside it, in the same runs: os.scandir and stat of the same tree, without any index.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path

from hotfolder import wiring
from hotfolder.config import load
from hotfolder.index import folders, sources
from hotfolder.index.database import Database
from hotfolder.index.sources import Facts
from hotfolder.model import State, Version
from hotfolder.watcher.reconcile import Reconcile
from hotfolder.watcher.rules import Rules
from hotfolder.watches.site import Site


def bare(root: Path) -> float:
    """Seconds to list and stat everything."""
    began = time.perf_counter()
    stack = [str(root)]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)
    return time.perf_counter() - began


def plant(root: Path, files: int, each: int) -> None:
    (root / "seed.bin").write_bytes(b"x")
    source = root / "seed.bin"
    for number in range(files):
        if number % 50_000 == 0:  # a file system allows only so many links of one file
            source = root / f"seed{number}.bin"
            source.write_bytes(b"x")
        folder = root / f"{number // each:05}"
        if number % each == 0:
            folder.mkdir()
        os.link(source, folder / f"IMG_{number:07}.jpg")


def remember(index: Database, site: Site, root: Path) -> None:
    """Rows for all, as after a whole run."""

    def write(connection: object) -> None:
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            folder_id = folders.ensure(connection, site.id, os.fsencode(folder.name), folds=False)  # type: ignore[arg-type]
            for entry in os.scandir(folder):
                name = os.fsencode(entry.name)
                source_id = sources.ensure(connection, site.id, folder_id, name, 0.0)  # type: ignore[arg-type]
                version = Version.of(entry.stat()).hashed(name)
                sources.settle(connection, source_id, version, State.DONE, site.want, Facts(), 0.0)  # type: ignore[arg-type]

    index.write(write).result()


def measure(index: Database, site: Site, rules: Rules, *, memory: bool) -> tuple[float, int]:
    """Seconds, and bytes that Python held at most."""
    if memory:
        tracemalloc.start()
    walk = Reconcile(index, site, rules)
    findings = walk.run()
    assert findings.new == findings.changed == findings.vanished == 0, findings
    peak = tracemalloc.get_traced_memory()[1] if memory else 0
    tracemalloc.stop()
    return findings.seconds, peak


def run(files: int, each: int, runs: int) -> None:
    with tempfile.TemporaryDirectory() as text:
        base = Path(text)
        (base / "in").mkdir()
        (base / "config.yaml").write_text("watches:\n  - path: ./in\n    output: ./out\n")
        plant(base / "in", files, each)
        config = load(str(base / "config.yaml"), {}).config
        wiring.check_folders(config.watches)
        os.makedirs(config.state)
        index = Database(os.path.join(config.state, "index.db"))
        index.open()
        site = wiring.site_of(config, config.watches[0], index)
        rules = wiring.rules_of(config, config.watches[0])
        remember(index, site, base / "in")
        measure(index, site, rules, memory=False)  # the first one notes inodes
        pairs = [(bare(base / "in"), measure(index, site, rules, memory=False)[0]) for _ in range(runs)]
        peak = measure(index, site, rules, memory=True)[1]
        plain, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
        index.close()
        print(
            f"{files} files, {each} a folder: {files / ours:,.0f} files/s (scandir, stat alone {files / plain:,.0f}); "
            f"memory {peak / 1e6:.1f} MB, {peak / each:.0f} bytes an entry of a folder"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    for files, each in ((10_000, 500), (arguments.files, 500), (arguments.files, arguments.files // 2)):
        run(files, each, arguments.runs)


if __name__ == "__main__":
    main()
