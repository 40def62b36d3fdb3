"""The values that travel between the parts, and the names of their states: frozen, small, touching nothing outside.

Paths are bytes, relative to the root of their watch, with ``/`` between parts; the root itself is ``b""``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias


class Lane(StrEnum):
    """The two lanes of the queue: fresh drops overtake the backlog of a scan."""

    FRESH = "fresh"
    BACKLOG = "backlog"


class Held(StrEnum):
    """What can be paused: all but fresh drops, or everything."""

    BACKLOG = "backlog"
    ALL = "all"


class Rank(IntEnum):
    """`priority` of a watch; the lower the sooner."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class WatchState(StrEnum):
    """How a watch is, in one word."""

    OK = "ok"
    POLLING = "polling"
    DEGRADED = "degraded"
    OFFLINE = "offline"


class Kind(StrEnum):
    """What an event reports, in the words of hotfolder_events_total."""

    CREATED = "created"
    CLOSED = "closed"
    ATTRIB = "attrib"
    DELETED = "deleted"
    MOVED = "moved"
    OVERFLOW = "overflow"


class State(IntEnum):
    """What the index knows of a source. PENDING waits for work (again), FAILED is in quarantine."""

    PENDING = 0
    DONE = 1
    FAILED = 2
    SKIPPED = 3


Backend = Literal["inotify", "polling", "hybrid"]
"""How changes on a mount come to be known."""
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]
HookEvent = Literal["ready", "failed", "removed", "batch_done"]
"""What hooks can be told of."""
if TYPE_CHECKING:
    RankName: TypeAlias = str
    StateName: TypeAlias = str
    HeldName: TypeAlias = str
else:
    RankName = Literal[tuple(rank.name.lower() for rank in reversed(Rank))]
    StateName = Literal[tuple(state.name.lower() for state in State)]
    HeldName = Literal[tuple(Held)]

RACY_SECONDS = 2.0
"""The coarsest timestamps of any file system (FAT)."""


@dataclass(frozen=True, slots=True)
class Version:
    """A source's state at one moment; `hash` is the xxh3-128 of its bytes where they have been read."""

    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int
    hash: bytes | None = None
    volume: str = ""
    """The file system and the root folder that it was read from (see pipeline/judge.py); empty where nobody looked."""
    racy: bool = False
    """It was read so soon after its own mtime that another change may have left the same one."""

    @classmethod
    def of(cls, stat: os.stat_result, volume: str = "") -> Version:
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns, volume=volume)

    def same_stat(self, other: Version) -> bool:
        """Size, mtime and inode agree. ctime is left out: a chmod or a hard-link backup changes it alone."""
        return (self.size, self.mtime_ns, self.inode) == (other.size, other.mtime_ns, other.inode)

    def same_moment(self, other: Version) -> bool:
        """Nothing at all happened to the file between the two looks."""
        return self.same_stat(other) and self.ctime_ns == other.ctime_ns

    def hashed(self, digest: bytes) -> Version:
        return replace(self, hash=digest)

    def read_at(self, moment: float) -> Version:
        """Its bytes were read from then on, in seconds since 1970."""
        return replace(self, racy=abs(moment - self.mtime_ns / 1e9) < RACY_SECONDS)


@dataclass(frozen=True, slots=True)
class Job:
    """One source that waits for a worker. Times are of time.monotonic()."""

    watch: str
    path: bytes
    lane: Lane
    since: float
    """Last event, or first poll, that announced this version."""
    queued: float
    seen_changing: float | None = None
    """When this process last saw the file change; None where a walk found it at rest."""
    closed: bool = False
    """A writer closed it, or a rename brought it: the bytes may be new even where the version looks equal."""
    rested: bool = False
    """Found at rest by a walk: whole, unless someone has it open for writing."""
    look: Version | None = None
    """What an earlier look, at least the quiet time ago, has seen; an equal one now means that it is whole."""
    waits: int = 0
    """How many looks in a row have found it unfinished."""
    deleted: bool = False
    """An event, or two walks, said that it went: where it is not there, its renditions may go."""
    unwanted: bool = False
    """By the rules it is no source any more: its renditions go, whether it is there or not."""
    ordered: bool = False
    """Looked at for an order alone: it takes turns with the backlog, and goes where the order is cancelled."""
    hint: bytes | None = None
    """The relative path that the file had before, where a rename announced it."""

    @property
    def key(self) -> tuple[str, bytes]:
        return (self.watch, self.path)


class Result(StrEnum):
    """How a job ended. DONE made renditions; REUSED found, moved or re-keyed them and decoded nothing."""

    DONE = "done"
    REUSED = "reused"
    FAILED = "failed"
    RETRIED = "retried"
    SKIPPED = "skipped"
    GONE = "gone"
    CHANGED = "changed"


COUNTED = (Result.DONE, Result.FAILED, Result.RETRIED, Result.SKIPPED)
"""Those that hotfolder_jobs_total counts: something became of the source."""
