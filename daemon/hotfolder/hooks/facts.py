"""What hooks are told of a result: the facts as JSON, written into the outbox by the change that stores the result.

Without a hook that wants it nothing is looked up and nothing is written.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from hotfolder import paths
from hotfolder.index import failures, outbox, renditions, sources
from hotfolder.index.readers import Reader
from hotfolder.index.renditions import Made
from hotfolder.model import State
from hotfolder.store.names import rendition_path
from hotfolder.watches.site import Site

PAGE = 500
"""Images in one delivery of `batch_done`."""


def ready(connection: sqlite3.Connection, site: Site, source_id: int, path: bytes, was: bytes | None = None) -> None:
    """All renditions of a version are there. `was`: they, and the source, had another path before."""
    if site.hooks:
        facts = described(connection, site, source_id, path)
        if was is not None:
            facts["was"] = paths.named(site.root, was)["path"]
        _tell(connection, site, outbox.READY, path, facts)


def failed(connection: sqlite3.Connection, site: Site, path: bytes, reason: str, message: str) -> None:
    """The source went into quarantine."""
    if site.hooks:
        facts = _place(site, path) | {"error": {"reason": reason, "message": message}}
        _tell(connection, site, outbox.FAILED, path, facts)


def removed(connection: sqlite3.Connection, site: Site, source_id: int, path: bytes, now: bytes | None = None) -> None:
    """The source is gone. Called before its rows go; `now`: it was renamed to this."""
    if site.hooks:
        folder = paths.parent(path)
        gone = [_rendition(site, folder, each) for each in renditions.of(connection, source_id)]
        facts = _place(site, path) | {"renditions": gone, "kept": site.keep_deleted and now is None}
        if now is not None:
            facts["now"] = paths.named(site.root, now)["path"]
        _tell(connection, site, outbox.REMOVED, path, facts)


def folder_moved(connection: sqlite3.Connection, site: Site, old: bytes, new: bytes) -> None:
    """Any number of sources got another path at once: hooks are told to compare instead."""
    was, now = (paths.named(site.root, path)["path"] for path in (old, new))
    for hook in site.hooks:
        if hook.events & {outbox.READY, outbox.REMOVED}:
            outbox.resync(connection, hook.name, [site.name], time.time(), 0, f"the folder {was} was renamed to {now}")


def batch_page(connection: sqlite3.Connection, site: Site, hook: str, batch: str, page: int, pages: int) -> int:
    """Make the next page of what the hook has collected a delivery of `batch_done`; returns how many images it has."""
    rows = outbox.take_page(connection, hook, site.name, PAGE)
    items = [_item(connection, site, path, event) for path, event in rows]
    facts = {"batch": batch, "page": page, "pages": pages, "root": site.root, "output": site.output, "images": items}
    if items:
        outbox.put(connection, hook, outbox.BATCH_DONE, site.name, b"", facts)
    return len(items)


def described(connection: Reader, site: Site, source_id: int, path: bytes) -> dict[str, Any]:
    """A source and its renditions, with absolute paths."""
    version, known = sources.version(connection, source_id), sources.facts(connection, source_id)
    folder = paths.parent(path)
    return _place(site, path) | {
        "source": {
            "id": source_id,
            "bytes": version.size,
            "mtime_ns": str(version.mtime_ns),
            "hash": version.hash.hex() if version.hash else None,
            "format": known.format,
            "width": known.width,
            "height": known.height,
        },
        "renditions": [_rendition(site, folder, each) for each in renditions.of(connection, source_id)],
    }


def _item(connection: sqlite3.Connection, site: Site, path: bytes, event: str) -> dict[str, Any]:
    """One image of a batch, as it is by now."""
    row = sources.find(connection, site.id, path)
    if row is None:
        return {"event": outbox.REMOVED} | _place(site, path)
    if row.state is State.FAILED:
        why = failures.of(connection, row.id)
        return {"event": outbox.FAILED} | _place(site, path) | {"error": {"reason": why.reason, "message": why.message}}
    return {"event": event} | described(connection, site, row.id, path)


def _place(site: Site, path: bytes) -> dict[str, Any]:
    return paths.named(site.root, path) | {
        "relative": paths.named("", path)["path"],
        "root": site.root,
        "output": site.output,
    }


def _rendition(site: Site, folder: bytes, made: Made) -> dict[str, Any]:
    known = {"preset": made.preset, "width": made.width, "height": made.height, "bytes": made.bytes}
    if made.note == "kept":
        return known | {"path": None, "note": made.note}
    return known | paths.named(site.output, rendition_path(folder, made.area, made.name)) | {"note": made.note or None}


def _tell(connection: sqlite3.Connection, site: Site, event: str, path: bytes, facts: dict[str, Any]) -> None:
    for hook in site.hooks:
        if event in hook.events:
            outbox.put(connection, hook.name, event, site.name, path, facts)
        if outbox.BATCH_DONE in hook.events:
            outbox.collect(connection, hook.name, site.name, path, event)
