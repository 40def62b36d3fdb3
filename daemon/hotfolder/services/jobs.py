"""How far orders and rescans are, and giving them up: both are jobs for their callers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict
from pydantic.json_schema import SkipJsonSchema

from hotfolder.engine import Engine
from hotfolder.imaging.record import Record
from hotfolder.index import orders, report
from hotfolder.services.answers import ABSENT, AbsentText, Answer, Error
from hotfolder.services.errors import Conflict
from hotfolder.services.rescans import Job, Rescan, Rescans

LISTED = 100


class Order(Job):
    """An order. `rate` in images a second, `time_left` in seconds; null where nothing can be said."""

    created_at: str
    rate: float | None
    time_left: float | None


class ResultRendition(Answer):
    """A rendition with its absolute path; null where none can be made of this format."""

    model_config = ConfigDict(extra="ignore")  # read from the index, where another version may have written it

    preset: str
    path: str | None
    path_b64: AbsentText = None
    width: int
    height: int
    bytes: int
    note: AbsentText = None


class ImageResult(Answer):
    """What came of one image, under the name that its caller gave it; `analysis`: where that was ordered."""

    model_config = ConfigDict(extra="ignore")

    path: str
    state: Literal["queued", "done", "failed", "cancelled"]
    renditions: list[ResultRendition]
    error: Error | None
    analysis: Annotated[Record | SkipJsonSchema[None], ABSENT] = None


class OrderPage(Order):
    """An order with a page of its results; `next` is the `cursor` of the page behind it."""

    results: list[ImageResult]
    next: int | None


class Jobs:
    """Of one engine; called on any thread."""

    def __init__(self, engine: Engine, rescans: Rescans) -> None:
        self._engine = engine
        self._rescans = rescans

    def listed(self) -> list[Order | Rescan]:
        """The newest first, without results."""
        found: list[Order | Rescan] = [*self._rescans.listed()]
        found += [Order(**self._of(each)) for each in orders.newest(self._engine.index.read(), LISTED)]
        return sorted(found, key=_begun, reverse=True)[:LISTED]

    def one(self, id_: str, cursor: int, limit: int) -> OrderPage | Rescan:
        """With at most `limit` results from number `cursor`. Raises NotFound."""
        connection = self._engine.index.read()
        order = orders.find(connection, id_)
        if order is None:
            return self._rescans.one(id_)
        page = list(orders.results(connection, order.id, cursor - 1, limit))
        more = bool(page) and page[-1][0] + 1 < order.total
        return OrderPage(
            **self._of(order),
            results=[
                ImageResult(path=name, state=_shown(state), **(_NOTHING | result)) for _, name, state, result in page
            ],
            next=page[-1][0] + 1 if more else None,
        )

    def cancel(self, id_: str) -> Order:
        """Give up what has not begun; an order that has ended stays as it is. Raises NotFound, Conflict."""
        order = self._engine.orders.cancel(id_)
        if order is None:
            self._rescans.one(id_)
            raise Conflict("a rescan goes to its end")
        return Order(**self._of(order))

    def _of(self, order: orders.Order) -> dict[str, Any]:
        return report.order(order, self._engine.orders.time_left(order))


_NOTHING: dict[str, Any] = {"renditions": [], "error": None}


def _shown(state: str) -> Any:
    return "queued" if state == "waiting" else state


def _begun(job: Order | Rescan) -> str:
    return job.created_at if isinstance(job, Order) else job.started_at or ""
