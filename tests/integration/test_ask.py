"""A script that has written files says so, and waits until they are done: by `scan`, or by POST /api/rescan."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.hooks import DEAF
from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
SMALL = "    presets: [small]\n    optimize: {enabled: false}\n    analyze: false"


def post(place: Place, path: str, body: object) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{place.port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def made(*names: str) -> set[str]:
    return {f"thumbnails/{name[:-4]}_thumb_small.jpg" for name in names}


@pytest.fixture
def deaf(place: Place, run: Run) -> Daemon:
    """A daemon to which no event comes: what it makes, it was told of."""
    place.configure("limits: {max_pixels: 100k}", SMALL)
    place.hook(DEAF)
    return run(place)


def test_the_job_ends_when_all_of_it_is_there(place: Place, deaf: Daemon) -> None:
    content = jpeg(40, 30)
    names = [f"new/{number % 7}/{number}.jpg" for number in range(1000)]
    for number, name in enumerate(names):
        place.put(name, content[:-2] + number.to_bytes(2, "big") + content[-2:])  # each of other bytes
    place.put("other/x.jpg", jpeg())
    job_id = post(place, "/api/rescan", {"paths": [str(place.inbox / "new")]})["job_id"]
    seen = []

    def ended() -> bool:
        job = json.loads(deaf.get(f"/api/jobs/{job_id}"))
        seen.append((job["state"], job["progress"], len(place.renditions()) if job["state"] == "done" else None))
        return bool(job["state"] == "done")

    wait_for("the job", ended, 120, deaf.text)
    assert seen[-1] == ("done", 1.0, 1000)
    assert place.renditions() == made(*names)
    assert [progress for _, progress, _ in seen] == sorted(progress for _, progress, _ in seen)


def test_single_files_are_looked_at_and_nothing_else(place: Place, deaf: Daemon) -> None:
    names = [f"{number}.jpg" for number in range(20)]
    for number, name in enumerate(names):
        place.put(name, jpeg(seed=number))
    chosen = names[::2]
    job_id = post(place, "/api/rescan", {"paths": [str(place.inbox / name) for name in chosen]})["job_id"]
    wait_for("the job", lambda: json.loads(deaf.get(f"/api/jobs/{job_id}"))["state"] == "done", 60, deaf.text)
    assert place.renditions() == made(*chosen)


def test_scan_asks_the_daemon_and_gives_its_exit_status(place: Place, deaf: Daemon) -> None:
    place.put("good.jpg", jpeg())
    done = place.scan()
    assert (done.returncode, "made 1" in done.stdout) == (0, True), done.stdout
    assert place.renditions() == made("good.jpg")
    place.put("big.jpg", jpeg(500, 400))
    done = place.scan(str(place.inbox / "big.jpg"))
    assert (done.returncode, "failed 1" in done.stdout) == (1, True), done.stdout
    assert place.scan().returncode == 0  # in quarantine already: reported, not counted
    assert place.scan("--strict").returncode == 1
    (place.inbox / "good.jpg").unlink()
    assert "removed 1" in place.scan().stdout
    assert place.renditions() == set()


def test_a_scan_says_that_it_waits_for_a_pause_to_end(place: Place, deaf: Daemon) -> None:
    assert place.cli("pause", "--lane", "backlog").returncode == 0
    place.put("a.jpg", jpeg())
    scan = subprocess.Popen(
        [sys.executable, "-c", "from hotfolder.cli import main; main()", "scan"],
        cwd=place.base,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=place.environment(),
    )
    assert scan.stderr is not None
    assert "waits for `hotfolder resume`" in scan.stderr.readline()
    assert place.cli("resume").returncode == 0
    assert scan.wait(60) == 0
    scan.communicate()
    assert place.renditions() == made("a.jpg")
