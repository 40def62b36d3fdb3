"""Hooks: what they are told and when, by real programs and a real receiver."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import Daemon, Place, environment, free_port, jpeg, wait_for
from tests.receiver import Receiver

Run = Callable[[Place], Daemon]
SMALL = "    presets: [small]\n    optimize: {enabled: false}"


def program(place: Place, name: str, code: str) -> Path:
    """A hook's program in Python, executable."""
    path = place.base / name
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def recorder(place: Place, extra: str = "") -> Path:
    """A program that appends what it is given, its environment, and which renditions are there, as a JSON line."""
    return program(
        place,
        "record",
        "import json, os, sys\n"
        "told = json.load(sys.stdin)\n"
        "images = told.get('images', [told])\n"
        "told['there'] = [os.path.exists(r['path']) for i in images for r in i.get('renditions', []) if r['path']]\n"
        "told['env'] = dict(os.environ)\n"
        f"line = json.dumps(told) + '\\n'\n"
        f"fd = os.open({str(place.base / 'told')!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)\n"
        f"os.write(fd, line.encode())\n{extra}",
    )


def told(place: Place) -> list[dict[str, Any]]:
    path = place.base / "told"
    return [json.loads(line) for line in path.read_text().rpartition("\n")[0].splitlines()] if path.exists() else []


def wait_told(place: Place, daemon: Daemon, count: int) -> list[dict[str, Any]]:
    wait_for(
        f"{count} deliveries", lambda: len(told(place)) >= count, context=lambda: f"{told(place)}\n{daemon.text()}"
    )
    return told(place)


