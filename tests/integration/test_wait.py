"""`hotfolder wait`: for scripts that have just written images."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from tests.faults.hooks import CLOCK
from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
SMALL = "    presets: [small, medium]\n    optimize: {enabled: false}"


def test_it_ends_when_all_are_there_and_prints_them(place: Place, run: Run) -> None:
    place.configure("limits: {max_pixels: 300k}", SMALL)
    assert place.cli("wait", str(place.inbox / "a.jpg")).returncode == 3
    daemon = run(place)
    names = [f"sub/{number}.jpg" for number in range(12)]
    for number, name in enumerate(names):
        place.put(name, jpeg(seed=number))
    place.put("sub/notes.txt", b"text")
    place.put("sub/.hidden.jpg", jpeg())
    done = place.cli("wait", str(place.inbox / "sub"))
    assert (done.returncode, done.stderr) == (0, ""), daemon.text()
    sizes = ("small", "medium")
    expected = {str(place.out / f"thumbnails/sub/{n}_thumb_{size}.jpg") for n in range(12) for size in sizes}
    assert set(done.stdout.splitlines()) == expected
    assert {str(place.out / each) for each in place.renditions()} == expected

    once = place.cli("wait", "-0", str(place.inbox / names[0]), str(place.inbox / names[0]))
    assert once.stdout.count("\0") == 2
    found = json.loads(place.cli("wait", "--json", str(place.inbox / names[0])).stdout)
    assert [(each["state"], len(each["renditions"])) for each in found] == [("ready", 2)]

    place.put("big.jpg", jpeg(800, 600))
    done = place.cli("wait", str(place.inbox / "big.jpg"), str(place.inbox / names[1]))
    assert done.returncode == 1
    assert "max_pixels" in done.stderr
    assert len(done.stdout.splitlines()) == 2
    for path, text in (("gone.jpg", "no such file"), ("sub/notes.txt", "ignored"), ("sub/.hidden.jpg", "ignored")):
        done = place.cli("wait", str(place.inbox / path))
        assert (done.returncode, text in done.stderr) == (1, True), (path, done.stderr)
    assert place.cli("wait", "/etc/passwd").returncode == 2
    assert place.cli("wait", "--timeout", "soon", "/etc/passwd").returncode == 2


def test_it_waits_for_the_new_version_and_has_an_end_of_its_own(place: Place, run: Run) -> None:
    place.configure(watch=SMALL)
    run(place)
    path = place.put("a.jpg", jpeg(seed=1))
    assert place.cli("wait", str(path)).returncode == 0
    assert place.cli("pause").returncode == 0
    place.put("a.jpg", jpeg(500, 200, seed=2))
    began = time.monotonic()
    done = place.cli("wait", "--timeout", "500ms", str(path))
    assert done.returncode == 124
    assert "not ready yet" in done.stderr
    assert time.monotonic() - began < 20
    waiting = subprocess.Popen(
        [sys.executable, "-c", "from hotfolder.cli import main; main()", "wait", "--json", str(path)],
        cwd=place.base,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert place.cli("resume").returncode == 0
    out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert {(each["width"], each["height"]) for each in json.loads(out)[0]["renditions"]} == {(150, 60), (300, 120)}


def test_the_api_answers_at_once_or_after_its_seconds(place: Place, run: Run) -> None:
    place.configure(watch=SMALL)
    daemon = run(place)
    assert place.cli("pause").returncode == 0
    path = place.put("a.jpg", jpeg())

    def ask(body: object) -> list[dict[str, object]]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{place.port}/api/wait", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=40) as answer:
            found: list[dict[str, object]] = json.loads(answer.read())
            return found

    assert [each["state"] for each in ask({"paths": [str(path)], "seconds": 0.2})] == ["waiting"]
    assert place.cli("resume").returncode == 0
    assert [each["state"] for each in ask({"paths": [str(path)] * 2, "seconds": 30})] == ["ready"] * 2, daemon.text()
    refused: list[tuple[dict[str, object], int]] = [
        ({"paths": ["/etc/passwd"]}, 403),
        ({"paths": []}, 422),
        ({"paths": ["x"], "seconds": 99}, 422),
    ]
    for body, status in refused:
        with pytest.raises(urllib.error.HTTPError) as error:
            ask(body)
        assert error.value.code == status


def test_what_was_cleared_or_removed_is_made_on_demand(place: Place, run: Run) -> None:
    place.configure(watch=SMALL)
    daemon = run(place)
    path = place.put("sub/a.jpg", jpeg())
    assert place.cli("wait", str(path)).returncode == 0
    expected = place.renditions()
    address = f"http://127.0.0.1:{place.port}/api/image-processing/cache/thumbnails?preset=medium"
    urllib.request.urlopen(urllib.request.Request(address, method="DELETE"), timeout=30).close()
    assert place.renditions() == expected - {"thumbnails/sub/a_thumb_medium.jpg"}
    why = place.cli("why", str(path)).stdout
    assert "some renditions were removed; they are made at the next reconcile" in why
    done = place.cli("wait", str(path))
    assert (done.returncode, place.renditions()) == (0, expected), daemon.text()
    (place.out / "thumbnails/sub/a_thumb_small.jpg").unlink()
    done = place.cli("wait", str(path))
    assert (done.returncode, place.renditions()) == (0, expected), daemon.text()
    assert len(done.stdout.splitlines()) == 2


def test_it_says_at_once_what_it_waits_for(place: Place, run: Run) -> None:
    place.configure(watch=SMALL)
    daemon = run(place)
    path = place.put("a.jpg", jpeg())
    assert place.cli("wait", str(path)).returncode == 0

    def said(*arguments: str) -> str:
        done = place.cli("wait", "--timeout", "1s", *arguments)
        assert done.returncode == 124, done
        return done.stderr

    assert place.cli("pause").returncode == 0
    other = place.put("b.jpg", jpeg(seed=1))
    assert "b.jpg: it waits until what is paused goes on: hotfolder resume" in said(str(other))
    assert "paused" in place.cli("why", str(other)).stdout
    assert place.cli("resume").returncode == 0
    assert place.cli("wait", str(other)).returncode == 0

    half = place.put("half.jpg", jpeg()[:4000])
    daemon.wait_log("put_off")
    assert "half.jpg: it is put off: next try at 20" in said(str(half))

    place.out.rename(place.base / "elsewhere")
    text = said(str(path))
    assert "the output" in text, text
    (place.base / "elsewhere").rename(place.out)
    assert place.cli("wait", str(path)).returncode == 0
    place.inbox.rename(place.base / "away")
    daemon.wait_log("trouble")
    assert "it waits until its watch is well again" in said(str(path))


def test_held_by_the_window_and_lost_at_a_reload(place: Place, run: Run) -> None:
    now = datetime.now()
    closed = f"{now + timedelta(hours=2):%H:%M}-{now + timedelta(hours=3):%H:%M}"
    place.put("old.jpg", jpeg())
    (place.base / "later").write_text("3600")
    place.hook(CLOCK.format(flag=str(place.base / "later")))  # what lies there now was written an hour ago
    place.configure(f"backlog: {{window: '{closed}'}}", SMALL)
    daemon = run(place)
    why = ("why", "--json", str(place.inbox / "old.jpg"))
    wait_for("the row", lambda: json.loads(place.cli(*why).stdout)["state"] == "pending", context=daemon.text)
    done = place.cli("wait", "--timeout", "1s", str(place.inbox / "old.jpg"))
    assert done.returncode == 124
    assert f"it waits for the window of the backlog, {closed}" in done.stderr, done.stderr
    place.configure(watch=SMALL.replace("small, medium", "banner"))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("config_applied")
    done = place.cli("wait", str(place.inbox / "old.jpg"))
    assert (done.returncode, place.renditions()) == (0, {"thumbnails/old_banner.jpg"}), daemon.text()
