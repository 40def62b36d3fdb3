"""Whose fault an error of the system is: found from what was being done and from its number, and nowhere else.

The owner decides what happens. An image, or its name on the output, goes into quarantine, alone; what is wrong with an
output, a root or the machine means nothing against an image, which waits until it is well again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from hotfolder.errors import Owner, Reason, SourceError
from hotfolder.paths import show


class Operation(StrEnum):
    """What was being done when the error came."""

    READ = "read"
    """A source: opened, looked at, read."""
    REACH = "reach"
    """A root: opened, listed."""
    NAME = "name"
    """A file or folder of an output got a name that follows from a source's: made or renamed."""
    ALLOW = "allow"
    """One path of an output was denied, where its area takes others."""
    WRITE = "write"
    """All else on an output: opened, looked at, written, removed from."""
    START = "start"
    """A process or thread of our own."""


SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
AWAY = frozenset(
    getattr(errno, name)
    for name in (
        "ESTALE ENOTCONN ETIMEDOUT EHOSTDOWN EHOSTUNREACH ENETDOWN ENETUNREACH ENODEV ENXIO ECONNABORTED ECONNREFUSED "
        "ECONNRESET ENOMEDIUM EREMOTEIO ESHUTDOWN"
    ).split()
    if hasattr(errno, name)
)
"""What a mount reports that has gone away."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM})
_UNSPEAKABLE = frozenset({errno.EILSEQ, errno.EINVAL, errno.ENAMETOOLONG, errno.ENOENT})
_IN_THE_WAY = frozenset({errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP})
_IN_USE = frozenset({errno.EBUSY, errno.ETXTBSY})


class Unnamed(OSError):
    """A name was refused, while its folder and its file were there. `path`: what it was to be, below the output."""

    def __init__(self, error: OSError, path: bytes) -> None:
        super().__init__(error.errno, error.strerror or "", path)
        self.path = path


class Denied(Unnamed, PermissionError):
    """One path was denied (immutable, another user's …), while its output takes others."""


def owner(number: int | None, operation: Operation) -> Owner:
    """The one whose fault it is."""
    if number in SHORT or operation is Operation.START:
        return Owner.MACHINE
    if operation is Operation.NAME and number in _UNSPEAKABLE | _IN_THE_WAY | _IN_USE:
        return Owner.NAME
    if operation is Operation.ALLOW and number in _DENIED:
        return Owner.NAME
    if operation in (Operation.NAME, Operation.ALLOW, Operation.WRITE):
        return Owner.OUTPUT
    if operation is Operation.REACH or number in AWAY:
        return Owner.ROOT
    return Owner.IMAGE


def reason(number: int | None, operation: Operation) -> Reason:
    """What it is called in `failures`, metrics and the API."""
    match owner(number, operation):
        case Owner.MACHINE:
            return Reason.SHORTAGE
        case Owner.OUTPUT:
            return Reason.OUTPUT_ERROR
        case Owner.ROOT:
            return Reason.UNREACHABLE
        case Owner.NAME:
            if number in _DENIED:
                return Reason.WRITE_PROTECTED
            if number in _IN_USE:
                return Reason.BUSY
            return Reason.BAD_NAME if number in _UNSPEAKABLE else Reason.NAME_TAKEN
        case _:
            return Reason.NO_PERMISSION if number in _DENIED else Reason.IO_ERROR


def failure(error: OSError, operation: Operation, what: str) -> SourceError:
    """The error as one that can be told: `what` states what could not be done, to what."""
    if isinstance(error, Unnamed):
        operation = Operation.ALLOW if isinstance(error, Denied) else Operation.NAME
    found = reason(error.errno, operation)
    text = os.strerror(error.errno) if error.errno else str(error)
    if isinstance(error, Unnamed) and owner(error.errno, operation) is Owner.NAME:
        return SourceError(found, _of_name(error, found, text))
    return SourceError(found, f"{what}: {text}{_advice(error.errno, found)}")


def _of_name(error: Unnamed, found: Reason, text: str) -> str:
    where = show(error.path)
    if found is Reason.WRITE_PROTECTED:
        text = f"its rendition {where} may be neither written nor removed ({text}), though others beside it may"
        return f"{text}; look at its and its folder's owner, mode and attributes (lsattr)"
    if found is Reason.BUSY:
        return f"its rendition {where} is in use: {text}"
    if found is Reason.NAME_TAKEN:
        return f"something else stands in the way of its rendition {where} ({text}); rename one of the two"
    return f"the output's file system cannot hold the name {where} ({text}); rename the image or its folder"


def _advice(number: int | None, found: Reason) -> str:
    if number in _FULL:
        return "; free some space"
    if number in (errno.EMFILE, errno.ENFILE):
        return "; raise LimitNOFILE of the service"
    return "; check owner and mode: the daemon's user may not read it" if found is Reason.NO_PERMISSION else ""


@contextmanager
def during(operation: Operation, what: str) -> Iterator[None]:
    """Within it an error of the system is raised as a SourceError whose reason names its owner."""
    try:
        yield
    except OSError as error:
        raise failure(error, operation, what) from error
