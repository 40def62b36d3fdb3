"""Orders at work: their images feed the queue as room comes, order by order in turns, and what came of each is kept.

What is ordered stands in the index alone; here is only what the queue has at the moment, bounded by OUT_MOST. An image
is done when all that its order wants is in the index and current, however that came to be: what was there is a hit,
and an image that was done when the process died is one the next time.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from hotfolder.errors import Reason, SourceError
from hotfolder.index import areas, orders
from hotfolder.index.database import Database
from hotfolder.index.orders import Item, Kind, New, Order
from hotfolder.loop import Loop
from hotfolder.model import Job, Lane, Result
from hotfolder.orders.endings import RETRY_SECONDS, Out, Verdict, end, judge
from hotfolder.orders.estimates import Estimates
from hotfolder.orders.given import Given, Key
from hotfolder.outcome import Outcome
from hotfolder.queue.queue import JobQueue
from hotfolder.store import layouts
from hotfolder.telemetry import bugs, logs
from hotfolder.watches.site import Site
from hotfolder.watches.wants import Spec

OUT_MOST = 256
"""Images of orders that are in the queue or in work; a quarter of the queue where that is less."""
TURN = 16
"""Images that one order feeds before it is the next one's turn."""
AWAY_SECONDS = 5.0
"""How often it is looked whether a watch that is away is back."""

log = logs.get("working")


