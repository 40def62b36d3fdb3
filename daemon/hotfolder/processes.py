"""Child processes, and, where hotfolder is process 1 as in a container, the orphans that fall to it.

What a hook's program leaves behind has nobody else to take its exit status: each would stay as a zombie.
"""

from __future__ import annotations

import os
import subprocess
import threading
import weakref
from collections.abc import Sequence
from typing import Any

_lock = threading.Lock()
_ours: weakref.WeakSet[Process] = weakref.WeakSet()


class Process(subprocess.Popen[bytes]):
    """A child that whoever started it waits for. All that hotfolder starts are of this kind."""

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        self.pid = 0  # until it has one
        with _lock:
            _ours.add(self)
        try:
            super().__init__(command, **options)
        except BaseException:
            with _lock:
                _ours.discard(self)
            raise


def reap_orphans() -> int:
    """As process 1: take the exit status of all that ended and is nobody's. Gives their number. Part of the beat.

    The status of one of ours is noted in its Process, where it is looked for.
    """
    count = 0
    if os.getpid() != 1:
        return count
    with _lock:
        ours = {process.pid: process for process in _ours if getattr(process, "returncode", None) is None}
        if not all(ours):  # one is being started, which number it has is not known yet; the next beat comes soon
            return count
        while (ended := _ended()) is not None:
            if ended not in ours:
                os.waitpid(ended, 0)
                count += 1
            elif ours[ended].poll() is None:  # somebody waits for it right now
                break
    return count


def _ended() -> int | None:
    """A child that has ended and stays so until its status is taken."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid
