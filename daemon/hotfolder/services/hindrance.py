"""What keeps an image from being worked on at the moment, in words for whoever waits for it."""

from __future__ import annotations

import time

from hotfolder import times
from hotfolder.engine import Engine
from hotfolder.index import listing
from hotfolder.index.sources import Row
from hotfolder.model import Lane, State
from hotfolder.services.offline import Knowing
from hotfolder.watcher import condition
from hotfolder.watcher.watcher import Watcher


def of_watch(watcher: Watcher, *subjects: str) -> str | None:
    """One of these is not as it must be; None where they are."""
    troubles = watcher.condition.troubles
    found = next((troubles[subject] for subject in subjects if subject in troubles), None)
    return None if found is None else f"it waits until its watch is well again: {found}"


def of(engine: Engine, watcher: Watcher, path: bytes, row: Row | None) -> str | None:
    """Why an image waits; None where it is simply not its turn yet, or not whole."""
    if (trouble := of_watch(watcher, condition.ROOT, condition.OUTPUT)) is not None:
        return trouble
    name = watcher.config.name
    lanes = [lane for lane in Lane if engine.queue.holds_back(lane, name)]
    if len(lanes) == len(Lane):
        return "it waits until what is paused goes on: hotfolder resume"
    if row is None or row.state is not State.PENDING or watcher.outstanding.knows(path):
        return None
    if (late := put_off(engine, row)) is not None:
        return late
    if Lane.BACKLOG in lanes:
        window = engine.holds.state
        closed = None if window.window_open else f"it waits for the window of the backlog, {window.window}"
        return closed or "it waits in the backlog, which is paused: hotfolder resume"
    return None


def put_off(known: Knowing, row: Row | None) -> str | None:
    """When an image that is put off is tried again, in words; None where it is not."""
    at = None if row is None else next_try(known, row)
    return None if at is None else f"it is put off: next try at {at}"


def next_try(known: Knowing, row: Row) -> str | None:
    """When an image that is put off is tried again; None where it is not."""
    at = listing.retry_at(known.index.read(), row.id)
    return times.rfc3339(at) if row.state is State.PENDING and at > time.time() else None
