"""Structured logs: one line an event, as text for people or JSON for machines, never more of a kind than can be read.

An event has a stable name and keys; paths are bytes and are escaped here, so that no file name can forge a line.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO, get_args

from hotfolder.model import LogLevel
from hotfolder.paths import show

RATE_SECONDS = 10.0
RATE_LINES = {logging.DEBUG: 5000, logging.INFO: 2000, logging.WARNING: 50, logging.ERROR: 50}
"""Lines of one event in RATE_SECONDS; what is beyond is counted and said in the event's next line."""

_internal_lock = threading.Lock()
_internal: Counter[str] = Counter()

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_FOREIGN = ("watchdog", "uvicorn", "asyncio", "concurrent.futures", "py.warnings")
LEVELS = {name: getattr(logging, name.upper()) for name in get_args(LogLevel)}


def count_internal(where: str) -> None:
    """One more error of our own (see bugs.py)."""
    with _internal_lock:
        _internal[where] += 1


def internal_errors() -> dict[str, int]:
    """How many errors of our own this process has seen, by where."""
    with _internal_lock:
        return dict(_internal)


class Logger:
    """Thin face of a standard logger: ``log.info("ready", watch="inbox", path=b"a.jpg", seconds=0.12)``."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"hotfolder.{name}")

    def debug(self, event: str, /, **keys: Any) -> None:
        self._say(logging.DEBUG, event, keys)

    def info(self, event: str, /, **keys: Any) -> None:
        self._say(logging.INFO, event, keys)

    def warning(self, event: str, /, **keys: Any) -> None:
        self._say(logging.WARNING, event, keys)

    def error(self, event: str, /, **keys: Any) -> None:
        self._say(logging.ERROR, event, keys)

    def _say(self, level: int, event: str, keys: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"keys": keys})


def get(name: str) -> Logger:
    return Logger(name)


class RateLimit(logging.Filter):
    """Lets RATE_LINES of an event and level through in RATE_SECONDS and counts the others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, int], tuple[float, int, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = (record.getMessage() if not hasattr(record, "keys") else record.msg, record.levelno)
        now = self._clock()
        with self._lock:
            if len(self._windows) > 1000:
                self._windows.clear()  # foreign messages may carry anything; ours are a few dozen
            began, lines, left_out = self._windows.get(key, (now, 0, 0))
            if now - began >= RATE_SECONDS:
                began, lines = now, 0
            if lines >= RATE_LINES.get(record.levelno, 50):
                self._windows[key] = (began, lines, left_out + 1)
                return False
            self._windows[key] = (began, lines + 1, 0)
        record.left_out = left_out
        return True


def plain(value: Any) -> Any:
    """A value as JSON can carry it: bytes paths escaped, exceptions as ``Type: text``."""
    if isinstance(value, bytes):
        return show(value)
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, str | int | bool) or value is None:
        return value
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value)


def _keys(record: logging.LogRecord) -> dict[str, Any]:
    keys = dict(getattr(record, "keys", {}))
    if left_out := getattr(record, "left_out", 0):
        keys["left_out"] = left_out
    if record.exc_info and record.exc_info[1] is not None:
        keys.setdefault("error", record.exc_info[1])
    return keys


def trace(error: BaseException) -> str:
    """Its traceback, as Python would print it."""
    return "".join(traceback.format_exception(error))


def _trace(keys: dict[str, Any]) -> str:
    return next((trace(value) for value in keys.values() if isinstance(value, BaseException)), "")


class TextFormatter(logging.Formatter):
    """For people: ``12:03:04 info  ready inbox a/b.jpg seconds=0.12``; a traceback follows in lines that are set in."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        keys = _keys(record)
        below = [f"    {_clean(line)}" for line in str(keys.pop("trace", "")).splitlines()]
        words = [_clean(record.getMessage())]
        words += [_clean(str(plain(keys.pop(name)))) for name in ("watch", "path") if name in keys]
        words += [f"{name}={_quoted(plain(value))}" for name, value in keys.items()]
        if self._journal:
            mark = f"<{_PRIORITY.get(record.levelno, 6)}>"
            return "\n".join(mark + line for line in (" ".join(words), *below))
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        return "\n".join((f"{clock} {record.levelname.lower():7} {' '.join(words)}", *below))


def _clean(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _quoted(value: Any) -> str:
    text = _clean(str(value))
    return f'"{text}"' if " " in text or not text else text


class JsonFormatter(logging.Formatter):
    """For machines: one object a line; a path that is not UTF-8 has `path_b64`, too."""

    def format(self, record: logging.LogRecord) -> str:
        keys = _keys(record)
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {"ts": moment, "level": record.levelname.lower(), "event": record.getMessage()}
        line["logger"] = record.name.removeprefix("hotfolder.")
        for name, value in keys.items():
            line[name] = plain(value)
            if isinstance(value, bytes) and not _is_utf8(value):
                line[f"{name}_b64"] = base64.b64encode(value).decode()
        if record.levelno >= logging.ERROR and (trace := _trace(keys)):
            line["trace"] = trace
        return json.dumps(line, ensure_ascii=False)


class _Handler(logging.StreamHandler[TextIO]):
    """A line that cannot be written (standard error was closed) is counted: nobody could read a word about it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        count_internal("log")


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def hush_libraries() -> None:
    """Let only Python write to standard error: C libraries (libtiff, OpenCV) say there what they think of a broken
    picture, thousands of lines of it, past every format and limit of rate; what matters becomes a SourceError.
    """
    if sys.stderr is None:  # closed by whoever started us
        return
    sys.stderr.flush()
    try:
        kept = os.dup(sys.stderr.fileno())
    except (OSError, ValueError):  # it is no file: nothing of theirs could reach it
        return
    sys.stderr = os.fdopen(kept, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, 2)
    os.close(null)


def setup(level: str, style: str, stream: TextIO | None = None) -> None:
    """Send all logs, ours and those of the libraries that we run, to `stream` (standard error)."""
    handler = _Handler(stream or sys.stderr)
    journal = "JOURNAL_STREAM" in os.environ
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter(journal=journal))
    handler.addFilter(RateLimit())
    ours = logging.getLogger("hotfolder")
    ours.handlers[:] = [handler]
    ours.setLevel(LEVELS[level])
    ours.propagate = False
    for name in _FOREIGN:
        foreign = logging.getLogger(name)
        foreign.handlers[:] = [handler]
        foreign.setLevel(logging.WARNING)
        foreign.propagate = False
    # Pillow warns of each odd tag; what matters of it becomes a SourceError.
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    # watchdog logs each overflow itself; we count them, and log the first.
    logging.getLogger("watchdog.observers.inotify_c").setLevel(logging.ERROR)