class Orders:
    """`sites`: the watches by id, and whether their root is there. `changed` hears of each order that went on, and of
    the seconds that are left; `workers`: how many there are now."""

    def __init__(
        self,
        index: Database,
        queue: JobQueue,
        sites: Callable[[], dict[int, tuple[Site, bool]]],
        changed: Callable[[Order, float | None], None],
        workers: Callable[[], int],
    ) -> None:
        self._index = index
        self._queue = queue
        self._sites = sites
        self._changed_order = changed
        self._workers = workers
        self._estimates = Estimates()
        self._most = max(1, min(OUT_MOST, queue.capacity // 4))
        self._changed = threading.Condition()
        self._given = Given()
        self._kicked = True
        self._next: float | None = None
        self.loop = Loop("orders", self._round, self._changed, again=self.reset)

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        self.loop.stop()

    def reset(self) -> None:
        """The queue was emptied, or the watches have changed: all that has not ended is given anew."""
        self._given = Given()
        self._kick()

    def _kick(self) -> None:
        with self._changed:
            self._kicked = True
            self._changed.notify_all()

    # -- for callers ---------------------------------------------------------------------------------------------------

    def add(self, kind: Kind, spec: Spec, items: Sequence[New]) -> str:
        """Take an order; returns its id. Raises orders.TooManyOpen."""
        key = secrets.token_hex(8)

        def change(connection: sqlite3.Connection) -> int:
            # The area stands before the first file: after a crash it is looked into.
            for area in layouts.areas() if spec.output else ():
                areas.ensure(connection, spec.output.encode("utf-8", "surrogateescape") + b"/" + area)
            return orders.add(connection, key, kind, spec.to_json(), items, time.time())

        self._index.write(change).result()
        self._kick()
        return key

    def cancel(self, key: str) -> Order | None:
        """Give up what has not begun. None where there is no such order."""
        order = self._index.write(lambda c: orders.cancel(c, key, time.time())).result()
        if order is None:
            return None
        for watch, path in self._given.cancel(order):
            self._queue.withdraw(watch, path)
        self._kick()
        self._tell(order)
        return order

    def time_left(self, order: Order) -> float | None:
        """Seconds; None where nothing can be said: it has not begun, has ended, or is held."""
        held = all(self._queue.holds_back(Lane.BACKLOG, watch) for watch in self._given.watches(order))
        if not order.open or held:
            return None
        workers = min(self._workers(), self._queue.lane_limit(Lane.BACKLOG)) / max(1, self._given.orders)
        return self._estimates.left(order.id, order.total - order.done - order.failed, workers)

    def _tell(self, order: Order) -> None:
        self._changed_order(order, self.time_left(order))
        if not order.open:
            self._estimates.forget(order.id)

    # -- Book: for the workers -----------------------------------------------------------------------------------------

    def specs(self, watch: str, path: bytes) -> list[Spec]:
        outs = [out for out in self._given.at((watch, path)) if out.error is None]
        now = time.time()
        for order_id in self._given.begun(outs):
            self._index.write(lambda c, i=order_id: orders.start(c, i, now))  # type: ignore[misc]
        return [out.spec for out in outs]

    def fail(self, watch: str, path: bytes, spec: Spec, error: SourceError) -> None:
        for out in self._given.at((watch, path)):
            if out.spec == spec:
                out.error = error

    # -- feeding -------------------------------------------------------------------------------------------------------

    def _round(self) -> bool:
        self.loop.rest(lambda: self._kicked, self._next)
        self._kicked = False  # before it feeds: a kick from here on is another round
        try:
            for key in self._given.due(time.monotonic()):
                self._offer(key)
            self._next = self._feed()
        except sqlite3.Error as error:
            log.error("orders_unreadable", reason=str(error), next="tried again")
            self._next = RETRY_SECONDS
        return True

    def _offer(self, key: Key) -> None:
        now = time.monotonic()
        self._queue.offer(Job(*key, Lane.BACKLOG, now, now, rested=True, ordered=True))

    def _feed(self) -> float | None:
        """Until the queue has enough or nothing is left; returns the seconds until the next look, None: when told."""
        connection = self._index.read()
        waiting = orders.open_orders(connection)
        sites = self._sites()
        away = False
        given = self._given  # what is given after a reset must not count as given
        given.open(waiting)
        while waiting and not self.loop.stopped:
            left = []
            for order in waiting:
                room = min(TURN, self._most - len(given))
                if room <= 0:
                    return self._pause(away)
                page = orders.waiting(connection, order.id, given.last(order), room)
                spec = Spec.from_json(order.spec)
                for item in page:
                    site, there = sites.get(item.watch_id, (None, True))
                    if not there:
                        away = True
                        break  # the order waits for the root that is away
                    self._give(given, item, spec, site)
                else:
                    left += [order] if page else []
            waiting = left
        return self._pause(away)

    def _pause(self, away: bool) -> float | None:
        moment = self._given.next_due()
        again = None if moment is None else moment - time.monotonic()
        if away:
            return AWAY_SECONDS if again is None else max(0.0, min(AWAY_SECONDS, again))
        return None if again is None else max(0.0, again)

    def _give(self, given: Given, item: Item, spec: Spec, site: Site | None) -> None:
        out = Out(item, spec)
        if site is not None:
            given.add(site.name, out)
            self._offer((site.name, item.path))
            return
        given.skip(item)
        out.error = SourceError(Reason.NOT_FOUND, "its watch is no longer configured")
        ending = self._index.write(lambda c: end(c, None, out, None, None))
        ending.add_done_callback(self._guarded(self._ended))

    # -- ending --------------------------------------------------------------------------------------------------------

    def told(self, job: Job, outcome: Outcome) -> None:
        """How a job ended, on whatever thread; what that means for orders is decided on the index's writer."""
        outs = self._given.at(job.key)
        if not outs:
            return
        site = next((site for site, _ in self._sites().values() if site.name == job.watch), None)
        if site is None:
            return  # its watch has just gone: `reset` follows, and gives anew what is left

        def change(connection: sqlite3.Connection) -> list[Verdict]:
            return [judge(connection, site, out, outcome) for out in outs]

        self._index.write(change).add_done_callback(
            self._guarded(lambda done: self._judged(job.key, outs, outcome, done))
        )

    def _guarded(self, then: Callable[[Future[Any]], None]) -> Callable[[Future[Any]], None]:
        """On the index's thread: after a bug all that has not ended is given anew."""

        def call(done: Future[Any]) -> None:
            if not bugs.did("orders", lambda: then(done)):
                self.reset()

        return call

    def _judged(self, key: Key, outs: list[Out], outcome: Outcome, done: Future[list[Verdict]]) -> None:
        if (error := done.exception()) is not None:
            log.error("order_not_stored", watch=key[0], path=key[1], reason=str(error), next="tried again")
            verdicts = [Verdict(out, again_in=RETRY_SECONDS) for out in outs]
        else:
            verdicts = done.result()
        ended = [verdict.out for verdict in verdicts if verdict.ended]
        for out in ended if outcome.result is Result.DONE else ():
            self._estimates.note(out.item.order_id, outcome.seconds)
        soonest = min((v.again_in for v in verdicts if v.again_in is not None), default=None)
        if self._given.end(key, ended) and soonest is not None:
            self._given.give_again(key, time.monotonic() + soonest)
        self._kick()
        for verdict in verdicts:
            self._told_order(verdict.order)

    def _ended(self, done: Future[Verdict]) -> None:
        if done.exception() is None:
            self._told_order(done.result().order)
        else:
            self.reset()

    def _told_order(self, order: Order | None) -> None:
        if order is None:
            return
        if not order.open:
            log.info(
                "order_done",
                order=order.key,
                kind=order.kind,
                total=order.total,
                failed=order.failed,
                saved=order.saved_bytes,
                seconds=(order.finished_at or 0.0) - order.created_at,
            )
        self._tell(order)
