"""What is told of hooks, and what can be asked of them: a list, another try for the dead, and a test."""

from __future__ import annotations

import json
import secrets
import threading
import time
from typing import Any

from hotfolder import times
from hotfolder.config import Hook
from hotfolder.engine import Engine
from hotfolder.hooks import address, courier
from hotfolder.index import outbox
from hotfolder.index.outbox import Delivery
from hotfolder.services.offline import Knowing

DEAD_SHOWN = 1000
TEST = "test"


def listed(engine: Knowing) -> dict[str, Any]:
    """{hooks: each with what waits; dead: the newest deliveries that were given up}."""
    counts = outbox.counts(engine.index.read())
    return {
        "hooks": [_described(hook, counts) for hook in engine.config.hooks],
        "dead": [_dead(each) for each in outbox.dead(engine.index.read(), DEAD_SHOWN)],
    }


def _described(hook: Hook, counts: dict[tuple[str, str], tuple[int, float]]) -> dict[str, Any]:
    waiting, since = counts.get((hook.name, "waiting"), (0, None))
    dead, _ = counts.get((hook.name, "dead"), (0, None))
    return {
        "name": hook.name, "events": list(hook.events), "watches": list(hook.watches),
        "goal": hook.run[0] if hook.run is not None else address.place(hook.url or ""),
        "waiting": waiting, "waiting_since": None if since is None else times.rfc3339(since), "dead": dead,
    }  # fmt: skip


def _dead(delivery: Delivery) -> dict[str, Any]:
    body = json.loads(delivery.body)
    return {
        "id": delivery.delivery, "hook": delivery.hook, "event": delivery.event, "watch": delivery.watch or None,
        "path": body.get("path"), "at": body["at"], "tries": delivery.tries, "problem": delivery.problem,
    }  # fmt: skip


def named(engine: Engine, name: str) -> Hook | None:
    return next((hook for hook in engine.couriers.hooks if hook.name == name), None)


def retry(engine: Engine, name: str | None) -> int:
    """Have dead deliveries, of one hook or of all, tried again; gives how many."""
    count = engine.index.write(lambda c: outbox.revive(c, name)).result()
    for watch in engine.watchers:
        engine.couriers.kick(watch)
    return count


def test(hook: Hook) -> dict[str, Any]:
    """Deliver an event of the kind `test` now, outside of the outbox: {ok, problem, output, seconds}."""
    now, id_ = time.time(), secrets.token_hex(8)
    body = {"id": id_, "event": TEST, "hook": hook.name, "at": times.rfc3339(now), "watch": None}
    delivery = Delivery(0, id_, hook.name, TEST, "", b"", json.dumps(body), 0, now, 0.0, "")
    began = time.monotonic()
    answer = courier.deliver(hook, delivery, threading.Event())
    seconds = round(time.monotonic() - began, 3)
    return {"ok": answer.problem is None, "problem": answer.problem, "output": answer.text, "seconds": seconds}
