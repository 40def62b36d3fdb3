"""docs/recipes.md, each run as it stands there; only addresses and rclone are stood in for."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from PIL import Image

from tests.helpers import Daemon, Place, environment, jpeg, wait_for
from tests.receiver import Receiver

Run = Callable[[Place], Daemon]
TEXT = (Path(__file__).parents[2] / "docs/recipes.md").read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def prepare(place: Place, title: str, monkeypatch: pytest.MonkeyPatch, **changes: str) -> dict[str, Any]:
    """The recipe's configuration and scripts as files; `changes` of its text. Gives the configuration."""
    section = SECTIONS[title]
    for old, new in changes.items():
        section = section.replace(old, new)
    config: dict[str, Any] = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)[0])
    for watch in config["watches"]:
        watch |= {"settle": "100ms", "presets": ["small"]}
    config["http"] = {"port": place.port}
    config["limits"] = {"max_pixels": "100k"}
    (place.base / "config.yaml").write_text(yaml.safe_dump(config))
    for name, code in re.findall(r"^`([\w-]+)`:\n\n```\w+\n(.*?)```", section, re.MULTILINE | re.DOTALL):
        script = place.base / name
        script.write_text(code)
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    place.out = place.base / "renditions"
    programs = place.base / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    path = os.pathsep.join([str(Path(sys.executable).parent), str(programs), os.environ["PATH"]])
    monkeypatch.setattr(place, "environment", lambda: environment() | {"PATH": path})
    return config


def test_every_recipe_is_known_here() -> None:
    tested = re.findall(r'^TITLE_\w+ = "(.*)"$', Path(__file__).read_text(), re.MULTILINE)
    assert sorted(tested) == sorted(SECTIONS)


TITLE_MOVE = "Move the original to done/ or error/"
TITLE_UPLOAD = "Upload the renditions with rclone"
TITLE_CALL = "Call a web hook"
TITLE_SIDECAR = "A JSON sidecar for a static site"
TITLE_SHEET = "A contact sheet when a batch is done"
TITLE_HOME = "Home Assistant"
TITLE_NTFY = "ntfy"
TITLE_SCRIPT = "A script that has just written many files"


