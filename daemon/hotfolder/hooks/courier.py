"""Delivers the outbox: one thread a hook, one delivery at a time, so that a slow receiver holds up nobody else.

At least once: a delivery leaves the outbox after it was taken, and a kill in between repeats it under the same id. One
that fails is tried again, later and later, while others go on; but none before an earlier one of its path.
"""

from __future__ import annotations

import random
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping

from hotfolder.config import Hook
from hotfolder.hooks import facts, kinds, program
from hotfolder.hooks.answer import Answer
from hotfolder.index import outbox
from hotfolder.index.database import Database
from hotfolder.index.outbox import Delivery
from hotfolder.loop import Loop
from hotfolder.telemetry import bugs, logs
from hotfolder.telemetry.metrics import Metrics
from hotfolder.watches.site import Site

FIRST_PAUSE = 2.0
"""Seconds before the second try; each later one is PAUSE_FACTOR times as long, at most LONGEST_PAUSE."""
PAUSE_FACTOR = 4.0
PATIENCE = 3
"""So many failures in a row, and the hook rests before it tries anything: its receiver is down."""
LONGEST_REST = 60.0
LOOK_SECONDS = 5.0
"""The outbox is looked at again after this, told or not."""
BATCH_LOOK_SECONDS = 0.25

log = logs.get("hooks")


def pause(tries: int, chance: Callable[[], float] = random.random) -> float:
    """Seconds until the next try after `tries` have failed, spread so that many do not come at once."""
    return min(FIRST_PAUSE * PAUSE_FACTOR ** (tries - 1), outbox.LONGEST_PAUSE / 2) * (0.75 + chance() / 2)


