"""Broken and hostile images against the real decoders, in a helper process that may die: what became of each.

Used by the mutation test, and by hand on whole folders: ``python -m tests.fuzzing FOLDER…``, which
prints the table of reasons.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from hotfolder import imaging
from hotfolder.errors import MissingExtra, Reason, SourceError
from hotfolder.imaging.plan import Plan
from hotfolder.presets import BUILT_IN, OPTIMIZED, OptimizeSpec
from hotfolder.renderers.children import Child

SECONDS = 60.0
"""CPU time after which a decode counts as hung; the largest picture that is allowed takes about 20."""
SLACK = 48_000_000
"""Bytes that a process may take beyond what was reserved: libraries that load, arenas that are not yet shared."""
PLAN = Plan(tuple(BUILT_IN.values()), OptimizeSpec())
NAMES = (*BUILT_IN, OPTIMIZED)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is ``done``, ``skipped`` or a Reason; `over` the bytes taken beyond the reservation (0: within it)."""

    reason: str
    message: str
    seconds: float
    over: int = 0

    @property
    def bad(self) -> bool:
        """A finding: a crash, a hang, a bug of ours, or memory that nobody had reserved."""
        return self.reason in (Reason.CRASHED, Reason.TIMEOUT, Reason.INTERNAL) or self.over > SLACK


class Judge:
    """Tries one image after the other; its process is replaced when one kills it."""

    def __init__(self, plan: Plan = PLAN, limits: imaging.Limits | None = None, seconds: float = SECONDS) -> None:
        self._plan = plan
        self._limits = limits or imaging.Limits()
        self._seconds = seconds
        self._child: Child | None = None

    def judge(self, data: bytes, name: str) -> Verdict:
        """Decode and render all of it, as a worker would."""
        if self._child is None:
            self._child = Child(self._seconds)
        before = _memory(self._child.pid, "VmRSS")
        _forget_peak(self._child.pid)
        began = time.monotonic()
        need, over = 0, 0
        try:
            with _files(len(NAMES) + 1) as files:
                os.write(files[0], data)
                question = {
                    "name": name,
                    "size": len(data),
                    "limits": asdict(self._limits),
                    "parts": [(self._plan.to_json(), NAMES)],
                }
                need = int(self._child.ask(question, files[:1])["need"])
                self._child.ask({"go": True, "presets": NAMES}, files[1:])
            reason, message = "done", ""
        except SourceError as error:
            reason, message = str(error.reason), error.message
            if error.reason in (Reason.CRASHED, Reason.TIMEOUT):
                self._child = None
        except MissingExtra as error:
            reason, message = "skipped", str(error)
        if self._child is not None:
            over = _memory(self._child.pid, "VmHWM") - before - len(data) - need
        return Verdict(reason, message, time.monotonic() - began, max(0, over))

    def close(self) -> None:
        if self._child is not None:
            self._child.end()


@contextlib.contextmanager
def _files(count: int) -> Iterator[list[int]]:
    files = [os.memfd_create("fuzz") for _ in range(count)]
    try:
        yield files
    finally:
        for file in files:
            os.close(file)


def _memory(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return 0


def _forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def mutated(data: bytes, generator: random.Random) -> bytes:
    """The image with a few bytes changed, cut, doubled or filled; more often near its start, where the headers are."""
    content = bytearray(data)
    for _ in range(generator.choice((1, 1, 2, 4, 16))):
        at = generator.randrange(len(content) if generator.random() < 0.5 else min(512, len(content)))
        kind = generator.randrange(6)
        if kind == 0:
            content[at] = generator.randrange(256)
        elif kind == 1:
            content[at] ^= 1 << generator.randrange(8)
        elif kind == 2:
            value = generator.choice((0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
            width = generator.choice((1, 2, 4))
            value &= (1 << 8 * width) - 1
            content[at : at + width] = value.to_bytes(width, generator.choice(("big", "little")))
        elif kind == 3:
            del content[at : at + generator.randrange(1, 64)]
        elif kind == 4:
            content[at:at] = content[at : at + generator.randrange(1, 64)]
        else:
            del content[at:]
        if not content:
            return b"\0"
    return bytes(content)


def table(verdicts: Counter[str], seconds: float) -> str:
    """Markdown: how many ended how."""
    total = sum(verdicts.values())
    rows = [f"| {reason} | {count} |" for reason, count in verdicts.most_common()]
    return "\n".join([f"{total} images in {seconds:.0f} s", "", "| ended as | images |", "| --- | --- |", *rows])


def main() -> int:
    """Judge every file below the folders; findings as they come, the table at the end."""
    judge, counts, bad, began = Judge(), Counter[str](), 0, time.monotonic()
    texts: Counter[str] = Counter()
    for folder in sys.argv[1:]:
        for path in sorted(file for file in Path(folder).rglob("*") if file.is_file()):
            verdict = judge.judge(path.read_bytes(), path.name)
            counts[verdict.reason] += 1
            texts[f"{verdict.reason}: {verdict.message}"] += 1
            if verdict.bad or verdict.seconds > SECONDS / 2:
                bad += verdict.bad
                print(f"{path}: {verdict.reason} {verdict.message} {verdict.seconds:.1f} s, {verdict.over} bytes over")
    judge.close()
    print(table(counts, time.monotonic() - began))
    for text, count in texts.most_common(int(os.environ.get("TEXTS", "0"))):
        print(f"{count:6} {text}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
