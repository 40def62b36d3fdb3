"""Hooks: a list of them, another try for what was given up, and a test."""

from __future__ import annotations

import json
import secrets
import threading
import time

from hotfolder import times
from hotfolder.config import Config, Hook
from hotfolder.engine import Engine
from hotfolder.hooks import kinds
from hotfolder.index import outbox
from hotfolder.index.outbox import Delivery
from hotfolder.services.answers import Answer
from hotfolder.services.errors import NotFound
from hotfolder.services.offline import Knowing

DEAD_SHOWN = 1000
TEST = "test"


class HookStatus(Answer):
    """A hook, and how many deliveries wait for it or were given up. `goal`: its program, or the place of its URL."""

    name: str
    events: list[str]
    watches: list[str]
    goal: str
    waiting: int
    waiting_since: str | None
    dead: int


class DeadDelivery(Answer):
    """A delivery that was given up, and why its last try failed."""

    id: str
    hook: str
    event: str
    watch: str | None
    path: str | None
    at: str
    tries: int
    problem: str


class HookList(Answer):
    """All hooks; `dead`: the newest deliveries that were given up."""

    hooks: list[HookStatus]
    dead: list[DeadDelivery]


class HookTest(Answer):
    """What came of a test. `problem`: why it counts as failed; `output`: what the hook answered."""

    ok: bool
    problem: str | None
    output: str
    seconds: float


def listed(known: Knowing) -> HookList:
    connection = known.index.read()
    counts = outbox.counts(connection)
    return HookList(
        hooks=[_status(hook, counts) for hook in known.config.hooks],
        dead=[_dead(each) for each in outbox.dead(connection, DEAD_SHOWN)],
    )


def _status(hook: Hook, counts: dict[tuple[str, str], tuple[int, float]]) -> HookStatus:
    waiting, since = counts.get((hook.name, "waiting"), (0, None))
    dead, _ = counts.get((hook.name, "dead"), (0, None))
    return HookStatus(
        name=hook.name,
        events=list(hook.events),
        watches=list(hook.watches),
        goal=kinds.of(hook).goal(hook),
        waiting=waiting,
        waiting_since=None if since is None else times.rfc3339(since),
        dead=dead,
    )


def _dead(delivery: Delivery) -> DeadDelivery:
    body = json.loads(delivery.body)
    return DeadDelivery(
        id=delivery.delivery,
        hook=delivery.hook,
        event=delivery.event,
        watch=delivery.watch or None,
        path=body.get("path"),
        at=body["at"],
        tries=delivery.tries,
        problem=delivery.problem,
    )


def named(config: Config, name: str) -> Hook:
    """Raises NotFound."""
    found = next((hook for hook in config.hooks if hook.name == name), None)
    if found is None:
        raise NotFound(f"no hook is called {name}")
    return found


def revive(known: Knowing, name: str | None) -> int:
    """Let dead deliveries of one hook, or of all, wait again; returns how many."""
    return known.index.write(lambda c: outbox.revive(c, name)).result()


def retry(engine: Engine, name: str | None) -> int:
    """The same, and have them delivered now. Raises NotFound."""
    if name is not None:
        named(engine.config, name)
    count = revive(engine, name)
    for watch in engine.watchers:
        engine.couriers.kick(watch)
    return count


def test(hook: Hook) -> HookTest:
    """Deliver an event of the kind `test` now, outside of the outbox."""
    now, id_ = time.time(), secrets.token_hex(8)
    body = {"id": id_, "event": TEST, "hook": hook.name, "at": times.rfc3339(now), "watch": None}
    delivery = Delivery(0, id_, hook.name, TEST, "", b"", json.dumps(body), 0, now, 0.0, "")
    began = time.monotonic()
    answer = kinds.of(hook).deliver(hook, delivery, threading.Event())
    seconds = round(time.monotonic() - began, 3)
    return HookTest(ok=answer.problem is None, problem=answer.problem, output=answer.text, seconds=seconds)
