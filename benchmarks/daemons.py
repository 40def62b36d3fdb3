"""What benchmarks of the daemon share: a place of its own, `hotfolder run` in it, and asking it over its socket."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOTFOLDER = [sys.executable, "-c", "from hotfolder.cli import main; main()"]


class Place:
    """A folder with a configuration, a root `in` and an output `out`."""

    def __init__(self, base: Path, watch: str = "", extra: str = "") -> None:
        self.base, self.root, self.out = base, base / "in", base / "out"
        self.root.mkdir(exist_ok=True)
        text = f"watches:\n  - path: ./in\n    output: ./out\n{watch}\n{extra}\n"
        (base / "config.yaml").write_text(text + "http: {port: 0}\n")

    def scan(self, environment: dict[str, str] | None = None) -> None:
        subprocess.run(
            [*HOTFOLDER, "scan"], cwd=self.base, check=True, capture_output=True, env=os.environ | (environment or {})
        )

    def fresh(self) -> None:
        """As if nothing had ever been made."""
        shutil.rmtree(self.out, ignore_errors=True)
        shutil.rmtree(self.base / ".hotfolder", ignore_errors=True)


@contextmanager
def place(watch: str = "", extra: str = "", where: str | None = None) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(dir=where) as text:
        yield Place(Path(text), watch, extra)


class Daemon:
    """A running daemon; `address` is its page's."""

    def __init__(self, at: Place) -> None:
        self.process = subprocess.Popen(
            [*HOTFOLDER, "run"], cwd=at.base, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        assert self.process.stderr is not None
        self.address = ""
        for line in self.process.stderr:
            if " started " in line:
                self.address = next(word for word in line.split() if word.startswith("page=")).removeprefix("page=")
                break
        self._drained = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=subprocess.DEVNULL)

    def metric(self, name: str, labels: str = "") -> float:
        with urllib.request.urlopen(f"{self.address.rstrip('/')}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        start = f"{name}{labels}"
        return float(next((line.rpartition(" ")[2] for line in lines if line.startswith(start)), "0"))

    def cpu(self) -> float:
        """Seconds of CPU so far (proc(5), stat)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self, key: str = "VmRSS") -> float:
        """Megabytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1000

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self._drained.wait(10)


@contextmanager
def running(at: Place) -> Iterator[Daemon]:
    daemon = Daemon(at)
    try:
        yield daemon
    finally:
        daemon.stop()
