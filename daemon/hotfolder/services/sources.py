"""What is known: sources in pages, and one source with all that was made of it."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from hotfolder import paths, times
from hotfolder.engine import Engine
from hotfolder.imaging.record import Record
from hotfolder.index import analyses, listing, renditions, report
from hotfolder.index.listing import Filter, Listed, Position
from hotfolder.index.readers import Reader
from hotfolder.index.renditions import Made
from hotfolder.model import State
from hotfolder.services import naming
from hotfolder.services.answers import AbsentText, Answer, Place
from hotfolder.services.errors import Invalid, NotFound
from hotfolder.store.layout import rendition_path


class Source(Place):
    """One source; its path is relative to the root of its watch. `reason`: why it is in quarantine."""

    id: int
    watch: str | None
    state: str
    format: str | None
    width: int
    height: int
    bytes: int
    done_at: str | None
    reason: str | None


class SourcePage(Answer):
    """The newest first. `next` is the `cursor` of the page behind this one; `total` is null where a text is sought."""

    sources: list[Source]
    next: str | None
    total: int | None


class SourceVersion(Answer):
    """What is known of the bytes that were last looked at. The hash is xxh3-128."""

    size: int
    mtime_ns: str
    hash: str | None


class SourceFailure(Answer):
    """Why a source is in quarantine. `decoder`: which gave up; null where none was asked."""

    reason: str
    message: str
    decoder: str | None
    tries: int
    first_at: str
    last_at: str


class SourceRendition(Answer):
    """A rendition; its path is relative to the output, null where none can be made of this format.

    `saved`: how many bytes it is smaller than its source.
    """

    preset: str
    path: str | None
    path_b64: AbsentText = None
    width: int
    height: int
    bytes: int
    saved: int | None
    present: bool
    note: str | None
    made_at: str | None


class SourceDetail(Source):
    """One source: its version, why it failed, what was made of it, and what its analysis found."""

    version: SourceVersion
    decoder: str | None
    extra: str | None
    seen_at: str
    failure: SourceFailure | None
    renditions: list[SourceRendition]
    analysis: Record | None


def page(engine: Engine, watch: str | None, state: State | None, text: str, cursor: str, limit: int) -> SourcePage:
    """At most `limit` sources from behind `cursor`. Raises NotFound, Invalid."""
    watch_id = None if watch is None else naming.watcher(engine, watch).site.id
    connection = engine.index.read()
    found = listing.page(connection, Filter(watch_id, state, text.strip()), _position(cursor), limit + 1)
    page = found[:limit]
    return SourcePage(
        sources=[Source(**_summary(engine, each)) for each in page if engine.watchers.by_id(each.watch_id)],
        next=_cursor(page[-1]) if len(found) > limit else None,
        total=None if text else _total(engine, connection, watch, state),
    )


def one(engine: Engine, source_id: int) -> SourceDetail:
    """Raises NotFound."""
    connection = engine.index.read()
    found = listing.one(connection, source_id)
    if found is None or engine.watchers.by_id(found.watch_id) is None:
        raise NotFound("no such source")
    version, record = found.version, analyses.as_json(connection, found.id)
    return SourceDetail(
        **_summary(engine, found),
        version=SourceVersion(
            size=max(0, version.size),
            mtime_ns=str(version.mtime_ns),
            hash=version.hash.hex() if version.hash else None,
        ),
        decoder=found.decoder or None,
        extra=found.extra or None,
        seen_at=times.rfc3339(found.seen_at),
        failure=_failure(found),
        renditions=[_rendition(found, each) for each in renditions.of(connection, found.id)],
        analysis=None if record is None else Record.from_dict(record),
    )


def _cursor(last: Listed) -> str:
    return base64.urlsafe_b64encode(json.dumps([last.done_at, last.id]).encode()).decode()


def _position(cursor: str) -> Position:
    if not cursor:
        return listing.START
    try:
        done_at, id_ = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
        position = float(done_at), int(id_)
        if abs(position[1]) < 2**63:
            return position
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError):
        pass
    raise Invalid("cursor", "give what `next` of the page before said")


def _total(engine: Engine, connection: Reader, watch: str | None, state: State | None) -> int:
    counts = report.states(connection)
    names = engine.watchers if watch is None else [watch]
    return sum(n for (name, found), n in counts.items() if name in names and state in (None, found))


def _summary(engine: Engine, found: Listed) -> dict[str, Any]:
    watcher = engine.watchers.by_id(found.watch_id)
    return {
        **paths.named("", found.path),
        "id": found.id,
        "watch": watcher.config.name if watcher is not None else None,
        "state": found.state.name.lower(),
        "format": found.format or None,
        "width": found.width,
        "height": found.height,
        "bytes": max(0, found.version.size),
        "done_at": times.rfc3339(found.done_at) if found.done_at else None,
        "reason": found.failure.reason if found.failure else None,
    }


def _failure(found: Listed) -> SourceFailure | None:
    failure = found.failure
    if failure is None:
        return None
    return SourceFailure(
        reason=failure.reason,
        message=failure.message,
        decoder=failure.decoder or None,
        tries=failure.tries,
        first_at=times.rfc3339(failure.first_at),
        last_at=times.rfc3339(failure.last_at),
    )


def _rendition(found: Listed, made: Made) -> SourceRendition:
    kept = made.note == "kept"
    place = rendition_path(paths.parent(found.path), made.area, made.name)
    return SourceRendition(
        preset=made.preset,
        **({"path": None} if kept else paths.named("", place)),
        width=made.width,
        height=made.height,
        bytes=made.bytes,
        saved=None if kept else found.version.size - made.bytes,
        present=made.present and not kept,
        note=made.note or None,
        made_at=None if kept else times.of_file(made.mtime_ns),
    )
