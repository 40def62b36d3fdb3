"""One job on its way: what is known of its source so far, and what came of it."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from hotfolder import paths
from hotfolder.index.database import Change
from hotfolder.index.sources import Row
from hotfolder.model import Job, State, Version
from hotfolder.outcome import Outcome
from hotfolder.pipeline.claims import Claim
from hotfolder.pool.memory import Held
from hotfolder.pool.oversight import Task
from hotfolder.watches.site import Site

YOUNG_SECONDS = 60.0
"""What was seen to change less than this ago and is damaged may simply not be whole yet."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a job: the outcome to report, and the change of the index that has to be committed first."""

    outcome: Outcome
    change: Change | None = None


@dataclass(slots=True, eq=False)
class Work:
    """A step fills in what it finds out; those behind it rely on that."""

    job: Job
    site: Site
    """What is wanted of the source: by its watch, or by one order."""
    task: Task
    slot: int
    """Of its note among those in flight."""
    began: float
    place: ExitStack
    """Its note and its place among those in flight: until its thread has ended."""
    turn: ExitStack
    """Its way through the gate: until its path is free."""
    row: Row | None = None
    """What the index knows."""
    fd: int = -1
    """The open source; `files` closes it."""
    version: Version | None = None
    """What lies there, with its hash once it has been read. A failure speaks of this version."""
    data: bytes = b""
    wanted: dict[str, str] | None = None
    """What has to be made: preset, or ANALYSIS → the plan to make it by. None: nobody has looked yet."""
    held: Held | None = None
    """Its memory."""
    claim: Claim | None = None
    """The names of renditions that it holds."""
    files: ExitStack = field(default_factory=ExitStack)

    @property
    def folder(self) -> bytes:
        return paths.parent(self.job.path)

    @property
    def name(self) -> bytes:
        return paths.name(self.job.path)

    @property
    def is_new(self) -> bool:
        """Nothing has been made of it yet: it may be one that was called otherwise before."""
        return self.row is None or (self.row.state is State.PENDING and self.row.version.hash is None)

    @property
    def is_settled(self) -> bool:
        """Its row waits for nothing, and speaks of all that is wanted."""
        return self.row is not None and self.row.state is not State.PENDING and self.row.made == self.site.want

    @property
    def is_young(self) -> bool:
        """It was seen to change lately, so that it may not be whole yet."""
        seen = self.job.seen_changing is not None and time.monotonic() - self.job.seen_changing < YOUNG_SECONDS
        return seen or (self.row is not None and self.row.young)

    @property
    def at(self) -> Version:
        """The version that lies there; only behind the step that opens it."""
        assert self.version is not None
        return self.version

    @property
    def memory(self) -> Held:
        """What it holds; only within the steps that have memory."""
        assert self.held is not None
        return self.held

    def keep(self, fd: int) -> int:
        """Close this descriptor when the job ends."""
        self.files.callback(os.close, fd)
        return fd
