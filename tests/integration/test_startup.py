"""What is heavy is imported only where it serves: a scan of nothing must not wait for it."""

from __future__ import annotations

import subprocess
import sys

from tests.helpers import Place

HEAVY = {"asyncio", "cv2", "fastapi", "multiprocessing", "numpy", "rich", "starlette", "uvicorn", "watchdog"}

SCAN = """
import gc, sys
from hotfolder.cli import main
sys.argv = ["hotfolder", "scan"]
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
assert gc.isenabled()
print("\\n".join(sys.modules))
"""


def test_a_scan_of_nothing_imports_nothing_heavy(place: Place) -> None:
    command = [sys.executable, "-c", SCAN]
    done = subprocess.run(
        command, cwd=place.base, env=place.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    modules = set(done.stdout.split())
    assert "hotfolder.engine" in modules, done.stdout + done.stderr
    assert modules & HEAVY == set()
