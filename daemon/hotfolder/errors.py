"""Everything that can go wrong and that a user can understand, as one small tree.

A `Reason` is shared by quarantine, metrics, API and docs; an exception class knows the exit status it leads to.
Bugs are not in here: they stay what Python raised.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Exit(IntEnum):
    """Exit statuses of every command (the contract's table)."""

    OK = 0
    FAILED_IMAGES = 1
    USAGE = 2
    CANNOT_START = 3
    STOPPED_EARLY = 4
    TIMEOUT = 124
    """`wait` alone; the status of timeout(1)."""


class Owner(StrEnum):
    """Whose fault something is; it decides who suffers, and who waits."""

    IMAGE = "image"
    NAME = "name"
    OUTPUT = "output"
    ROOT = "root"
    MACHINE = "machine"
    OURSELVES = "ourselves"


class Reason(StrEnum):
    """Why an image failed. The text is what users see in `failures`, `/api/failures` and metric labels."""

    EMPTY = "empty"
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    UNSUPPORTED = "unsupported"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MUCH_MEMORY = "too_much_memory"
    NAME_TAKEN = "name_taken"
    BAD_NAME = "bad_name"
    WRITE_PROTECTED = "write_protected"
    NO_PERMISSION = "no_permission"
    NOT_FOUND = "not_found"
    BUSY = "busy"
    IO_ERROR = "io_error"
    OUTPUT_ERROR = "output_error"
    SHORTAGE = "shortage"
    UNREACHABLE = "unreachable"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    INTERNAL = "internal"

    @property
    def owner(self) -> Owner:
        """Whose fault it is."""
        return _OWNERS.get(self, Owner.IMAGE)

    @property
    def may_pass(self) -> bool:
        """True where waiting can help, so that the source is tried again before it counts as failed."""
        return self.innocent or self in _MAY_PASS

    @property
    def innocent(self) -> bool:
        """True where it means nothing against the image: it is tried for ever and never counts as failed."""
        return self.owner in _OTHERS

    @property
    def young_may_pass(self) -> bool:
        """True where the file may simply not be whole yet: tried again while it was seen to change lately."""
        return self in _YOUNG_MAY_PASS


_OWNERS = {
    Reason.NAME_TAKEN: Owner.NAME,
    Reason.BAD_NAME: Owner.NAME,
    Reason.WRITE_PROTECTED: Owner.NAME,
    Reason.BUSY: Owner.NAME,
    Reason.OUTPUT_ERROR: Owner.OUTPUT,
    Reason.UNREACHABLE: Owner.ROOT,
    Reason.SHORTAGE: Owner.MACHINE,
    Reason.INTERNAL: Owner.OURSELVES,
}
_OTHERS = frozenset({Owner.OUTPUT, Owner.ROOT, Owner.MACHINE})
_MAY_PASS = frozenset({Reason.BUSY, Reason.WRITE_PROTECTED, Reason.IO_ERROR})
_YOUNG_MAY_PASS = frozenset({Reason.EMPTY, Reason.NOT_AN_IMAGE, Reason.TRUNCATED, Reason.DAMAGED})


class HotfolderError(Exception):
    """Base of all that a user can cause or mend; its text is the whole message, without a traceback."""

    exit = Exit.USAGE


class ConfigError(HotfolderError):
    """The configuration is wrong; the text names file, key path, line, bad value and what is allowed."""


class UsageError(HotfolderError):
    """The command line asks for something that cannot be."""


class StartError(HotfolderError):
    """The daemon or a scan could not start: lock held, port taken, root missing, state on a network mount."""

    exit = Exit.CANNOT_START


class NotRunning(HotfolderError):
    """A command needs a running daemon and there is none."""

    exit = Exit.CANNOT_START


class StoppedEarly(HotfolderError):
    """Work ended before its end: disk full, root away."""

    exit = Exit.STOPPED_EARLY


class SourceError(HotfolderError):
    """One source cannot be processed. `message` states what was found, in words for its owner."""

    exit = Exit.FAILED_IMAGES

    def __init__(self, reason: Reason, message: str, *, decoder: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.decoder = decoder
        """Name and version of the decoder that gave up, e.g. ``pillow 13.0.0``; None where none was asked."""


class MissingExtra(HotfolderError):
    """The source's decoder is an extra that is not installed (skipped, no failure)."""

    exit = Exit.FAILED_IMAGES

    def __init__(self, extra: str, format_name: str) -> None:
        super().__init__(f"{format_name} needs the extra '{extra}': pip install 'hotfolder[{extra}]'")
        self.extra = extra
        self.format_name = format_name