def test_move_the_original(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(place, TITLE_MOVE, monkeypatch)
    daemon = run(place)
    place.put("good one.jpg", jpeg())
    place.put("big.jpg", jpeg(500, 400))
    for name in ("done/good one.jpg", "error/big.jpg"):
        wait_for(name, (place.base / name).exists, context=daemon.text)
    daemon.wait_log("removed inbox")
    assert list(place.inbox.iterdir()) == []
    assert {"thumbnails/good one_thumb_small.jpg", "optimized/good one.jpg"} <= place.renditions()

    # The same names again, and in a folder: none stays, and none of the first ones is replaced.
    first = (place.base / "done/good one.jpg").read_bytes()
    thumbnail = place.out / "thumbnails/good one_thumb_small.jpg"
    shown = thumbnail.read_bytes()
    place.put("good one.jpg", jpeg(seed=1))
    place.put("sub/good one.jpg", jpeg(seed=2))
    place.put("big.jpg", jpeg(510, 400))
    odd = [b"-rf.jpg", b"a\nb 'c'\".jpg", b"\xff $(x).jpg"]
    for number, each in enumerate(odd):
        place.put(each, jpeg(seed=3 + number))
    for name in (*map(os.fsdecode, odd), "good one.1.jpg", "good one.2.jpg"):
        wait_for(name, (place.base / "done" / name).exists, context=daemon.text)
    wait_for("the second failure", (place.base / "error/big.1.jpg").exists, context=daemon.text)
    wait_for("an empty inbox", lambda: [p for p in place.inbox.rglob("*") if p.is_file()] == [], context=daemon.text)
    assert (place.base / "done/good one.jpg").read_bytes() == first
    assert thumbnail.read_bytes() != shown


def test_moving_may_be_repeated_and_needs_no_hard_links(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(place, TITLE_MOVE, monkeypatch)
    source = place.put("a.jpg", b"one")
    told = {"HOTFOLDER_EVENT": "ready", "HOTFOLDER_ROOT": str(place.inbox), "HOTFOLDER_PATH": str(source)}

    def deliver() -> None:
        subprocess.run([str(place.base / "sort-original")], env=place.environment() | told, check=True)

    done = place.base / "done"
    done.mkdir()
    os.link(source, done / "a.jpg")  # the power went between both steps
    deliver()
    deliver()
    assert (not source.exists(), sorted(p.name for p in done.iterdir())) == (True, ["a.jpg"])
    ln = place.base / "bin/ln"
    ln.write_text("#!/bin/sh\nexit 1\n")
    ln.chmod(0o755)
    told["PATH"] = f"{ln.parent}{os.pathsep}{os.environ['PATH']}"
    for content in (b"two", b"three"):
        place.put("a.jpg", content)
        deliver()
    assert {p.name: p.read_bytes() for p in done.iterdir()} == {"a.jpg": b"one", "a.1.jpg": b"two", "a.2.jpg": b"three"}


def test_upload_with_rclone(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(place, TITLE_UPLOAD, monkeypatch)
    remote = place.base / "remote"
    rclone = place.base / "bin/rclone"
    rclone.write_text(
        f"#!{sys.executable}\nimport os, shutil, sys\n"
        f"goal = os.path.join({str(remote)!r}, sys.argv[-1].removeprefix('remote:'))\n"
        "os.makedirs(os.path.dirname(goal), exist_ok=True)\n"
        "shutil.copy(sys.argv[2], goal) if sys.argv[1] == 'copyto' else os.unlink(goal)\n"
    )
    rclone.chmod(0o755)
    daemon = run(place)

    def there() -> set[str]:
        return {str(each.relative_to(remote / "photos")) for each in remote.rglob("*") if each.is_file()}

    place.put("a/b.jpg", jpeg())
    expected = {"thumbnails/a/b_thumb_small.jpg", "optimized/a/b.jpg"}
    wait_for("the upload", lambda: there() == expected, context=daemon.text)
    (place.inbox / "a/b.jpg").rename(place.inbox / "a/c.jpg")
    expected = {each.replace("b", "c", 1) if "/b" not in each else each.replace("/b", "/c") for each in expected}
    wait_for("the rename", lambda: there() == expected, context=lambda: f"{there()}\n{daemon.text()}")
    (place.inbox / "a/c.jpg").unlink()
    wait_for("the removal", lambda: there() == set(), context=daemon.text)
    place.put(b"-a\nb.jpg", jpeg(seed=1))
    expected = {"thumbnails/-a\nb_thumb_small.jpg", "optimized/-a\nb.jpg"}
    wait_for("an odd name", lambda: there() == expected, context=daemon.text)


def test_call_a_web_hook(place: Place, run: Run, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(place, TITLE_CALL, monkeypatch, **{"https://example.org": receiver.address})
    (place.base / "secret").write_text("s3cret")
    guide = (Path(__file__).parents[2] / "docs/hooks.md").read_text()
    check: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", guide, re.DOTALL)[0], check)
    daemon = run(place)
    place.put("a.jpg", jpeg())
    wait_for("the call", lambda: receiver.got, context=daemon.text)
    path, headers, body = receiver.got[0]
    assert path == "/hotfolder"
    assert check["is_ours"](b"s3cret", body, headers["x-hotfolder-signature"])
    assert not check["is_ours"](b"other", body, headers["x-hotfolder-signature"])


def read(path: bytes) -> Any:
    with open(path, "rb") as file:
        return json.load(file)


def test_a_json_sidecar(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(place, TITLE_SIDECAR, monkeypatch)
    daemon = run(place)
    place.put("trip/a.jpg", jpeg())
    sidecar = place.base / "site/data/trip/a.jpg.json"
    wait_for("the sidecar", sidecar.exists, context=daemon.text)
    found = json.loads(sidecar.read_text())
    assert found["images"]["small"] == {"src": "thumbnails/trip/a_thumb_small.jpg", "width": 150, "height": 112}
    (place.inbox / "trip/a.jpg").unlink()
    wait_for("the sidecar to go", lambda: not sidecar.exists(), context=daemon.text)

    # Names that look alike in text have a sidecar each, and the one of what stays stays.
    data = os.fsencode(place.base / "site/data")
    odd = [b"\xff.jpg", b"\xfe.jpg", b"a\nb.jpg"]
    for number, name in enumerate(odd):
        place.put(name, jpeg(seed=number))
    sidecars = {b"trip", *(name + b".json" for name in odd)}
    wait_for("their sidecars", lambda: set(os.listdir(data)) == sidecars, context=daemon.text)
    os.unlink(os.fsencode(place.inbox) + b"/\xff.jpg")
    wait_for("one to go", lambda: sorted(os.listdir(data)) == sorted([b"\xfe.jpg.json", b"a\nb.jpg.json", b"trip"]))
    sources = [each["src"] for name in odd[1:] for each in read(data + b"/" + name + b".json")["images"].values()]
    out = os.fsencode(place.out)
    assert all(os.path.exists(os.path.join(out, os.fsencode(src))) for src in sources), sources


def test_a_contact_sheet(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(place, TITLE_SHEET, monkeypatch, **{"after: 5s": "after: 1s"})
    daemon = run(place)
    for number in range(10):
        place.put(f"{number}\n.jpg", jpeg(seed=number))
    sheets = wait_for("the sheet", lambda: list((place.base / "sheets").glob("*-1.jpg")), context=daemon.text)
    daemon.wait_metric("hotfolder_hook_deliveries_total", 1, hook="sheet", result="ok")
    with Image.open(sheets[0]) as sheet:
        assert sheet.size == (8 * 160, 2 * 160)


def test_home_assistant(place: Place, run: Run, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(place, TITLE_HOME, monkeypatch, **{"http://homeassistant.local:8123": receiver.address})
    daemon = run(place)
    place.put("big.jpg", jpeg(500, 400))
    wait_for("both events", lambda: len(receiver.got) >= 2, context=daemon.text)
    for path, headers, _ in receiver.got:
        assert path == "/api/webhook/hotfolder-a1b2c3"
        assert headers["content-type"] == "application/json"
    bodies = [json.loads(body) for _, _, body in receiver.got]
    wanted = set(re.findall(r"trigger\.json\.(\w+)", SECTIONS[TITLE_HOME]))
    assert wanted == {"watch", "event"}
    assert [(body["watch"], body["event"]) for body in bodies] == [("inbox", "failed"), ("inbox", "batch_done")]


def test_ntfy(place: Place, run: Run, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ntfy would make of it: a template whose fields are those of the body."""
    prepare(place, TITLE_NTFY, monkeypatch, **{"https://ntfy.sh": receiver.address})
    daemon = run(place)
    place.put("big.jpg", jpeg(500, 400))
    wait_for("the message", lambda: receiver.got, context=daemon.text)
    path, _, raw = receiver.got[0]
    query = parse_qs(urlsplit(path).query)
    assert (urlsplit(path).path, query["tpl"], query["t"]) == ("/my-topic", ["1"], ["hotfolder"])
    body = json.loads(raw)

    def value(match: re.Match[str]) -> str:
        found = body
        for key in match[1].split("."):
            found = found[key]
        return str(found)

    message = re.sub(r"\{\{\.([\w.]+)\}\}", value, query["m"][0])
    assert message.startswith("big.jpg: it has 500×400"), message


@pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync")
def test_a_script_that_has_written_many(place: Place, run: Run) -> None:
    command = re.findall(r"```sh\n(.*?)```", SECTIONS[TITLE_SCRIPT], re.DOTALL)[0]
    place.configure(watch="    presets: [small]\n    optimize: {enabled: false}")
    daemon = run(place)
    camera = place.base / "camera"
    camera.mkdir()
    for number in range(8):
        (camera / f"{number}.jpg").write_bytes(jpeg(seed=number))
    name = f"{Path(sys.executable).parent}/hotfolder"
    command = command.replace("camera:/DCIM/", "./camera/").replace("hotfolder wait", f"{name} wait")
    done = subprocess.run(["sh", "-c", command], cwd=place.base, env=environment(), check=False, timeout=120)
    assert done.returncode == 0, daemon.text()
    lines = (place.base / "renditions.txt").read_text().split()
    assert set(lines) == {str(place.out / f"thumbnails/{number}_thumb_small.jpg") for number in range(8)}
