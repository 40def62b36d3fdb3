"""Where a job leaves work: whatever raises there, all that it held is let go of, and its path is looked at again."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hotfolder.model import Job, Lane, Outcome, Result
from hotfolder.pipeline.admission import Admission
from hotfolder.pipeline.work import Finding
from hotfolder.pool.oversight import Oversight
from hotfolder.queue.queue import JobQueue
from hotfolder.store.inflight import InFlight
from hotfolder.telemetry import logs
from hotfolder.watches.site import Gate

STEPS = ("suspects", "claim", "note", "gate", "tell")
SLOTS = 4


class Bench:
    """The admission between a real queue and real notes. Each step of an end is noted in `done`; one of them raises."""

    def __init__(self, base: Path, broken: str | None) -> None:
        self.done: list[str] = []
        self.broken = broken
        self.queue = JobQueue(10)
        self.notes = InFlight(str(base / "inflight"), SLOTS).open()
        self.gate = Gate()
        leaves = {"note": self.notes.leave, "gate": self.gate.leave}
        self.notes.leave = lambda slot: self.step("note", leaves["note"], slot)  # type: ignore[method-assign]
        self.gate.leave = lambda: self.step("gate", leaves["gate"])  # type: ignore[method-assign]
        self.site: Any = SimpleNamespace(id=1, gate=self.gate, retired=threading.Event())
        renderer: Any = SimpleNamespace(suspects=SimpleNamespace(clear=lambda key: self.step("suspects")))
        self.stored: Future[object] = Future()
        index: Any = SimpleNamespace(write=lambda change: self.stored)
        settings: Any = SimpleNamespace(job_timeout=60.0)
        report: Any = SimpleNamespace(ended=lambda job, outcome: self.step("tell"))
        oversight = Oversight(settings, lambda thread: None)
        self.admission = Admission(index, self.queue, self.notes, oversight, renderer, report)

    def step(self, name: str, real: Any = None, *arguments: Any) -> None:
        self.done.append(name)
        if real is not None:
            real(*arguments)
        if name == self.broken:
            self.broken = None
            raise RuntimeError("injected")

    def work(self, change: Any = None) -> Job:
        job = self.queue.take(5.0)
        assert job is not None
        entry = self.admission.enter(self.site, job)
        entry.claim = SimpleNamespace(release=lambda: self.step("claim"))  # type: ignore[assignment]
        self.admission.leave(entry, Finding(Outcome(Result.DONE), change))
        return job


@pytest.mark.parametrize("broken", STEPS)
def test_what_raises_at_the_end_of_a_job(broken: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, broken)
    before = sum(logs.internal_errors().values())
    bench.queue.offer(Job("w", b"a.jpg", Lane.FRESH, 0.0, 0.0))
    bench.work()
    assert sorted(bench.done) == sorted(STEPS)
    assert sum(logs.internal_errors().values()) == before + 1
    assert bench.gate._inside == 0
    assert len(bench.notes._free) == SLOTS
    again = bench.work()  # put back, and no longer in work
    assert (again.key, again.waits) == (("w", b"a.jpg"), 1)
    assert bench.queue.take(0.0) is None
    assert bench.queue.busy("w") == 0


def test_what_ends_well_is_not_looked_at_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, None)
    bench.queue.offer(Job("w", b"a.jpg", Lane.FRESH, 0.0, 0.0))
    bench.work()
    assert bench.queue.take(0.0) is None


def test_all_is_held_until_the_commit(tmp_path: Path) -> None:
    """A kill before it has to find the note of what was published; and nobody is told of what does not stand yet."""
    bench = Bench(tmp_path, None)
    bench.queue.offer(Job("w", b"a.jpg", Lane.FRESH, 0.0, 0.0))
    bench.work(change=lambda connection: 1)
    assert bench.done == []
    assert [note.path for note in InFlight(str(tmp_path / "inflight"), SLOTS).open().leftovers] == [b"a.jpg"]
    bench.stored.set_result(1)
    assert sorted(bench.done) == sorted(STEPS)
    assert InFlight(str(tmp_path / "inflight"), SLOTS).open().leftovers == ()
