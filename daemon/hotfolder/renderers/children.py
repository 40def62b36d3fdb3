"""Helper processes that decode what may kill or hang its decoder: kept and used again, ended at the limit of time.

One picture at a time in each; that is how a death names its culprit. See imaging/helper.py for what they say.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from hotfolder import faults, imaging
from hotfolder.errors import MissingExtra, Reason, SourceError
from hotfolder.faults import Operation
from hotfolder.imaging import messages
from hotfolder.pool.memory import Closed
from hotfolder.pool.owntime import OwnTime
from hotfolder.processes import Process
from hotfolder.telemetry import logs
from hotfolder.watches.settings import Settings

LOOK_SECONDS = 0.25
IDLE_SECONDS = 60.0
"""A helper that was not needed for so long is ended."""
START_SECONDS = 30.0
ALLOCATOR = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Large pages where the system has them: a decoder takes a picture's memory anew each time, and the first touch of
small ones is a tenth of its work."""

log = logs.get("working")


class Died(SourceError):
    """The helper's process ended while it had this picture."""

    def __init__(self, status: int) -> None:
        self.killed = status == -signal.SIGKILL
        """By somebody, or for want of memory: it may not have been the picture."""
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        hint = ", perhaps for want of memory" if self.killed else ""
        super().__init__(Reason.CRASHED, f"the process {how} while decoding it{hint}")


class Child:
    """One helper process; not for two threads at once. One that cannot be started is the machine's fault."""

    def __init__(self, job_timeout: float) -> None:
        self.job_timeout = job_timeout
        with faults.during(Operation.START, "a helper process cannot be started"):
            self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        life, self._life = os.pipe()
        command = [sys.executable, "-m", "hotfolder.imaging.helper", str(theirs.fileno()), str(life)]
        try:
            # A session of its own: a terminal's Ctrl-C reaches the parent alone.
            self._process = Process(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=sys.stderr,
                pass_fds=(theirs.fileno(), life),
                start_new_session=True,
                env=ALLOCATOR | os.environ,
            )
        except BaseException:
            os.close(self._life)
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(life)
        self._socket = ours
        self.rested_since = time.monotonic()
        try:
            ready = self._wait(START_SECONDS)
        except SourceError as error:
            raise OSError(f"it was not ready within {START_SECONDS:g} s") from error
        if ready is None:
            raise OSError(f"it ended with status {self.end()}")

    def ask(self, question: dict[str, Any], files: Sequence[int] = ()) -> dict[str, Any]:
        """Say one thing and wait for the answer. Raises Died, and SourceError(TIMEOUT) at the limit of time."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # dead: the answer will say so
            messages.send(self._socket, question, files)
        answer = self._wait(self.job_timeout)
        if answer is None:
            status = self.end()
            raise Died(status if status is not None else -signal.SIGKILL)
        return _checked(answer)

    def tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            messages.send(self._socket, message)

    def _wait(self, limit: float) -> dict[str, Any] | None:
        """The next message; None where the process has died."""
        spent = OwnTime(process=self._process.pid)
        while not select.select([self._socket], [], [], LOOK_SECONDS)[0]:
            if spent.look() > limit:
                self.end(kill=True)
                message = f"decoding took more than pool.job_timeout = {limit:g} s"
                raise SourceError(Reason.TIMEOUT, message)
        try:
            return messages.receive(self._socket)[0]
        except ConnectionResetError:
            return None

    def end(self, *, kill: bool = False) -> int | None:
        """Close it; returns its exit status, negative for a signal. A killed one may stay for a disk it waits for."""
        self._socket.close()
        with contextlib.suppress(OSError):
            os.close(self._life)
            self._life = -1
        if kill:
            self._process.kill()
        try:
            return self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return None

    @property
    def pid(self) -> int:
        return self._process.pid


class Children:
    """All helpers of this process: as many as are used at once, kept for a while."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._free: list[Child] = []
        self._used: set[Child] = set()
        self._closed = False

    @contextlib.contextmanager
    def borrow(self) -> Iterator[Child]:
        """A helper for one picture. Raises Closed when the program ends, also for one who was killed by that."""
        with self._lock:
            if self._closed:
                raise Closed
            child = self._free.pop() if self._free else None
        if child is None:
            child = Child(self._settings.job_timeout)
        child.job_timeout = self._settings.job_timeout
        with self._lock:
            self._used.add(child)
        alive = False
        try:
            yield child
            alive = True
        except (MissingExtra, OSError):
            alive = True
            raise
        except SourceError as error:
            if self._closed:
                raise Closed from error
            alive = error.reason not in (Reason.CRASHED, Reason.TIMEOUT)
            raise
        finally:
            self._give_back(child, alive=alive)

    def _give_back(self, child: Child, *, alive: bool) -> None:
        with self._lock:
            self._used.discard(child)
            if alive and not self._closed:
                child.rested_since = time.monotonic()
                self._free.append(child)
                return
        child.end(kill=True)

    def trim(self) -> None:
        """End those that were not needed for a while."""
        before = time.monotonic() - IDLE_SECONDS
        with self._lock:
            old = [child for child in self._free if child.rested_since < before]
            self._free = [child for child in self._free if child not in old]
        for child in old:
            child.end()

    @property
    def count(self) -> int:
        with self._lock:
            return len(self._free) + len(self._used)

    def close(self) -> None:
        """End all, those at work, too: their pictures are looked at again by the next start."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
            used = list(self._used)
        for child in used:
            os.kill(child.pid, signal.SIGKILL)  # its borrower reaps it
        for child in free:
            child.end()


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    """Raises what the helper met as if it had happened here."""
    if error := answer.get("error"):
        raise SourceError(Reason(error["reason"]), error["message"], decoder=error["decoder"])
    if "missing" in answer:
        raise MissingExtra(answer["missing"], answer["format"])
    if "os_error" in answer:
        raise OSError(answer["os_error"], os.strerror(answer["os_error"]))
    return answer


def rendered(answer: dict[str, Any]) -> imaging.Rendered:
    """What a helper made, from its answer."""
    fields = answer["rendered"]
    outputs = tuple(imaging.Rendition(**output) for output in fields["outputs"])
    record = imaging.Record.from_dict(fields["record"]) if fields["record"] else None
    return imaging.Rendered(**{**fields, "outputs": outputs, "notes": tuple(fields["notes"]), "record": record})
