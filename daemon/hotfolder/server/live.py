"""Live events over a WebSocket, one JSON object a message; and the pulse that publishes the whole state each second.

`{"topic": "events", "event": "lost", "count": n}` means that this reader was too slow for n events: ask again for what
you show. Nothing that a client sends means anything; a slow one costs its own buffer and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response, WebSocket, WebSocketDisconnect

from hotfolder.loop import Loop
from hotfolder.server.guard import PROBLEM, problem
from hotfolder.telemetry import logs
from hotfolder.telemetry.bus import STATE, TOPICS, Bus, Subscription

log = logs.get("serving")

CLIENTS_MOST = 50
PULSE_SECONDS = 1.0


def router(bus: Bus) -> APIRouter:
    routes = APIRouter()

    @routes.websocket("/api/events")
    async def events(socket: WebSocket, topics: Annotated[str, Query(max_length=200)] = ",".join(TOPICS)) -> None:
        wanted = [topic.strip() for topic in topics.split(",") if topic.strip()]
        if unknown := [topic for topic in wanted if topic not in TOPICS]:
            await _refuse(socket, 422, f"topics are {', '.join(TOPICS)}, not {unknown[0]}")
        elif bus.listeners >= CLIENTS_MOST:
            await _refuse(socket, 503, f"{CLIENTS_MOST} listen already; try again later")
        else:
            await socket.accept()
            await _serve(socket, bus, wanted)

    return routes


async def _refuse(socket: WebSocket, status: int, detail: str) -> None:
    await socket.send_denial_response(Response(problem(status, detail, detail), status, media_type=PROBLEM))


async def _serve(socket: WebSocket, bus: Bus, topics: list[str]) -> None:
    """Until the client leaves. What it sends is read and dropped, so that its leaving is seen."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and this listener with it
            loop.call_soon_threadsafe(ready.set)

    with bus.subscribe(topics, wake=wake) as subscription:
        tasks = [asyncio.create_task(_send(socket, subscription, ready)), asyncio.create_task(_hear(socket))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception) and not isinstance(error, WebSocketDisconnect):
            raise error  # the client is hung up on, and asks anew; the log has it


async def _hear(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _send(socket: WebSocket, subscription: Subscription, ready: asyncio.Event) -> None:
    while True:
        await ready.wait()
        ready.clear()
        waiting, lost = subscription.take()
        if lost:
            await socket.send_text(json.dumps({"topic": "events", "event": "lost", "count": lost}))
        for event in waiting:
            await socket.send_text(json.dumps(event))


class Pulse:
    """Publishes `state` each second while someone listens; works only then."""

    def __init__(self, bus: Bus, tell: Callable[[], dict[str, Any]]) -> None:
        self._bus = bus
        self._tell = tell
        self._loop = Loop("pulse", self._round)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.end()
        self._bus.close()
        self._loop.join(2.0)

    def _round(self) -> bool:
        if not self._bus.wait_heard(STATE):
            return False
        try:
            self._bus.publish(STATE, "state", **self._tell())
        except sqlite3.Error as error:
            log.warning("state_not_told", reason=str(error))
        self._loop.rest(seconds=PULSE_SECONDS)
        return True
