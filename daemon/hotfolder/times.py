"""Times as text, by RFC 3339: UTC, to the millisecond."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """A time of our own clock, in seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def of_file(nanoseconds: int) -> str | None:
    """A time that a file has, in nanoseconds since 1970; None where the calendar (years 1 to 9999) does not hold it."""
    try:
        return rfc3339(nanoseconds / 1e9)
    except (ValueError, OverflowError, OSError):
        return None
