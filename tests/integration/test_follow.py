"""`hotfolder events`: scripts follow what happens, one line an event."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]


@contextmanager
def following(place: Place, *options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", "from hotfolder.cli import main; main()", "events", *options],
        cwd=place.base,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=place.environment(),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_events_come_as_they_happen(place: Place, run: Run) -> None:
    assert place.cli("events").returncode == 3
    daemon = run(place)
    place.put("first.jpg", jpeg())
    assert place.cli("wait", str(place.inbox / "first.jpg")).returncode == 0
    refused = place.cli("events", "--topics", "weather")
    assert (refused.returncode, "topics are" in refused.stderr) == (2, True), refused.stderr
    with following(place, "--json", "--topics", "pipeline") as process, following(place) as people:
        wait_for("both to listen", lambda: _listeners(daemon) == 2, context=daemon.text)
        place.put("é.jpg", jpeg(seed=2))
        assert process.stdout is not None
        assert people.stdout is not None
        event = json.loads(process.stdout.readline())
        assert (event["topic"], event["event"], event["watch"], event["path"]) == (
            "pipeline",
            "ready",
            "inbox",
            "é.jpg",
        )
        assert " ready inbox é.jpg renditions=7 " in people.stdout.readline()
        daemon.stop(signal.SIGTERM)
        assert process.wait(20) == 3
        assert "has ended" in process.stderr.read() if process.stderr is not None else False


def _listeners(daemon: Daemon) -> int:
    """Connections to the control socket that last."""
    control = os.fsencode(daemon.place.base / ".hotfolder/control.sock")
    with open("/proc/net/unix", "rb") as file:
        return sum(line.split()[5] == b"03" and line.rstrip().endswith(control) for line in file.readlines()[1:])
