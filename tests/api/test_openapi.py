"""What the OpenAPI document says is what the daemon does: requests made up from it get no 5xx and no other shape.

Longer than the integration tests, so run by .ci/run. Pausing, sessions and hooks are left out: the first would stop all
that follows, the others ask for a token or another server.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from tests.helpers import Daemon, Place, jpeg

Run = Callable[[Place], Daemon]
# 503 says that something may pass (too many open jobs, an output that is away), and when to ask again.
SETTINGS = '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", "503"]\n'
CHECKS = "not_a_server_error,response_schema_conformance,status_code_conformance,content_type_conformance"


def test_requests_made_from_the_document(place: Place, run: Run) -> None:
    daemon = run(place)
    place.put("a.jpg", jpeg())
    daemon.wait_metric("hotfolder_jobs_total", 1, watch="inbox", result="done")
    (place.base / "schemathesis.toml").write_text(SETTINGS)
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        f"http://127.0.0.1:{place.port}/openapi.json",
        "--checks",
        CHECKS,
        "--max-examples",
        "20",
        "--exclude-path-regex",
        "/api/(pause|session|hooks)",
        "--phases",
        "examples,coverage,fuzzing",
        "--request-timeout",
        "30",
        "--seed",
        "1",
        "--no-color",
    ]
    done = subprocess.run(command, check=False, cwd=place.base, capture_output=True, text=True, timeout=170)
    assert "Tested: " in done.stdout, done.stdout[-3000:] + done.stderr[-2000:]
    assert done.returncode == 0, done.stdout[-6000:]
    assert daemon.process.poll() is None
    assert "internal_error" not in daemon.text()
    assert "Traceback" not in daemon.text()
