"""What a job means for an image that was ordered: it has ended, well or not, or is looked at again.

Decided on the index's writer, in the transaction behind the job's own change.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from hotfolder import paths
from hotfolder.errors import Reason, SourceError
from hotfolder.index import analyses, failures, orders, renditions, sources
from hotfolder.index.orders import Item, Order
from hotfolder.index.renditions import Made
from hotfolder.index.sources import Row
from hotfolder.model import Outcome, Result, State
from hotfolder.presets import OPTIMIZED
from hotfolder.store.layout import rendition_path
from hotfolder.watches import wants
from hotfolder.watches.site import Site
from hotfolder.watches.wants import Spec

RETRY_SECONDS = 5.0
"""An image that cannot be made for now (disk full …) is tried again after this."""
TRIES = 5
"""So often may the pipeline say that all is made while something is missing."""


@dataclass(slots=True)
class Out:
    """One image of an order that the queue has."""

    item: Item
    spec: Spec
    tries: int = 0
    error: SourceError | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with an image after a job: it has ended (`order` as it stands now), or is looked at again."""

    out: Out
    ended: bool = False
    order: Order | None = None
    again_in: float | None = None


def judge(connection: sqlite3.Connection, site: Site | None, out: Out, outcome: Outcome) -> Verdict:
    """On the index's writer, after the job's own change."""
    item = out.item
    row = sources.find(connection, item.watch_id, item.path)
    if site is None or out.error is not None or outcome.result is Result.GONE:
        out.error = out.error or SourceError(Reason.NOT_FOUND, "there is no such image")
        return end(connection, site, out, None, None)
    if outcome.result is Result.CHANGED or row is None or row.state is State.PENDING:
        return Verdict(out)  # it is looked at again when it is whole, or waits in the backlog: another job ends it
    if row.state is not State.DONE:
        out.error = _failure(connection, row)
        return end(connection, site, out, None, None)
    made = {each.preset: each for each in renditions.of(connection, row.id)}
    record = analyses.as_json(connection, row.id) if out.spec.analyze else None
    if _is_complete(site, out.spec, made, record):
        return end(connection, site, out, row, made, record)
    reason = outcome.reason if outcome.result is Result.RETRIED else None
    out.tries += reason is None or not reason.innocent
    if out.tries >= TRIES:
        out.error = SourceError(reason or Reason.INTERNAL, outcome.message or "it could not be made; the log says why")
        return end(connection, site, out, None, None)
    return Verdict(out, again_in=0.0 if reason is None else RETRY_SECONDS)


def _is_complete(site: Site, spec: Spec, made: dict[str, Made], record: dict[str, Any] | None) -> bool:
    if spec.analyze and record is None:
        return False
    wanted = [(each, made.get(each.key)) for each in wants.wanted(site, spec)]
    return all(found is not None and found.present and found.signature == each.signature for each, found in wanted)


def _failure(connection: sqlite3.Connection, row: Row) -> SourceError:
    if row.state is State.SKIPPED:
        return SourceError(Reason.UNSUPPORTED, f"it needs the extra '{row.extra}', which is not installed")
    why = failures.of(connection, row.id)
    return SourceError(Reason(why.reason), why.message)


def end(
    connection: sqlite3.Connection,
    site: Site | None,
    out: Out,
    row: Row | None,
    made: dict[str, Made] | None,
    record: dict[str, Any] | None = None,
) -> Verdict:
    """Keep what came of an image: its renditions, or the error."""
    result: dict[str, Any] = {"renditions": [], "error": None}
    saved = 0
    if site is not None and row is not None and made is not None:
        folder = paths.parent(out.item.path)
        for each in wants.wanted(site, out.spec):
            found = made[each.key]
            result["renditions"].append(_described(site, folder, each.label, found))
            if each.label == OPTIMIZED and found.note != "kept":
                saved += max(0, row.version.size - found.bytes)
        if out.spec.analyze:
            result["analysis"] = record
    elif out.error is not None:
        result["error"] = {"reason": str(out.error.reason), "message": out.error.message}
    orders.start(connection, out.item.order_id, time.time())
    order = orders.end_item(connection, out.item, result, saved, time.time())
    return Verdict(out, ended=True, order=order)


def _described(site: Site, folder: bytes, label: str, made: Made) -> dict[str, Any]:
    if made.note == "kept":
        return {"preset": label, "path": None, "width": 0, "height": 0, "bytes": 0, "note": made.note}
    named = paths.named(site.output, rendition_path(folder, made.area, made.name))
    sizes = {"width": made.width, "height": made.height, "bytes": made.bytes}
    return {"preset": label} | named | sizes | ({"note": made.note} if made.note else {})
