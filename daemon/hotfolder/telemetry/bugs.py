"""What should not have happened: an error of our own is logged with its traceback and counted, wherever it came up.

Nothing here raises. Loops, callbacks and hooks of the interpreter all end in `report`.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from hotfolder.telemetry import logs

T = TypeVar("T")

LIBRARIES = {
    "concurrent.futures": "callback",
    "asyncio": "http",
    "uvicorn.error": "http",
    "watchdog.observers": "inotify",
    "websockets.server": "http",
}
"""Loggers to which libraries hand the exceptions that they catch, and where those count."""

log = logs.get("bugs")


def report(where: str, error: BaseException, **keys: Any) -> None:
    """Log and count an error that nobody can have caused but we. `where`: the label of its metric."""
    logs.count_internal(where)
    log.error("internal_error", where=where, **keys, error=error, trace=logs.trace(error))


@contextmanager
def guarded(where: str, **keys: Any) -> Iterator[None]:
    """Whatever is raised within is reported, and ends no more than this block."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - SystemExit, too: no thread but the main one may end the program
        report(where, error, **keys)


def did(where: str, step: Callable[[], object], **keys: Any) -> bool:
    """Do it; False, and reported, where it raised."""
    with guarded(where, **keys):
        step()
        return True
    return False


def callback(where: str, function: Callable[[T], object]) -> Callable[[T], None]:
    """For a future's `add_done_callback`: the thread that completes the future belongs to someone else."""

    def call(done: T) -> None:
        with guarded(where):
            function(done)

    return call


def install() -> None:
    """Report what would else end in Python's own words on standard error, or nowhere. For a whole process."""
    threading.excepthook = _of_a_thread
    sys.unraisablehook = _unraisable
    sys.excepthook = _of_the_program
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        if not any(isinstance(each, _FromLibrary) for each in logger.filters):
            logger.addFilter(_FromLibrary())


def _of_a_thread(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread is not None else "?"
    report("thread", args.exc_value or args.exc_type(), thread=name)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    """From a finalizer, an atexit callback and the like."""
    report("interpreter", args.exc_value or args.exc_type(), message=args.err_msg or "", object=repr(args.object))


def _of_the_program(kind: type[BaseException], error: BaseException, trace: object) -> None:
    if not issubclass(kind, Exception):
        sys.__excepthook__(kind, error, trace)  # type: ignore[arg-type]
        return
    report("main", error)


class _FromLibrary(logging.Filter):
    """Counts what a library caught and logged, and gives it the form of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.ERROR or not record.exc_info or record.exc_info[1] is None:
            return True
        error = record.exc_info[1]
        report(LIBRARIES[record.name], error, message=record.getMessage().strip())
        return False
