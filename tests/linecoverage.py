"""Which lines of the core and of the walkers of containers the tests and the fuzzing reach: ``make coverage``.

Builds the core with counters, in a scratch folder beside a copy of the program; runs the tests of pictures there, which
build it for old processors, too, and native/fuzz.py with counters. Prints each file's share of lines, and what lines
nothing reached.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
NATIVE = ROOT / "native"
WALKERS = "hotfolder/imaging/containers"
TESTS = ("tests/unit/test_imaging*.py", "tests/unit/test_containers.py", "tests/unit/test_hostile.py")
COUNTING = "--coverage -fprofile-update=atomic -O0"
Lines = dict[str, dict[int, bool]]
"""By file, each line that could run, and whether it did."""


def build(folder: Path) -> dict[str, str]:
    """A copy of the program whose core counts; gives the environment in which it is the program."""
    shutil.copytree(ROOT / "daemon", folder / "daemon", ignore=shutil.ignore_patterns("_planes*.so", "__pycache__"))
    sources = sorted(str(path) for path in NATIVE.glob("*.c") if path.name not in ("failing.c", "tracing.c"))
    made = folder / "daemon/hotfolder/imaging/_planes.abi3.so"
    command = ["gcc", *COUNTING.split(), "-shared", "-fPIC", "-std=gnu11", *sources]
    command += [f"-I{sysconfig.get_paths()['include']}", "-o", str(made), "-ljpeg", "-lm"]
    subprocess.run(command, check=True)
    here = {"PYTHONPATH": str(folder / "daemon"), "COVERAGE_FILE": str(folder / ".coverage"), "CFLAGS": COUNTING}
    return {**os.environ, **here}


def counted(folder: Path) -> Lines:
    """What gcov tells of the core's files, whatever builds of it ran below the folder."""
    found: Lines = defaultdict(dict)
    for path in folder.rglob("*.gcda"):
        told = subprocess.check_output(["gcov", "--json-format", "--stdout", str(path)], cwd=path.parent)
        for file in json.loads(gzip.decompress(told) if told[:2] == b"\x1f\x8b" else told)["files"]:
            if Path(file["file"]).parent == NATIVE:
                lines = found[f"native/{Path(file['file']).name}"]
                for line in file["lines"]:
                    number = line["line_number"]
                    lines[number] = lines.get(number, False) or line["count"] > 0
    return found


def walked(folder: Path, environment: dict[str, str]) -> Lines:
    """What coverage.py tells of the walkers."""
    told = folder / "walkers.json"
    subprocess.run([sys.executable, "-m", "coverage", "json", "-q", "-o", told], env=environment, check=True)
    found: Lines = {}
    for name, file in json.loads(told.read_text())["files"].items():
        lines = dict.fromkeys(file["missing_lines"], False) | dict.fromkeys(file["executed_lines"], True)
        found["containers/" + Path(name).name] = lines
    return found


def table(found: Lines) -> str:
    """Markdown: a row a file, and one of all."""
    rows = ["| file | lines | reached | not reached |", "| --- | --- | --- | --- |"]
    for name, lines in sorted(found.items()):
        missed = ", ".join(str(number) for number in sorted(lines) if not lines[number])
        rows.append(f"| {name} | {len(lines)} | {sum(lines.values()) / max(1, len(lines)):.1%} | {missed} |")
    total = sum(map(len, found.values()))
    rows.append(f"| all | {total} | {sum(sum(lines.values()) for lines in found.values()) / total:.1%} | |")
    return "\n".join(rows)


def main() -> int:
    """Ends with 1 where a test failed, or the fuzzing found something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=60.0, help="of fuzzing the core")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        environment = build(folder)
        tests = sorted(str(path.relative_to(ROOT)) for name in TESTS for path in ROOT.glob(name))
        run = [sys.executable, "-m", "coverage", "run", f"--include=*/{WALKERS}/*", "-m", "pytest"]
        run += [f"--basetemp={folder / 'tests'}", *tests]
        codes = [subprocess.run(run, cwd=ROOT, env=environment, check=False).returncode]
        fuzz = [sys.executable, str(NATIVE / "fuzz.py"), str(arguments.seconds), "1", "--counters", str(folder)]
        codes.append(subprocess.run(fuzz, check=False).returncode)
        print(table(counted(folder)), "", table(walked(folder, environment)), sep="\n")
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main())
