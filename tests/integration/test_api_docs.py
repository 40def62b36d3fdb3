"""docs/api.md is right: every command in it is run, and so is the Python client; what the API has, it shows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import Daemon, Place, jpeg, wait_for
from tests.schemas import Document

Run = Callable[[Place], Daemon]
DOC = (Path(__file__).parents[2] / "docs/api.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)
FILES = {"/metrics", "/api/renditions/{id}/{preset}"}
"""Calls that do not answer with JSON."""
CLIENT = re.findall(r"^```python\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)[0]


def stands(place: Place, run: Run) -> Daemon:
    daemon = run(place)
    place.put("photo.jpg", jpeg(900, 700))
    (place.base / "new.jpg").write_bytes(jpeg(300, 200, seed=1))
    daemon.wait_metric("hotfolder_jobs_total", 1, watch="inbox", result="done")
    return daemon


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_command_works(place: Place, run: Run) -> None:
    document = Document(json.loads(stands(place, run).get("/openapi.json")))
    job = ""
    for command in COMMANDS:
        here = command.replace("127.0.0.1:9766", f"127.0.0.1:{place.port}").replace("JOB", job)
        done = subprocess.run(
            ["bash", "-ec", here.replace("curl ", "curl -sS --fail-with-body ", 1)],
            check=False,
            cwd=place.base,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        if "-o " not in command:
            found = json.loads(done.stdout)
            method = sent[1] if (sent := re.search(r"-X (\w+)", command)) else "POST" if " -F " in command else "GET"
            document.check_answer(method, re.findall(rf":{place.port}(/[^' \n]*)", here)[0], found)
            job = job or found.get("job_id", "")
    assert (place.base / "small.jpg").read_bytes() == (place.out / "thumbnails/photo_thumb_small.jpg").read_bytes()
    assert (place.inbox / "new.jpg").exists()


def test_the_client_works(place: Place, run: Run) -> None:
    stands(place, run)
    text = CLIENT.replace(":9766", f":{place.port}")
    done = subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True, timeout=60)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:3] for line in lines] == [
        ["inbox:photo.jpg", "small", str(place.out / "thumbnails/photo_thumb_small.jpg")],
        ["inbox:photo.jpg", "large", str(place.out / "thumbnails/photo_thumb_large.jpg")],
    ]


def test_every_call_is_shown_and_has_examples(place: Place, run: Run) -> None:
    daemon = run(place)
    wait_for("the server", lambda: daemon.get("/healthz"))
    document = json.loads(daemon.get("/openapi.json"))
    paths = document["paths"]
    elsewhere = {
        "/api/session",
        "/metrics",
        "/healthz",
        "/readyz",
        "/api/status",
        "/api/pause",
        "/api/resume",
        "/api/cache/verify",
        "/api/cache/gc",
    }
    shown = " ".join(COMMANDS)
    for path, methods in paths.items():
        pattern = re.escape(path).replace(r"\{id\}", r"\w+").replace(r"\{preset\}", r"\w+")
        known = path in elsewhere or path.startswith(("/api/hooks", "/api/library", "/api/batch"))
        assert known or re.search(pattern + r"\b", shown), path
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            assert body is None or body["example"], (method, path)
            for status, answer in operation["responses"].items():
                if status in ("200", "201", "202") and path not in FILES:
                    assert "example" in answer["content"]["application/json"], (method, path, status)


def test_the_examples_are_what_is_answered(place: Place, run: Run) -> None:
    """Of calls without arguments: the same fields as when they were recorded."""
    daemon = stands(place, run)
    document = Document(json.loads(daemon.get("/openapi.json")))
    for path, methods in document.content["paths"].items():
        operation = methods.get("get")
        asks = operation and any(parameter.get("required") for parameter in operation.get("parameters", []))
        if operation is None or asks or path in FILES:
            continue
        shown = operation["responses"]["200"]["content"]["application/json"]["example"]
        found = json.loads(daemon.get(path))
        document.check_answer("GET", path, found)
        assert type(found) is type(shown), path
        if isinstance(found, dict):
            assert set(found) == set(shown), path


def test_an_output_that_is_away_is_a_problem_that_may_pass(place: Place, run: Run) -> None:
    stands(place, run)
    place.out.rename(place.base / "away")
    place.out.write_bytes(b"")
    call = urllib.request.Request(f"http://127.0.0.1:{place.port}/api/cache/verify", b"", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(call, timeout=30)
    with caught.value as answer:
        assert answer.status == json.load(answer)["status"] == 503
        assert answer.headers["retry-after"] == "30"
