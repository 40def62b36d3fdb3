"""The bus: who is slow loses the oldest, is told how many, and costs nobody else anything."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

from hotfolder.server import live
from hotfolder.telemetry.bus import BUFFER, JOBS, PIPELINE, STATE, Bus


def test_each_hears_its_topics() -> None:
    bus = Bus()
    bus.publish(PIPELINE, "ready", path="before")
    with bus.subscribe([PIPELINE]) as one, bus.subscribe([JOBS, STATE]) as other:
        assert bus.heard(STATE)
        bus.publish(PIPELINE, "ready", path="a.jpg")
        bus.publish(JOBS, "job", done=3)
        events, lost = one.take()
        assert [(each["topic"], each["event"], each["path"]) for each in events] == [("pipeline", "ready", "a.jpg")]
        assert lost == 0
        assert [each["done"] for each in other.take()[0]] == [3]
    assert not bus.heard(STATE)
    bus.publish(JOBS, "job", done=4)
    assert other.take() == ([], 0)


def test_the_slow_one_keeps_the_newest_and_is_told() -> None:
    bus = Bus()
    woken: list[int] = []
    slow = bus.subscribe([JOBS], most=10, wake=lambda: woken.append(1))
    quick = bus.subscribe([JOBS], most=1000)
    for number in range(25):
        bus.publish(JOBS, "job", done=number)
    assert len(woken) == 1  # not once an event: it has been told that something waits
    events, lost = slow.take()
    assert ([each["done"] for each in events], lost) == (list(range(15, 25)), 15)
    assert (len(quick.take()[0]), slow.take()) == (25, ([], 0))
    bus.publish(JOBS, "job", done=25)
    assert len(woken) == 2


def test_waiting_for_listeners_and_events_ends() -> None:
    bus = Bus()
    heard: list[bool] = []
    waiter = threading.Thread(target=lambda: heard.extend([bus.wait_heard(STATE), bus.wait_heard(JOBS)]))
    waiter.start()
    listener = bus.subscribe([STATE])
    telling = threading.Timer(0.05, lambda: bus.publish(STATE, "state"))
    telling.start()
    assert len(listener.take(10)[0]) == 1
    bus.close()
    waiter.join(10)
    assert heard == [True, False]


class StuckSocket:
    """A WebSocket whose client does not read, until it is let."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.leaves = asyncio.Event()
        self.got: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        await self.leaves.wait()
        return {"type": "websocket.disconnect"}

    async def send_text(self, text: str) -> None:
        await self.reads.wait()
        self.got.append(json.loads(text))
        if self.got[-1].get("done") == 2999:
            self.leaves.set()


def test_a_client_that_does_not_read_holds_up_nobody() -> None:
    bus = Bus()

    async def story() -> StuckSocket:
        socket = StuckSocket()
        serving = asyncio.create_task(live._serve(socket, bus, [JOBS]))  # type: ignore[arg-type]
        while not bus.heard(JOBS):
            await asyncio.sleep(0)
        bus.publish(JOBS, "job", done=0)
        await asyncio.sleep(0)  # it is being sent, and stays so
        for number in range(1, 3000):
            bus.publish(JOBS, "job", done=number)
        socket.reads.set()
        await asyncio.wait_for(serving, 20)
        return socket

    socket = asyncio.run(story())
    events = [each for each in socket.got if each["topic"] == JOBS]
    lost = sum(each["count"] for each in socket.got if each["event"] == "lost")
    assert events[-1]["done"] == 2999
    assert lost > 0
    assert len(events) + lost == 3000
    assert len(events) <= BUFFER + 2
    assert bus.listeners == 0
