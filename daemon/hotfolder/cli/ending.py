"""How a command ends, whatever happens to it or to its output: one line, and an exit status by what kind it was.

A reader that has gone (`| head -1`) is no error: 0. An output that cannot be written is: 4. Ctrl-C: 130.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from hotfolder.cli.importing import INTERRUPTED, leave_at_once
from hotfolder.errors import Exit, HotfolderError
from hotfolder.paths import show

ERRORS = "hotfolder-names"
_OF_STREAMS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""Of an error that names no file: what writing to stdout may end with."""


def prepare() -> None:
    """Streams that take any text: what a terminal's encoding lacks is escaped, and so are bytes that are no text.

    A stream that the caller has closed becomes /dev/null: else the next file that is opened would take its number,
    and what is printed would be written into that.
    """
    codecs.register_error(ERRORS, _escape)
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            fd = os.open(os.devnull, os.O_RDWR)
            if fd != number:
                os.dup2(fd, number)
                os.close(fd)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors=ERRORS)  # type: ignore[union-attr]


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    r"""``\xNN`` for a byte of a name, as everywhere in hotfolder; ``\uNNNN`` for a letter that the encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return "".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else _escaped(c) for c in found), error.end


def _escaped(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode()


def tell(text: str) -> None:
    """Say something on the way: that the reader has gone does not stop the work."""
    try:
        typer.echo(text)
    except BrokenPipeError:
        _give_up(sys.stdout)


def _give_up(stream: TextIO) -> None:
    """What is still to be written there has no place, and Python would complain at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class BrokenOutput(Exception):
    """stdout cannot be written. Not an OSError: typer has its own thoughts about those."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class Commands(TyperGroup):
    """The commands of one group; while one runs, Ctrl-C is an exception that lets it put things in order."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _no_oserror():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        former = signal.getsignal(signal.SIGINT)
        if former is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with _no_oserror():
                return super().invoke(ctx)
        finally:
            leave_at_once()


@contextlib.contextmanager
def _no_oserror() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BrokenOutput(error) from error


def status_of(command: Callable[[], object]) -> int:
    """Run it, and say what went wrong."""
    status: int = Exit.OK
    try:
        try:
            command()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else Exit.OK
        sys.stdout.flush()
    except HotfolderError as error:
        status = int(error.exit)
        _say(str(error))
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenOutput as error:
        status = _broken(error.error, status)
    except OSError as error:
        status = _broken(error, status)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _give_up(stream)
    return status


def _broken(error: OSError, status: int) -> int:
    if isinstance(error, BrokenPipeError):
        return status
    subject = "the output cannot be written: " if error.errno in _OF_STREAMS else ""
    if error.filename is not None:
        name = error.filename if isinstance(error.filename, bytes) else os.fsencode(error.filename)
        subject = f"{show(name)}: "
    _say(f"{subject}{error.strerror or error}")
    return Exit.STOPPED_EARLY


def _say(text: str) -> None:
    try:
        typer.echo(f"hotfolder: {text}", err=True)
    except OSError:
        _give_up(sys.stderr)  # nobody to say it to: the status has to do
