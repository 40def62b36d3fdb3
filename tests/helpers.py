"""What tests share: generated images, a real daemon process, and waiting for conditions instead of for time."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PRESETS = 6
RENDITIONS = PRESETS + 1
_never = threading.Event()


def picture(width: int = 320, height: int = 240, seed: int = 0) -> Image.Image:
    """Smooth shapes with some noise: compresses like a photo, and differs by seed."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    generator = np.random.default_rng(seed)
    waves = [127 + 90 * np.sin(x / (9 + seed % 7 + c) + seed) * np.cos(y / (13 + c)) for c in range(3)]
    noise = generator.normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(np.stack(waves, -1) + noise, 0, 255).astype(np.uint8))


def jpeg(width: int = 320, height: int = 240, seed: int = 0, **options: Any) -> bytes:
    file = io.BytesIO()
    picture(width, height, seed).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 30.0, context: Callable[[], str] = str) -> Any:
    """The condition's value as soon as it is true; fails with what was waited for."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}\n{context()}")
        _never.wait(0.03)
    return value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Place:
    """A folder with a configuration, its watch's root `inbox` and its output `out`."""

    def __init__(self, base: Path, extra: str = "", watch: str = "") -> None:
        self.base = base
        self.inbox = base / "inbox"
        self.out = base / "out"
        self.port = free_port()
        self.inbox.mkdir(parents=True, exist_ok=True)
        self.hooks: Path | None = None
        self.configure(extra, watch)

    def hook(self, code: str) -> None:
        """Let every process of this place run `code` first: how tests make decoders die and file systems hang."""
        self.hooks = self.base / "hooks"
        self.hooks.mkdir(exist_ok=True)
        (self.hooks / "sitecustomize.py").write_text(code)

    def environment(self) -> dict[str, str]:
        found = environment()
        if self.hooks is not None:
            found["PYTHONPATH"] = os.pathsep.join([str(self.hooks), *filter(None, [found.get("PYTHONPATH")])])
        return found

    def configure(self, extra: str = "", watch: str = "") -> None:
        text = f"watches:\n  - path: ./inbox\n    output: ./out\n    settle: 100ms\n{watch}\n"
        (self.base / "config.yaml").write_text(f"{text}http: {{port: {self.port}}}\n{extra}\n")

    def cli(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from hotfolder.cli import main; main()", *arguments]
        return subprocess.run(
            command,
            check=False,
            cwd=self.base,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment(),
        )

    def scan(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return self.cli("scan", *arguments, timeout=timeout)

    def put(self, name: str | bytes, content: bytes) -> Path:
        """Write a source as a copy does: created, written, closed."""
        path = os.path.join(os.fsencode(self.inbox), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return Path(os.fsdecode(path))

    def renditions(self) -> set[str]:
        """Everything below the output but its tag, as relative paths."""
        found = set()
        for folder, _, names in os.walk(self.out):
            found |= {os.path.relpath(os.path.join(folder, name), self.out) for name in names}
        return found - {"CACHEDIR.TAG"}

    def of(self, name: str) -> set[str]:
        """The renditions that a JPEG source of this name has."""
        stem, dot, extension = name.rpartition(".")
        suffixes = ("_thumb_small", "_thumb_medium", "_thumb_large", "_preview", "_square", "_banner")
        return {f"thumbnails/{stem}{suffix}{dot}{extension}" for suffix in suffixes} | {f"optimized/{name}"}

    def failures(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.cli("failures", "list", "--json").stdout)
        return found

    def export(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.cli("cache", "export", "--json").stdout)
        return found


class Daemon:
    """`hotfolder run` as a process of its own."""

    def __init__(self, place: Place, *wrapper: str) -> None:
        self.place = place
        self.log = place.base / "run.log"
        self._log_file = self.log.open("ab")
        command = [*wrapper, sys.executable, "-c", "from hotfolder.cli import main; main()", "run"]
        self.process = subprocess.Popen(
            command, cwd=place.base, stdout=self._log_file, stderr=self._log_file, env=place.environment()
        )
        self._offset = self.log.stat().st_size

    def ready(self) -> Daemon:
        def stands() -> bool:
            assert self.process.poll() is None, self.text()
            return " started " in self.text()

        wait_for("the daemon to start", stands, context=self.text)
        return self

    def text(self) -> str:
        with self.log.open("rb") as file:
            file.seek(self._offset)
            return file.read().decode("utf-8", "replace")

    def wait_renditions(self, expected: set[str]) -> None:
        place = self.place

        def context() -> str:
            found = place.renditions()
            return f"missing {sorted(expected - found)[:9]}\nbeyond {sorted(found - expected)[:9]}\n{self.text()}"

        wait_for("these renditions and no others", lambda: place.renditions() == expected, context=context)

    def wait_log(self, text: str, count: int = 1) -> None:
        wait_for(f"{text!r} in the log", lambda: self.text().count(text) >= count, context=self.text)

    def metric(self, name: str, **labels: str) -> float:
        """One sample of /metrics; 0 where there is none."""
        wanted = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        for line in self.get("/metrics").decode().splitlines():
            if line.startswith("#"):
                continue
            sample, _, value = line.rpartition(" ")
            base, _, tail = sample.partition("{")
            found = ",".join(sorted(tail.rstrip("}").split(","))) if tail else ""
            if base == name and found == wanted:
                return float(value)
        return 0.0

    def wait_metric(self, name: str, least: float, **labels: str) -> None:
        wait_for(f"{name} to reach {least:g}", lambda: self.metric(name, **labels) >= least, context=self.text)

    def decoded(self) -> float:
        """How many images have been decoded since the start."""
        return self.metric("hotfolder_stage_duration_seconds_count", stage="decode")

    def get(self, path: str, headers: dict[str, str] | None = None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.place.port}{path}", headers=headers or {})
        with urllib.request.urlopen(request, timeout=10) as answer:
            content: bytes = answer.read()
            return content

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(20)
        self._log_file.close()
        return status


def environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("HOTFOLDER_")}


def answer(place: Place, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """The status and the text of what the daemon answers; `body` is sent as JSON."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{place.port}{path}", content, {"content-type": "application/json"}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as found:
            return found.status, found.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def call(place: Place, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """The same, read as JSON."""
    status, text = answer(place, method, path, body)
    return status, json.loads(text)
