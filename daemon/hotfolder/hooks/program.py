"""A hook's program: run without a shell, with the event on standard input, in a clean environment, for a limited time.

What it writes is captured up to a bound; it is never waited for longer than its time, and at the end of that its whole
process group goes.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO

from hotfolder.config import Hook
from hotfolder.hooks.answer import Answer
from hotfolder.index.outbox import Delivery
from hotfolder.processes import Process

OUTPUT_MOST = 64_000
"""Bytes of a program's output that are kept."""
GRACE_SECONDS = 2.0
"""Between SIGTERM and SIGKILL."""
LOOK_SECONDS = 0.2
PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR")
"""Of the daemon's own environment; and LC_*."""


def environment(event: Mapping[str, object], tries: int) -> dict[bytes, bytes]:
    """What the program sees: nothing of the daemon's secrets, and the event's facts as HOTFOLDER_*."""
    own = {os.fsencode(k): os.fsencode(v) for k, v in os.environ.items() if k in PASSED_ON or k.startswith("LC_")}
    own.setdefault(b"PATH", os.fsencode(os.defpath))
    facts: dict[str, object] = {
        "EVENT": event["event"],
        "HOOK": event["hook"],
        "DELIVERY": event["id"],
        "TRY": tries + 1,
        "WATCH": event.get("watch"),
        "ROOT": event.get("root"),
        "OUTPUT": event.get("output"),
    }
    if isinstance(error := event.get("error"), dict):
        facts["REASON"] = error["reason"]
    told = {f"HOTFOLDER_{key}".encode(): os.fsencode(str(value)) for key, value in facts.items() if value is not None}
    if isinstance(path := event.get("path"), str):
        exact = event.get("path_b64")
        told[b"HOTFOLDER_PATH"] = base64.b64decode(exact) if isinstance(exact, str) else os.fsencode(path)
    return own | told


def deliver(hook: Hook, delivery: Delivery, abort: threading.Event) -> Answer:
    """Run the hook's program once. `abort` ends it early."""
    return run(hook.run or (), delivery.body, delivery.tries, hook.timeout, abort)


def goal(hook: Hook) -> str:
    """The program; its arguments may have secrets."""
    return (hook.run or ("",))[0]


def run(command: Sequence[str], body: str, tries: int, timeout: float, abort: threading.Event) -> Answer:
    """Run it to its end. `abort` ends it early. Raises nothing that a program can cause."""
    try:
        with tempfile.TemporaryFile() as stdin:
            stdin.write(body.encode())
            stdin.seek(0)
            process = Process(
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=environment(json.loads(body), tries),
                start_new_session=True,
            )
    except (OSError, ValueError) as error:
        why = os.strerror(error.errno or 0) if isinstance(error, OSError) else str(error)
        return Answer(f"{command[0]} cannot be run: {why}")
    with process:
        assert process.stdout is not None
        output, problem = _follow(process, process.stdout, time.monotonic() + timeout, abort)
        if problem:
            _end_group(process)
            return Answer(problem, output)
    if process.returncode == 0:
        return Answer(None, output)
    how = f"signal {-process.returncode}" if process.returncode < 0 else f"exit status {process.returncode}"
    return Answer(f"it ended with {how}", output)


def _follow(
    process: subprocess.Popen[bytes], stdout: IO[bytes], deadline: float, abort: threading.Event
) -> tuple[bytes, str | None]:
    """Read until it has ended, whatever children it leaves behind: (output, why it has to be stopped)."""
    kept = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return bytes(kept), "it took longer than its timeout"
            if abort.is_set():
                return bytes(kept), "hotfolder ends"
            ended = process.poll() is not None
            if ended and len(kept) == OUTPUT_MOST:
                return bytes(kept), None
            if selector.get_map() and selector.select(0 if ended else min(left, LOOK_SECONDS)):
                chunk = os.read(stdout.fileno(), 65_536)
                kept += chunk[: OUTPUT_MOST - len(kept)]
                if not chunk:
                    selector.unregister(stdout)
            elif ended:
                return bytes(kept), None
            elif not selector.get_map():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(min(left, LOOK_SECONDS))


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)  # whoever of the group is left
    process.wait()