class Courier:
    """One hook. `idle` reports of a watch whether nothing of it is under way."""

    def __init__(
        self, hook: Hook, index: Database, metrics: Metrics, sites: Mapping[str, Site], idle: Callable[[str], bool]
    ) -> None:
        self.hook = hook
        self._index = index
        self._metrics = metrics
        self._sites = sites
        self._idle = idle
        self._changed = threading.Condition()
        self._kicked = False
        self._once = False
        self._abort = threading.Event()
        self._failures = 0
        self._rest_until = 0.0
        self._last_seen = dict.fromkeys(sites, time.monotonic())
        self.loop = Loop("hook", self._round, self._changed, subject=hook.name)
        for result in ("ok", "failed", "dead"):
            metrics.hook_deliveries.labels(hook.name, result)

    def watch(self, sites: Mapping[str, Site]) -> None:
        """The watches have changed, and this hook has not."""
        with self._changed:
            self._sites = sites
            for name in sites:
                self._last_seen.setdefault(name, time.monotonic())

    def start(self, *, once: bool = False) -> None:
        """`once`: end as soon as nothing can be done now; what has to wait is left to the next run."""
        self._once = once
        self.loop.start()

    def kick(self, watch: str) -> None:
        """Something became of an image of this watch."""
        with self._changed:
            self._kicked = True
            self._last_seen[watch] = time.monotonic()
            self._changed.notify_all()

    def end(self) -> None:
        """Begin no more deliveries; the one under way goes on."""
        self.loop.end()

    def abort(self) -> None:
        """Break off the one under way; it is repeated at the next start."""
        self._abort.set()

    def join(self, timeout: float) -> bool:
        """Whether its thread has ended within so many seconds."""
        return self.loop.join(timeout)

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _round(self) -> bool:
        try:
            self._close_batches()
            worked = self._deliver_next()
            pause = self._seconds() if not worked else 0.0
        except sqlite3.Error as error:
            log.error("outbox_unusable", hook=self.hook.name, reason=str(error), next="tried again")
            worked, pause = False, LOOK_SECONDS
        if worked:
            return True
        if self._once:
            return False
        self.loop.rest(lambda: self._kicked, pause)
        self._kicked = False
        if (rest := self._rest_until - time.monotonic()) > 0:
            self.loop.rest(seconds=rest)
        return True

    def _deliver_next(self) -> bool:
        """False where nothing can be delivered now."""
        if time.monotonic() < self._rest_until:
            return False
        delivery = outbox.next_due(self._index.read(), self.hook.name, time.time())
        if delivery is None:
            return False
        began = time.monotonic()
        answer = self._deliver(delivery)
        if not self._abort.is_set():
            self._note(delivery, answer, time.monotonic() - began)
        return True

    def _deliver(self, delivery: Delivery) -> Answer:
        """A bug costs this delivery a try, and none of the others anything."""
        try:
            return kinds.of(self.hook).deliver(self.hook, delivery, self._abort)
        except Exception as error:  # noqa: BLE001 - see above
            bugs.report("hook", error, hook=self.hook.name, delivery=delivery.delivery)
            return Answer(f"internal error: {type(error).__name__}: {error}")

    def _note(self, delivery: Delivery, answer: Answer, seconds: float) -> None:
        tries = delivery.tries + 1
        keys: dict[str, object] = {"hook": self.hook.name, "on": delivery.event}
        if delivery.watch:
            keys["watch"] = delivery.watch
        if delivery.path:
            keys["path"] = delivery.path
        keys |= {"delivery": delivery.delivery, "tries": tries, "seconds": seconds}
        if answer.output:
            keys["output"] = answer.text
        results = self._metrics.hook_deliveries
        if answer.problem is None:
            self._index.write(lambda c: outbox.done(c, delivery.id)).result()
            self._failures = 0
            results.labels(self.hook.name, "ok").inc()
            log.info("hook_delivered", **keys)
            return
        problem = answer.problem
        results.labels(self.hook.name, "failed").inc()
        if tries > self.hook.retries:
            self._index.write(lambda c: outbox.bury(c, delivery, problem)).result()
            results.labels(self.hook.name, "dead").inc()
            log.error("hook_dead", **keys, reason=problem, next=f"hotfolder hooks retry {self.hook.name}")
        else:
            wait = pause(tries)
            self._index.write(lambda c: outbox.put_off(c, delivery.id, time.time() + wait, problem)).result()
            log.warning("hook_failed", **keys, reason=problem, next=f"tried again in {wait:.0f} s")
        self._failures += 1
        if self._failures >= PATIENCE:
            self._rest_until = time.monotonic() + min(LONGEST_REST, 2.0 ** (self._failures - PATIENCE))

    def _seconds(self) -> float:
        """Until something may be due."""
        moment = outbox.next_moment(self._index.read(), self.hook.name)
        seconds = LOOK_SECONDS if moment is None else max(0.05, min(LOOK_SECONDS, moment - time.time()))
        return min(seconds, BATCH_LOOK_SECONDS) if self._open_batches() else seconds

    # -- batches ------------------------------------------------------------------------------------------------------

    def _open_batches(self) -> list[str]:
        if outbox.BATCH_DONE not in self.hook.events:
            return []
        connection = self._index.read()
        return [name for name in self._sites if outbox.has_collected(connection, self.hook.name, name)]

    def _close_batches(self) -> None:
        """What was collected of a watch that has been idle for long enough becomes deliveries."""
        for watch in self._open_batches():
            quiet = self._once or time.monotonic() - self._last_seen.get(watch, 0.0) >= self.hook.after
            if quiet and self._idle(watch):
                self._close(watch)

    def _close(self, watch: str) -> None:
        if (site := self._sites.get(watch)) is None:
            return  # it is no longer watched, or no longer this hook's
        batch = secrets.token_hex(8)
        count = outbox.collected(self._index.read(), self.hook.name, watch)
        pages = -(-count // facts.PAGE)
        for page in range(1, pages + 1):
            self._index.write(
                lambda c, page=page: facts.batch_page(c, site, self.hook.name, batch, page, pages)  # type: ignore[misc]
            ).result()
        log.debug("batch_done", hook=self.hook.name, watch=watch, images=count, pages=pages)


class Couriers:
    """All hooks of a configuration. `set` them, then `start`; `apply` another configuration."""

    def __init__(self, index: Database, metrics: Metrics, idle: Callable[[str], bool]) -> None:
        self._index = index
        self._metrics = metrics
        self._idle = idle
        self._couriers: tuple[Courier, ...] = ()

    def set(self, hooks: Iterable[Hook], sites: Mapping[str, Site]) -> None:
        """What waits for a hook that is no longer configured is forgotten, and said."""
        hooks = tuple(hooks)
        forgotten = self._index.write(lambda c: outbox.forget_others(c, [hook.name for hook in hooks])).result()
        if forgotten:
            log.warning("deliveries_forgotten", count=forgotten, why="their hooks are no longer configured")
        kept = {courier.hook: courier for courier in self._couriers}
        couriers = []
        for hook in hooks:
            mine = {name: site for name, site in sites.items() if not hook.watches or name in hook.watches}
            if (courier := kept.get(hook)) is None:
                courier = Courier(hook, self._index, self._metrics, mine, self._idle)
            else:
                courier.watch(mine)
            couriers.append(courier)
        self._couriers = tuple(couriers)

    def apply(self, hooks: Iterable[Hook], sites: Mapping[str, Site], timeout: float) -> None:
        """Go on with these: who has not changed is left at work, who has ends within `timeout` seconds."""
        hooks = tuple(hooks)
        former = self._couriers
        _end([courier for courier in former if courier.hook not in hooks], timeout)
        for gone in {courier.hook.name for courier in former} - {hook.name for hook in hooks}:
            self._metrics.forget("hook", gone)
        self._couriers = tuple(courier for courier in former if courier.hook in hooks)
        self.set(hooks, sites)
        for courier in self._couriers:
            if courier not in former:
                courier.start()

    @property
    def hooks(self) -> tuple[Hook, ...]:
        return tuple(courier.hook for courier in self._couriers)

    def start(self) -> None:
        for courier in self._couriers:
            courier.start()

    def deliver_now(self, stopped: threading.Event) -> None:
        """Without a daemon: close what was collected, try what is due, leave what has to wait to the next run."""
        for courier in self._couriers:
            courier.start(once=True)
        for courier in self._couriers:
            while not courier.join(0.2) and not stopped.is_set():
                pass

    def kick(self, watch: str) -> None:
        for courier in self._couriers:
            courier.kick(watch)

    def stop(self, timeout: float) -> None:
        """Let what is under way end within `timeout` seconds, then break it off."""
        _end(self._couriers, timeout)


def _end(couriers: Collection[Courier], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    for courier in couriers:
        courier.end()
    for courier in couriers:
        courier.join(deadline - time.monotonic())
        courier.abort()
    deadline = time.monotonic() + program.GRACE_SECONDS + 1.0
    for courier in couriers:
        courier.join(deadline - time.monotonic())
