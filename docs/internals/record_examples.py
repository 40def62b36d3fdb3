"""Records the examples of the OpenAPI document: asks a real daemon everything, and keeps what was asked and answered.

PYTHONPATH=. python docs/internals/record_examples.py      # writes daemon/hotfolder/server/examples.json
"""

from __future__ import annotations

import json
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from tests.helpers import Daemon, Place, jpeg, wait_for

TARGET = Path("daemon/hotfolder/server/examples.json")
HOOK = "hooks: [{name: notify, events: [ready], run: [/bin/true]}]"
PHOTO = {"paths": ["inbox:holiday/photo.jpg"]}
BASE = "/api/image-processing"
SIZES = [{"width": 640, "height": 480, "fit": "cover", "suffix": "_card"}]
BOUNDARY = "part"
CALLS: list[tuple[str, str, Any]] = [
    ("GET", "/healthz", None),
    ("GET", "/readyz", None),
    ("POST", f"{BASE}/thumbnails/generate", {"glob": "inbox:**/*.jpg", "sizes": SIZES}),
    ("POST", f"{BASE}/thumbnails/generate-preset", {**PHOTO, "presets": ["small", "preview"]}),
    ("POST", f"{BASE}/images/optimize", {**PHOTO, "quality": 70, "max_dimension": 2000}),
    ("POST", f"{BASE}/images/analyze", PHOTO),
    ("POST", f"{BASE}/uploads", None),
    ("POST", "/api/wait", {**PHOTO, "seconds": 30}),
    ("GET", f"{BASE}/presets", None),
    ("GET", f"{BASE}/stats", None),
    ("GET", f"{BASE}/cache/stats", None),
    ("GET", "/api/status", None),
    ("GET", "/api/library/summary", None),
    ("GET", "/api/why?path=inbox:holiday/photo.jpg", None),
    ("POST", "/api/estimate", {"watch": "inbox"}),
    ("GET", "/api/sources?limit=1", None),
    ("GET", "/api/sources/{id}", None),
    ("GET", "/api/jobs", None),
    ("GET", "/api/jobs/{id}", None),
    ("DELETE", "/api/jobs/{id}", None),
    ("GET", "/api/failures", None),
    ("POST", "/api/failures/retry", {"paths": ["inbox:broken.jpg"]}),
    ("GET", "/api/hooks", None),
    ("POST", "/api/hooks/retry", {"hook": "notify"}),
    ("POST", "/api/hooks/test", {"hook": "notify"}),
    ("POST", "/api/pause", {"lane": "backlog"}),
    ("POST", "/api/resume", {"lane": "backlog"}),
    ("POST", "/api/rescan", {"watch": "inbox"}),
    ("POST", "/api/cache/verify", None),
    ("POST", "/api/cache/gc", None),
    ("DELETE", f"{BASE}/cache/thumbnails?watch=inbox&preset=banner", None),
    ("POST", "/api/session", {"token": "what http.token_file holds"}),
]


def ask(port: int, method: str, path: str, body: Any) -> tuple[int, Any]:
    content, kind = None if body is None else json.dumps(body).encode(), "application/json"
    if path.endswith("/uploads"):
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="new.jpg"\r\n\r\n'
        content = head.encode() + jpeg(300, 200, 1) + f"\r\n--{BOUNDARY}--\r\n".encode()
        kind = f"multipart/form-data; boundary={BOUNDARY}"
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", content, {"content-type": kind}, method=method)
    with urllib.request.urlopen(request) as answer:
        found = answer.read()
        return answer.status, json.loads(found) if found else None


def short(value: Any, base: str) -> Any:
    """Lists by their first two, and no folder of the recording."""
    if isinstance(value, dict):
        return {name: short(item, base) for name, item in value.items()}
    if isinstance(value, list):
        return [short(item, base) for item in value[:2]]
    return value.replace(base, "/srv/photos") if isinstance(value, str) else value


def record(place: Place, daemon: Daemon) -> dict[str, Any]:
    recorded: dict[str, Any] = {}
    source = job = ""
    for method, path, body in CALLS:
        real = path.replace("{id}", job if "/jobs/" in path else source)
        status, answer = ask(place.port, method, real, body)
        if path == f"{BASE}/thumbnails/generate-preset":
            job = answer["job_id"]
        if path.startswith("/api/sources?"):
            source = str(answer["sources"][0]["id"])
        found: dict[str, Any] = {"status": status}
        if body is not None:
            found["request"] = body
        if answer is not None:
            found["answer"] = short(answer, str(place.base))
        recorded[f"{method} {path.partition('?')[0]}"] = found
    return recorded


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), HOOK)
        place.put("holiday/photo.jpg", jpeg(900, 700))
        place.put("broken.jpg", b"no picture")
        daemon = Daemon(place).ready()
        try:
            daemon.wait_metric("hotfolder_jobs_total", 1, watch="inbox", result="done")
            wait_for("the quarantine: what was just written might go on", place.failures, 90)
            recorded = record(place, daemon)
        finally:
            daemon.stop()
    TARGET.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