def test_a_program_is_told_of_ready_failed_removed_and_renamed(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = recorder(place, "print('seen', told['event'])")
    hook = f"{{name: tell, events: [ready, failed, removed], run: [{record}, x, '$HOME; y']}}"
    place.configure(f"hooks: [{hook}]\nlimits: {{max_pixels: 100k}}", SMALL)
    secret = {"HOTFOLDER_HTTP__TOKEN": "never-to-be-seen", "SOME_PASSWORD": "x"}
    monkeypatch.setattr(place, "environment", lambda: environment() | secret)
    daemon = run(place)
    place.put("a.jpg", jpeg())
    first = wait_told(place, daemon, 1)[0]
    assert (first["event"], first["hook"], first["watch"]) == ("ready", "tell", "inbox")
    assert first["path"] == str(place.inbox / "a.jpg")
    assert first["relative"] == "a.jpg"
    assert [r["path"] for r in first["renditions"]] == [str(place.out / "thumbnails/a_thumb_small.jpg")]
    assert first["there"] == [True]
    assert (first["source"]["width"], first["source"]["format"]) == (320, "jpeg")
    facts = first["env"]
    assert facts["HOTFOLDER_EVENT"] == "ready"
    assert facts["HOTFOLDER_PATH"] == str(place.inbox / "a.jpg")
    assert (facts["HOTFOLDER_TRY"], facts["HOTFOLDER_DELIVERY"]) == ("1", first["id"])
    allowed = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR"}
    assert {key for key in facts if not key.startswith(("HOTFOLDER_", "LC_"))} <= allowed
    assert "HOTFOLDER_HTTP__TOKEN" not in facts
    daemon.wait_log('output="seen ready"')
    assert daemon.metric("hotfolder_hook_deliveries_total", hook="tell", result="ok") == 1

    (place.inbox / "a.jpg").rename(place.inbox / "b.jpg")
    later = wait_told(place, daemon, 3)[1:3]
    assert [(each["event"], each["relative"]) for each in later] == [("removed", "a.jpg"), ("ready", "b.jpg")]
    assert later[0]["now"] == str(place.inbox / "b.jpg")
    assert later[1]["was"] == str(place.inbox / "a.jpg")
    (place.inbox / "b.jpg").unlink()
    gone = wait_told(place, daemon, 4)[3]
    assert (gone["event"], gone["relative"], gone["there"]) == ("removed", "b.jpg", [False])
    place.put("c.jpg", jpeg(500, 400))
    failure = wait_told(place, daemon, 5)[4]
    assert (failure["event"], failure["error"]["reason"]) == ("failed", "too_many_pixels")
    assert failure["env"]["HOTFOLDER_REASON"] == "too_many_pixels"
    assert len({each["id"] for each in told(place)}) == len(told(place)) == 5


def test_what_a_program_must_not_do_ends_with_its_time(place: Place, run: Run) -> None:
    """It floods, starts children, and does not end: it is bounded, and its whole group goes."""
    pids = place.base / "pids"
    stubborn = program(
        place,
        "stubborn",
        "import os, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "if os.fork() == 0:\n"
        f"    open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "    signal.pause()\n"
        "for _ in range(100): os.write(1, b'x' * 10_000)\n"
        "signal.pause()\n",
    )
    place.configure(f"hooks: [{{name: bad, events: [ready], run: [{stubborn}], timeout: 5s, retries: 0}}]", SMALL)
    daemon = run(place)
    place.put("a.jpg", jpeg())
    daemon.wait_log("hook_dead")
    line = next(line for line in daemon.text().splitlines() if "hook_dead" in line)
    assert "it took longer than its timeout" in line
    assert 64_000 <= len(line) < 65_000
    for pid in pids.read_text().split():
        assert not alive(int(pid)), pid
    listed = json.loads(place.cli("hooks", "list", "--json").stdout)
    assert [each["dead"] for each in listed["hooks"]] == [1]
    assert listed["dead"][0]["problem"] == "it took longer than its timeout"
    assert listed["dead"][0]["path"] == str(place.inbox / "a.jpg")
    assert place.cli("hooks").stdout.count("took longer than its timeout") == 1
    assert daemon.metric("hotfolder_hook_deliveries_total", hook="bad", result="dead") == 1

    recorder(place).replace(stubborn)
    assert place.cli("hooks", "retry", "bad").stdout == "1 to be tried again\n"
    assert wait_told(place, daemon, 1)[0]["relative"] == "a.jpg"
    assert place.cli("hooks", "retry").stdout == "0 to be tried again\n"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_post_is_signed_and_repeated_under_its_id(place: Place, run: Run, receiver: Receiver) -> None:
    (place.base / "secret").write_text("s3cret\n")
    url = f"http://127.0.0.1:{receiver.port}/hooks/private-id?x=1"
    hook = f"{{name: post, events: [ready], url: '{url}', secret_file: secret}}"
    place.configure(f"hooks: [{hook}]", SMALL)
    receiver.answers = [500, 302]
    daemon = run(place)
    place.put("ü.jpg", jpeg())
    wait_for("three tries", lambda: len(receiver.got) >= 3, 60, daemon.text)
    assert {path for path, _, _ in receiver.got} == {"/hooks/private-id?x=1"}
    bodies = {body for _, _, body in receiver.got}
    assert len(bodies) == 1
    headers = receiver.got[-1][1]
    body = json.loads(bodies.pop())
    assert body["path"] == str(place.inbox / "ü.jpg")
    assert headers["x-hotfolder-delivery"] == body["id"]
    assert (headers["x-hotfolder-event"], headers["x-hotfolder-try"]) == ("ready", "3")
    expected = hmac.new(b"s3cret", receiver.got[-1][2], hashlib.sha256).hexdigest()
    assert headers["x-hotfolder-signature"] == f"sha256={expected}"
    daemon.wait_metric("hotfolder_hook_deliveries_total", 1, hook="post", result="ok")
    assert daemon.metric("hotfolder_hook_deliveries_total", hook="post", result="failed") == 2
    assert "redirects are not followed" in daemon.text()
    for shown in (daemon.text(), place.cli("hooks").stdout, place.cli("config", "show").stdout):
        assert "s3cret" not in shown
    assert "private-id" not in daemon.text() + place.cli("hooks").stdout

    done = place.cli("hooks", "test", "post")
    assert (done.returncode, done.stdout.split(" (")[0]) == (0, "post: taken")
    assert json.loads(receiver.got[-1][2])["event"] == "test"
    receiver.answers = [503]
    done = place.cli("hooks", "test", "post")
    assert done.returncode == 1
    assert "answered 503" in done.stdout
    assert place.cli("hooks", "test", "nobody").returncode == 2


def test_a_dead_receiver_slows_nothing_and_loses_nothing(place: Place, run: Run) -> None:
    port = free_port()
    slow = program(place, "slow", "import signal; signal.pause()")
    place.configure(
        f"hooks:\n  - {{name: away, events: [ready], url: 'http://127.0.0.1:{port}/', retries: 100}}\n"
        f"  - {{name: slow, events: [ready], run: [{slow}], timeout: 60s}}",
        SMALL,
    )
    daemon = run(place)
    names = [f"{number}.jpg" for number in range(20)]
    for number, name in enumerate(names):
        place.put(name, jpeg(seed=number))
    daemon.wait_renditions({f"thumbnails/{number}_thumb_small.jpg" for number in range(20)})
    waiting = {hook["name"]: hook["waiting"] for hook in json.loads(daemon.get("/api/hooks"))["hooks"]}
    assert waiting == {"away": 20, "slow": 20}
    assert daemon.stop(signal.SIGTERM) == 0
    assert "in_flight_ended=True" in daemon.text()
    listed = json.loads(place.cli("hooks", "list", "--json").stdout)
    assert {hook["name"]: hook["waiting"] for hook in listed["hooks"]} == {"away": 20, "slow": 20}


def test_batch_done_comes_once_the_watch_is_idle(place: Place, run: Run) -> None:
    record = recorder(place)
    hook = f"{{name: batch, events: [batch_done], run: [{record}], after: 1s}}"
    place.configure(f"hooks: [{hook}]\nlimits: {{max_pixels: 100k}}", SMALL)
    daemon = run(place)
    for number in range(5):
        place.put(f"{number}.jpg", jpeg(seed=number))
    place.put("big.jpg", jpeg(500, 400))
    batch = wait_told(place, daemon, 1)[0]
    assert (batch["event"], batch["page"], batch["pages"]) == ("batch_done", 1, 1)
    events = {each["relative"]: each["event"] for each in batch["images"]}
    assert events == {f"{number}.jpg": "ready" for number in range(5)} | {"big.jpg": "failed"}
    assert batch["there"] == [True] * 5
    (place.inbox / "0.jpg").unlink()
    batch = wait_told(place, daemon, 2)[1]
    assert [(each["relative"], each["event"]) for each in batch["images"]] == [("0.jpg", "removed")]


def test_a_scan_without_a_daemon_delivers_too(place: Place) -> None:
    record = recorder(place)
    place.configure(f"hooks: [{{name: both, events: [ready, batch_done], run: [{record}]}}]", SMALL)
    place.put("a.jpg", jpeg())
    assert place.scan().returncode == 0
    assert [each["event"] for each in told(place)] == ["ready", "batch_done"]
    assert place.scan().returncode == 0
    assert len(told(place)) == 2


def test_a_moved_folder_is_told_in_one_word(place: Place, run: Run) -> None:
    record = recorder(place)
    place.configure(f"hooks: [{{name: tell, events: [ready], run: [{record}]}}]", SMALL)
    daemon = run(place)
    for number in range(3):
        place.put(f"old/{number}.jpg", jpeg(seed=number))
    wait_told(place, daemon, 3)
    (place.inbox / "old").rename(place.inbox / "new")
    daemon.wait_log("folder_moved")
    moved = wait_told(place, daemon, 4)[3]
    assert (moved["event"], moved["watches"]) == ("resync", ["inbox"])
    assert str(place.inbox / "new") in moved["message"]


def test_a_record_that_is_made_anew_is_no_news(place: Place) -> None:
    record = recorder(place)
    hook = f"hooks: [{{name: tell, events: [ready], run: [{record}]}}]"
    place.configure(hook, f"{SMALL}\n    analyze: {{gps: true}}")
    place.put("a.jpg", jpeg())
    assert place.scan().returncode == 0
    assert len(told(place)) == 1
    place.configure(hook, f"{SMALL}\n    analyze: {{gps: false}}")
    assert place.scan().returncode == 0
    assert len(told(place)) == 1
    place.configure(hook, "    presets: [small, medium]\n    optimize: {enabled: false}")
    assert place.scan().returncode == 0
    assert [len(each["renditions"]) for each in told(place)] == [1, 2]


def test_the_alert_speaks_of_series_that_are_there(place: Place, run: Run) -> None:
    alerts = (Path(__file__).parents[2] / "packaging/prometheus/alerts.yml").read_text()
    name, results = re.findall(r'increase\((hotfolder_hook_\w+)\{result=~"([\w|]+)"\}', alerts)[0]
    place.configure("hooks: [{name: tell, events: [ready], run: ['true']}]", SMALL)
    shown = run(place).get("/metrics").decode()
    for result in results.split("|"):
        assert f'{name}{{hook="tell",result="{result}"}} 0.0' in shown


def test_hooks_come_and_go_with_the_configuration(place: Place, run: Run) -> None:
    place.configure("hooks: [{name: tell, events: [ready], run: [/no/such/program]}]", SMALL)
    refused = place.cli("run")
    assert (refused.returncode, "/no/such/program does not exist" in refused.stderr) == (2, True), refused.stderr
    place.configure(watch=SMALL)
    daemon = run(place)
    record = recorder(place)
    place.configure(f"hooks: [{{name: tell, events: [ready], run: [{record}]}}]", SMALL)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("config_applied")
    place.put("a.jpg", jpeg())
    wait_told(place, daemon, 1)
    place.configure(f"hooks: [{{name: other, events: [ready], url: 'http://127.0.0.1:{free_port()}/'}}]", SMALL)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("config_applied", 2)
    place.put("b.jpg", jpeg(seed=2))
    daemon.wait_log("hook_failed")
    place.configure("hooks: [{name: tell, events: [ready], run: [/no/such/program]}]", SMALL)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("config_not_applied")
    place.configure(watch=SMALL)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("deliveries_forgotten")
    assert json.loads(daemon.get("/healthz"))["status"] == "ok"
    assert len(told(place)) == 1
