"""Durations, sizes, shares and times of day as people write them. Each error states what is allowed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_COUNTS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(rf"{_NUMBER}\s*(ms|s|m|h|d)")
_SIZE = re.compile(rf"{_NUMBER}\s*(B|kB|MB|GB|KiB|MiB|GiB)")
_COUNT = re.compile(rf"{_NUMBER}\s*(k|M|G|)")
_SHARE = re.compile(rf"{_NUMBER}\s*%")
_DAILY = re.compile(r"daily@([01]\d|2[0-3]):([0-5]\d)")
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_MODE = re.compile(r"0?[0-7]{3}")

DURATION_PATTERN = r"^\d+(\.\d+)?\s*(ms|s|m|h|d)$"
SIZE_PATTERN = r"^\d+(\.\d+)?\s*(B|kB|MB|GB|KiB|MiB|GiB)$"
COUNT_PATTERN = r"^\d+(\.\d+)?\s*[kMG]?$"
WINDOW_PATTERN = f"^{_WINDOW.pattern}$"
SHARE_PATTERN = r"^\d+(\.\d+)?\s*%$"


SIZE_MAX = 9 * 10**18
"""What 64 bits hold."""


@dataclass(frozen=True, slots=True)
class DailyAt:
    """A time of day, local."""

    hour: int
    minute: int

    def __str__(self) -> str:
        return f"daily@{self.hour:02}:{self.minute:02}"


@dataclass(frozen=True, slots=True)
class Window:
    """From one time of day to another, by the clock on the wall; over midnight where it ends before it begins.

    On the days on which clocks are changed it is as much shorter or longer as the night is.
    """

    begin: time
    end: time

    def contains(self, moment: time) -> bool:
        if self.begin < self.end:
            return self.begin <= moment < self.end
        return moment >= self.begin or moment < self.end

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M}"


def duration(value: object) -> float:
    """Seconds. Raises ValueError for anything but text such as ``500ms`` or ``6h``; 0 may stand alone."""
    if value == 0 and not isinstance(value, bool):
        return 0.0
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("is not a duration; allowed: a number with ms, s, m, h or d, such as 500ms")
    return float(found[1]) * _SECONDS[found[2]]


def interval(value: object) -> float | DailyAt | None:
    """A duration, ``never`` (None) or ``daily@03:30``."""
    if value == "never":
        return None
    if isinstance(value, str) and (found := _DAILY.fullmatch(value)):
        return DailyAt(int(found[1]), int(found[2]))
    try:
        return duration(value)
    except ValueError:
        raise ValueError("is not an interval; allowed: a duration such as 6h, never, or daily@03:30") from None


def window(value: object) -> Window | None:
    """A time of day to another, such as ``22:00-06:00``; null: no window, always."""
    if value is None:
        return None
    found = _WINDOW.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('is not a window; allowed: two times of day in quotes, such as "22:00-06:00"')
    begin, end = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    if begin == end:
        raise ValueError("begins when it ends; leave the window out where the backlog may always be worked on")
    return Window(begin, end)


def size(value: object) -> int:
    """Bytes, from text such as ``100MB`` (10⁶) or ``1GiB`` (2³⁰).

    Pydantic's ByteSize takes bare numbers, ``1.5 gib`` and ``0``, too, and its message names no unit.
    """
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("is not a size; allowed: a number with B, kB, MB, GB, KiB, MiB or GiB, such as 100MB")
    if (number := round(float(found[1]) * _BYTES[found[2]])) > SIZE_MAX:
        raise ValueError("is larger than any disk; allowed: less than 9000000000GB")
    return number


def count(value: object) -> int:
    """A number of pixels, as a whole number or text such as ``250M``."""
    found = _COUNT.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if found is None or (number := round(float(found[1]) * _COUNTS[found[2]])) < 1:
        raise ValueError("is not a count; allowed: a whole number, or one with k, M or G, such as 250M")
    return number


def share(value: object) -> float:
    """A part of the whole, 0–1, from text such as ``20%``."""
    found = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if found is None or float(found[1]) > 100:
        raise ValueError("is not a share; allowed: 0% to 100%")
    return float(found[1]) / 100


def mode(value: object) -> int:
    """Permission bits from text such as ``0644``; a bare number is refused, since YAML reads 0644 as 420."""
    if not isinstance(value, str) or _MODE.fullmatch(value) is None:
        raise ValueError('is not a mode; allowed: three octal digits in quotes, such as "0644" (unquoted it is 420)')
    return int(value, 8)


def show_duration(seconds: float) -> str:
    """The shortest text for this duration: 21600.0 is ``6h``."""
    for unit in ("d", "h", "m", "s"):
        number = seconds / _SECONDS[unit]
        if number >= 1 and number == int(number):
            return f"{int(number)}{unit}"
    return f"{seconds * 1000:g}ms"


def show_share(part: float) -> str:
    """0.03 is ``3%``."""
    return f"{part * 100:g}%"


def show_size(number: int) -> str:
    """The shortest exact text: 10⁹ is ``1GB``, 2³⁰ is ``1GiB``."""
    for unit in ("GB", "GiB", "MB", "MiB", "kB", "KiB"):
        if number >= _BYTES[unit] and number % _BYTES[unit] == 0:
            return f"{number // _BYTES[unit]}{unit}"
    return f"{number}B"
