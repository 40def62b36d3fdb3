"""Low priority for one thread, and back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hotfolder.pool import priority

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")

ASK = """
import os, resource, threading
from hotfolder.pool import priority
resource.setrlimit(resource.RLIMIT_NICE, (0, 0))
os.setgid(65534)
os.setuid(65534)
me = threading.get_native_id()
seen = lambda: (os.getpriority(os.PRIO_PROCESS, me), priority._io_priority())
before = seen()
with priority.modest():
    within = seen()
print(before, within, seen())
"""


def nice_of(tid: int) -> int:
    return int(Path(f"/proc/self/task/{tid}/stat").read_text().rpartition(")")[2].split()[16])


def test_only_this_thread_is_modest_and_only_within() -> None:
    seen: dict[str, tuple[int, int | None]] = {}

    def work() -> None:
        me = threading.get_native_id()
        seen["before"] = nice_of(me), priority._io_priority()
        with priority.modest():
            seen["within"] = nice_of(me), priority._io_priority()
            seen["others"] = nice_of(os.getpid()), None
        seen["after"] = nice_of(me), priority._io_priority()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen["after"] == seen["before"]
    assert seen["others"][0] == seen["before"][0]
    if seen["before"][1] is not None:
        assert seen["within"][1] == priority.LOWEST_IO
    if priority._may_rise():
        assert seen["within"][0] == max(priority.NICE, seen["before"][0])
    else:
        assert seen["within"][0] == seen["before"][0]


@pytest.mark.skipif(os.getuid() != 0, reason="drops privileges")
def test_without_the_right_to_come_back_only_io_changes() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    before, within, after = (part.strip("() ").split(", ") for part in done.stdout.strip().split(") ("))
    assert before[0] == within[0] == after[0]
    assert within[1] == str(priority.LOWEST_IO)
    assert before == after
