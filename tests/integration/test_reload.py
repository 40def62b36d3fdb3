"""SIGHUP in a real daemon: what is written is in force, what needs a restart is named, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]


def reload(daemon: Daemon) -> None:
    count = daemon.text().count("config_applied")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("config_applied", count + 1)


def test_limits_of_images(place: Place, run: Run) -> None:
    daemon = run(place)
    place.configure("limits: {max_pixels: 1000}")
    reload(daemon)
    assert "changed=limits.max_pixels" in daemon.text()
    place.put("a.jpg", jpeg())
    daemon.wait_log("too_many_pixels")
    place.configure("limits: {max_pixels: 1000000, max_bytes: 1kB}")
    reload(daemon)
    daemon.wait_log("too_many_bytes")
    place.configure()
    reload(daemon)
    daemon.wait_renditions(place.of("a.jpg"))
    assert place.failures() == []


def test_room_that_has_to_be_free(place: Place, run: Run) -> None:
    daemon = run(place)
    most = shutil.disk_usage(place.base).total // 1_000_000 - 1
    place.configure(f"limits: {{min_free: {most}MB}}")
    reload(daemon)
    place.put("a.jpg", jpeg())
    daemon.wait_log("nearly full")
    place.configure("limits: {min_free: 1MB}")
    reload(daemon)
    daemon.wait_renditions(place.of("a.jpg"))


def test_helpers_and_their_time(place: Place, run: Run) -> None:
    daemon = run(place)
    place.configure("pool: {isolate: always}")
    reload(daemon)
    place.put("a.jpg", jpeg())
    daemon.wait_renditions(place.of("a.jpg"))
    tasks = f"/proc/{daemon.process.pid}/task"

    def helpers() -> str:
        return " ".join((Path(tasks) / each / "children").read_text() for each in os.listdir(tasks))

    assert helpers().strip()
    place.configure("pool: {isolate: always, job_timeout: 1ms}")
    reload(daemon)
    place.put("b.jpg", jpeg(9000, 6000, seed=2))
    daemon.wait_log("pool.job_timeout = 0.001 s")
    place.configure("pool: {isolate: never}")
    reload(daemon)
    daemon.wait_renditions(place.of("a.jpg") | place.of("b.jpg"))


def test_workers_and_memory(place: Place, run: Run) -> None:
    place.configure("pool: {workers: 2, memory_limit: 300MB}")
    daemon = run(place)
    place.configure("pool: {workers: 5, memory_limit: 400MB}")
    reload(daemon)
    assert "changed=pool.workers,pool.memory_limit" in daemon.text()
    assert daemon.metric("hotfolder_workers_bound", bound="high") == 5
    place.configure("pool: {workers: 2, memory_limit: 120MB}")
    reload(daemon)
    place.put("a.jpg", jpeg(6000, 4000))
    daemon.wait_log("too_much_memory")
    place.configure("pool: {workers: 2, memory_limit: 600MB}")
    reload(daemon)
    daemon.wait_renditions(place.of("a.jpg"))


def test_log_and_presets_and_hooks(place: Place, run: Run) -> None:
    daemon = run(place)
    told = place.base / "told"
    script = place.base / "tell.sh"
    script.write_text(f"#!/bin/sh\ncat > {told}\n")
    script.chmod(0o755)
    hook = f"hooks: [{{name: tell, events: [ready], run: [{script}]}}]"
    own = "presets: {tiny: {width: 20, height: 20, suffix: _t}}"
    place.configure(f"{hook}\n{own}\nlog: {{format: json}}", "    presets: [tiny]\n    optimize: {enabled: false}")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for("a line in JSON", lambda: '"config_applied"' in daemon.text(), context=daemon.text)
    place.put("a.jpg", jpeg())
    daemon.wait_renditions({"thumbnails/a_t.jpg"})
    wait_for("the hook", told.exists, context=daemon.text)
    place.configure(
        "presets: {tiny: {width: 20, height: 20, suffix: _u}}", "    presets: [tiny]\n    optimize: {enabled: false}"
    )
    reload(daemon)
    daemon.wait_renditions({"thumbnails/a_u.jpg"})


def test_presets_that_are_renamed_leave_nothing_behind(place: Place, run: Run) -> None:
    place.configure(
        "presets: {a: {width: 20, height: 20, suffix: _t}}", "    presets: [a]\n    optimize: {enabled: false}"
    )
    daemon = run(place)
    place.put("x.jpg", jpeg())
    daemon.wait_renditions({"thumbnails/x_t.jpg"})
    place.configure(
        "presets: {b: {width: 20, height: 20, suffix: _t}}", "    presets: [b]\n    optimize: {enabled: false}"
    )
    reload(daemon)
    wait_for(
        "the new name", lambda: [r["preset"] for r in place.export()[0]["renditions"]] == ["b"], context=daemon.text
    )
    assert place.renditions() == {"thumbnails/x_t.jpg"}


def test_who_may_ask(place: Place, run: Run) -> None:
    daemon = run(place)

    def status(headers: dict[str, str], path: str = "/api/status") -> int:
        try:
            daemon.get(path, headers)
        except urllib.error.HTTPError as error:
            return error.code
        return 200

    assert status({"Host": "nas.local"}) == 403
    token = place.base / "token"
    token.write_text("a token of thirty-two characters")
    http = (
        f"http: {{port: {place.port}, token_file: ./token, hosts: [nas.local], root_path: /photos, upload_limit: 1kB}}"
    )
    text = (place.base / "config.yaml").read_text()
    (place.base / "config.yaml").write_text(text.replace(f"http: {{port: {place.port}}}", http))
    reload(daemon)
    bearer = {"Authorization": f"Bearer {token.read_text()}"}
    assert status({}) == 401
    assert status(bearer | {"Host": "nas.local"}) == 200
    assert status(bearer, "/photos/api/status") == 200
    token.write_text("another token of as many letters")
    reload(daemon)
    assert "http.token" in daemon.text()
    assert status(bearer) == 401
    (place.base / "config.yaml").write_text(text)
    reload(daemon)
    assert status({}) == 200


def test_a_token_does_not_go_while_strangers_can_reach_the_port(place: Place, run: Run) -> None:
    (place.base / "token").write_text("a token of thirty-two characters")
    config = place.base / "config.yaml"
    text = config.read_text()
    plain = f"http: {{port: {place.port}}}"
    config.write_text(text.replace(plain, f"http: {{port: {place.port}, host: 0.0.0.0, token_file: ./token}}"))
    daemon = run(place)
    config.write_text(text)  # loopback, and so without a token; but the port stays where it is until a restart
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("config_not_applied")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        daemon.get("/api/status")


def test_what_needs_a_restart_is_named_and_stays(place: Place, run: Run) -> None:
    daemon = run(place)
    config = place.base / "config.yaml"
    config.write_text(config.read_text().replace(f"port: {place.port}", "port: 1, enabled: false") + "state: ./moved\n")
    reload(daemon)
    for key in ("http.port", "http.enabled", "state"):
        assert f"needs_restart key={key}" in daemon.text()
    assert "changed=nothing" in daemon.text()
    daemon.get("/healthz")
    assert not (place.base / "moved").exists()
    place.put("a.jpg", jpeg())
    daemon.wait_renditions(place.of("a.jpg"))


def test_without_a_change_nothing_is_walked_again(place: Place, run: Run) -> None:
    daemon = run(place)
    place.put("a.jpg", jpeg())
    daemon.wait_renditions(place.of("a.jpg"))
    wait_for("the first walk", lambda: daemon.metric("hotfolder_reconcile_duration_seconds_count") >= 1)
    walks = daemon.metric("hotfolder_reconcile_duration_seconds_count")
    threads = sorted(os.listdir(f"/proc/{daemon.process.pid}/task"))[:3]
    for _ in range(3):
        reload(daemon)
    for _ in range(2):
        daemon.process.send_signal(signal.SIGHUP)  # two at once
    daemon.wait_log("config_applied", 4)
    assert daemon.text().count("changed=nothing") >= 4
    assert daemon.metric("hotfolder_reconcile_duration_seconds_count") == walks
    assert sorted(os.listdir(f"/proc/{daemon.process.pid}/task"))[:3] == threads


def test_a_watch_that_cannot_be_had_changes_nothing(place: Place, run: Run) -> None:
    daemon = run(place)
    text = (place.base / "config.yaml").read_text()
    for path, out, said in (("./no", "./o2", "is missing"), ("./yes", "./file", "make it a writable folder")):
        (place.base / "file").write_text("")
        (place.base / "yes").mkdir(exist_ok=True)
        extra = f"  - {{path: {path}, output: {out}, create: false}}\n"
        (place.base / "config.yaml").write_text(text.replace("http:", f"{extra}http:"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_log(said)
    assert daemon.text().count("config_not_applied") == 2
    assert "config_applied" not in daemon.text()
    place.put("a.jpg", jpeg())
    daemon.wait_renditions(place.of("a.jpg"))
    (place.base / "config.yaml").unlink()
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("config_not_applied", 3)
    assert json.loads(daemon.get("/healthz"))["status"] == "ok"


def let_go(gate: Path) -> None:
    """Whoever reads this pipe goes on, and nobody waits there any more."""
    fd = os.open(gate, os.O_WRONLY)
    gate.unlink()
    os.close(fd)


def test_while_a_job_is_under_way(place: Place, run: Run) -> None:
    """Its result is of the configuration before: it is looked at again."""
    place.hook(
        "import contextlib, pathlib\n"
        "import hotfolder.pipeline.publish as publish\n"
        "former = publish.published\n"
        "def published(*given):\n"
        "    pathlib.Path('waits').touch()\n"
        "    with contextlib.suppress(FileNotFoundError), open('slow') as gate:\n"
        "        gate.read()\n"
        "    return former(*given)\n"
        "publish.published = published\n"
    )
    place.configure("shutdown_timeout: 300ms")
    slow = place.base / "slow"
    os.mkfifo(slow)
    daemon = run(place)
    place.put("a.jpg", jpeg())
    wait_for("the job", (place.base / "waits").exists, context=daemon.text)
    config = place.base / "config.yaml"
    config.write_text(config.read_text().replace("./out", "./out2"))
    reload(daemon)
    let_go(slow)
    place.out = place.base / "out2"
    daemon.wait_renditions(place.of("a.jpg"))
    daemon.stop()
    assert "0 missing" in place.cli("cache", "verify").stdout


def test_a_watch_that_goes_and_comes_back(place: Place, run: Run) -> None:
    both = "  - {path: ./b, output: ./b-out, settle: 100ms}\n"
    config = place.base / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("http:", f"{both}http:"))
    daemon = run(place)
    (place.base / "b/x.jpg").write_bytes(jpeg())
    wait_for("x", lambda: len(list((place.base / "b-out").rglob("*.jpg"))) == 7, context=daemon.text)
    config.write_text(text)
    reload(daemon)
    assert len(list((place.base / "b-out").rglob("*.jpg"))) == 7
    (place.base / "b/y.jpg").write_bytes(jpeg(seed=2))
    config.write_text(text.replace("http:", f"{both}http:"))
    reload(daemon)
    wait_for("y", lambda: len(list((place.base / "b-out").rglob("*.jpg"))) == 14, context=daemon.text)
    wait_for("its commit", lambda: daemon.decoded() == 2)
    assert "changed=watches.b" in daemon.text()


def test_at_the_start_and_at_the_end(place: Place) -> None:
    place.hook(
        "import contextlib, pathlib\n"
        "import hotfolder.cli.common as common\n"
        "former = common.load\n"
        "def load(*given):\n"
        "    pathlib.Path('reads').touch()\n"
        "    with contextlib.suppress(FileNotFoundError), open('slow') as gate:\n"
        "        gate.read()\n"
        "    return former(*given)\n"
        "common.load = load\n"
    )
    slow = place.base / "slow"
    os.mkfifo(slow)
    daemon = Daemon(place)
    try:
        wait_for("the configuration to be read", (place.base / "reads").exists, context=daemon.text)
        daemon.process.send_signal(signal.SIGHUP)
        let_go(slow)
        daemon.ready()
        daemon.wait_log("config_applied")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.send_signal(signal.SIGHUP)
        assert daemon.process.wait(30) == 0
    finally:
        daemon.stop(signal.SIGKILL)
