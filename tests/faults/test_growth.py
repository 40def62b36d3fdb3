"""Nothing grows with what was done: memory, descriptors, threads, children, the write-ahead log, the log.

Each kind of work is done some hundred times to warm up, then twice as often; what the daemon holds is compared. By
`GROWTH=100000` it is done so often (jobs, requests; a tenth of it reloads, clients, deliveries).
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from websockets.sync.client import connect

from hotfolder.index.readers import MOST
from hotfolder.watcher.trails import STEPS_MAX
from tests.footprint import Footprint, connections, open_files
from tests.helpers import Daemon, Place, jpeg, wait_for
from tests.integration.test_uploads import body, send
from tests.receiver import Receiver

MANY = int(os.environ.get("GROWTH", "300"))
FEW = max(MANY // 10, 40)
PICTURE = jpeg(40, 30)
WATCH = "    presets: [small, square]\n    delete_guard: {fraction: 100%, min: 100000}"
PAGES = (
    "/api/status",
    "/metrics",
    "/healthz",
    "/readyz",
    "/",
    "/api/image-processing/sources?limit=20",
    "/api/image-processing/stats",
    "/api/jobs",
    "/api/no-such-thing",
)
MEMORY = 6_000_000 + 400 * MANY
"""Bytes that may differ: arenas of threads and the like, and what a larger index's pages take in caches."""
BLOCKS = 2000
"""Objects that may be more: caches up to their bound. One kept for each of what was done is too many."""
COUNT = """
import gc, json, os, signal, sys, threading

def count(*_):
    gc.collect()
    workers = sum(each.name.startswith("hotfolder-worker") for each in threading.enumerate())
    with open({0!r} + ".new", "w") as file:
        json.dump([sys.getallocatedblocks(), workers], file)
    os.rename({0!r} + ".new", {0!r})

signal.signal(signal.SIGUSR2, count)
"""
BURST = 30
OUT = ("thumbnails/{0}_thumb_small.jpg", "thumbnails/{0}_square.jpg", "optimized/{0}.jpg")

pytestmark = pytest.mark.timeout(600 + MANY)


class Work:
    """What people, programs and clients ask of one daemon."""

    def __init__(self, place: Place, daemon: Daemon) -> None:
        self.place = place
        self.daemon = daemon
        self._serial = 0

    def names(self, count: int) -> list[str]:
        self._serial += count
        return [f"{number % 7}/{number}.jpg" for number in range(self._serial - count, self._serial)]

    def emptied(self) -> None:
        wait_for("the output to be empty", lambda: not self.place.renditions(), 120, self._tail)

    def made(self, names: list[str]) -> None:
        wanted = {each.format(name.removesuffix(".jpg")) for name in names for each in OUT}
        wait_for("all to be made", lambda: wanted <= self.place.renditions(), 60 + len(names), self._tail)

    def _tail(self) -> str:
        return self.daemon.text()[-4000:]

    def ask(self, method: str, path: str, content: object = None) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.place.port, timeout=60)
        with contextlib.closing(connection):
            text = None if content is None else json.dumps(content)
            connection.request(method, path, text, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            return answer.status

    def jobs(self, count: int) -> None:
        for start in range(0, count, 100):
            names = self.names(min(100, count - start))
            for number, name in enumerate(names, self._serial):
                self.place.put(name, jpeg(40, 30, number))
            self.made(names)
            for name in names:
                (self.place.inbox / name).unlink()
            self.emptied()

    def renames(self, count: int) -> None:
        (name,) = self.names(1)
        self.place.put(name, PICTURE)
        self.made([name])
        for _ in range(count):
            (new,) = self.names(1)
            (self.place.inbox / new).parent.mkdir(exist_ok=True)
            (self.place.inbox / name).rename(self.place.inbox / new)
            name = new
        self.made([name])
        (self.place.inbox / name).unlink()
        self.emptied()

    def damaged(self, count: int) -> None:
        names = self.names(count // 4)
        for name in names:
            self.place.put(name, b"\xff\xd8\xff\xe0 no picture")
        self.daemon.wait_log("put_off", 1)
        for name in names:
            (self.place.inbox / name).unlink()

    def reloads(self, count: int) -> None:
        for _ in range(count // 10):
            before = self.daemon.text().count("config_applied")
            self.daemon.process.send_signal(signal.SIGHUP)
            self.daemon.wait_log("config_applied", before + 1)

    def requests(self, count: int) -> None:
        """From many connections at once."""
        with ThreadPoolExecutor(BURST) as pool:
            found = Counter(pool.map(lambda n: self.ask("GET", PAGES[n % len(PAGES)]), range(count)))
        assert set(found) <= {200, 404}, found

    def broken_requests(self, count: int) -> None:
        """Who hangs up in the middle of a head, of a body, of an answer."""
        for number in range(count // 4):
            with socket.create_connection(("127.0.0.1", self.place.port)) as client:
                parts = (
                    b"GET / HT",
                    b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n{",
                    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
                )
                client.sendall(parts[number % len(parts)])

    def live(self, count: int) -> None:
        """Clients of the WebSocket that leave politely, and such that are just gone."""
        for number in range(count // 4):
            address = f"ws://127.0.0.1:{self.place.port}/api/events?topics=state,jobs"
            client = connect(address)
            client.recv(timeout=30)
            if number % 2:
                client.close()
            else:
                client.socket.shutdown(socket.SHUT_RDWR)
                client.socket.close()

    def uploads(self, count: int) -> None:
        names = [Path(name).name for name in self.names(count // 10)]
        for name in names:
            assert send(self.place, body(("files", name, PICTURE)))[0] == 201
        self.made(names)
        for name in names:
            (self.place.inbox / name).unlink()
        self.emptied()

    def orders(self, count: int) -> None:
        """Placed and cancelled at once, or waited for."""
        (name,) = self.names(1)
        self.place.put(name, PICTURE)
        self.made([name])
        for number in range(count // 10):
            connection = http.client.HTTPConnection("127.0.0.1", self.place.port, timeout=60)
            with contextlib.closing(connection):
                size = {"width": 20 + number % 10, "height": 20, "suffix": f"_w{number % 10}"}
                text = json.dumps({"paths": [name], "sizes": [size]})
                address = "/api/image-processing/thumbnails/generate"
                connection.request("POST", address, text, {"content-type": "application/json"})
                answer = connection.getresponse()
                accepted = json.loads(answer.read())
                assert answer.status == 202, accepted
                if number % 2:
                    connection.request("DELETE", accepted["status_url"])
                    connection.getresponse().read()
        wait_for("the orders to end", self._idle, 60, self._tail)
        (self.place.inbox / name).unlink()
        self.emptied()

    def _idle(self) -> bool:
        jobs = json.loads(self.daemon.get("/api/jobs"))
        return all(each["state"] in ("done", "cancelled") for each in jobs)


KINDS = [
    name
    for name, value in vars(Work).items()
    if callable(value)
    and name
    in (
        "jobs",
        "renames",
        "damaged",
        "reloads",
        "requests",
        "broken_requests",
        "live",
        "uploads",
        "orders",
    )
]


def compare(daemon: Daemon, work: Callable[[int], None], count: int, *, more: int = BLOCKS) -> None:
    """Warm up with half of it, then do all of it: what is held then is what was held before."""
    pid = daemon.process.pid
    work(count // 2)
    before = settled(daemon)
    log_before = daemon.log.stat().st_size
    objects = counted(daemon)[0]
    work(count)
    wait_for(
        "what it holds to be as before",
        lambda: not settled(daemon).beyond(before, MEMORY),
        90,
        lambda: f"{held(daemon).beyond(before, MEMORY)}\n{Counter(open_files(pid)).most_common(12)}",
    )
    kept: list[int] = []

    def none_kept() -> bool:
        kept.append(counted(daemon)[0] - objects)
        return kept[-1] < more + count // 2

    wait_for("no object to be kept for each", none_kept, 60, lambda: str(kept[-5:]))
    assert connections(pid) <= 3 * (MOST + 1)
    assert daemon.log.stat().st_size - log_before < 3000 * count + 100_000
    assert (daemon.place.base / ".hotfolder/index.db-wal").stat().st_size < 64_000_000


def counted(daemon: Daemon) -> tuple[int, int]:
    """Objects of Python in the daemon, and workers of its pool."""
    file = daemon.place.base / "counted"
    file.unlink(missing_ok=True)
    daemon.process.send_signal(signal.SIGUSR2)
    objects, workers = json.loads(wait_for("its count", lambda: file.exists() and file.read_text()))
    return objects, workers


def held(daemon: Daemon) -> Footprint:
    """Without the pool's workers: those begin as work comes, how many depends on how busy the machine is."""
    workers = counted(daemon)[1]
    stats = json.loads(daemon.get("/api/image-processing/stats"))
    assert workers <= stats["thread_pool"]["max_workers"]
    found = Footprint.of(daemon.process.pid)
    return dataclasses.replace(found, threads=found.threads - workers)


def settled(daemon: Daemon) -> Footprint:
    """When it no longer changes. Threads of requests end when they were idle for 10 s and another request comes."""
    found = [held(daemon)]

    def still() -> bool:
        threading.Event().wait(2)
        found.append(held(daemon))
        last = [(each.descriptors, each.threads) for each in found[-7:]]
        return len(last) == 7 and len(set(last)) == 1

    wait_for("it to be at rest", still, 90, lambda: str(found[-4:]))
    return found[-1]


@pytest.fixture
def daemon(tmp_path: Path, run: Callable[[Place], Daemon]) -> Iterator[Daemon]:
    place = Place(tmp_path, "log: {level: info}", WATCH)
    place.hook(COUNT.format(str(place.base / "counted")))
    yield run(place)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_grows(kind: str, daemon: Daemon) -> None:
    names = 5 * STEPS_MAX if kind == "renames" else 0  # the trail of names fills up to its bound
    compare(daemon, getattr(Work(daemon.place, daemon), kind), MANY, more=BLOCKS + names)
    assert daemon.stop() == 0


@pytest.mark.parametrize("kind", ["program", "address"])
def test_nothing_grows_with_deliveries(
    kind: str, tmp_path: Path, run: Callable[[Place], Daemon], receiver: Receiver
) -> None:
    goal = "run: [/bin/true]" if kind == "program" else f"url: '{receiver.address}/told'"
    place = Place(tmp_path, f"hooks:\n  - {{name: told, events: [ready, removed], {goal}}}", WATCH)
    place.hook(COUNT.format(str(place.base / "counted")))
    daemon = run(place)
    work = Work(place, daemon)

    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += 2 * count
        work.jobs(count)
        daemon.wait_metric("hotfolder_hook_deliveries_total", done, hook="told", result="ok")
        receiver.got.clear()

    compare(daemon, tell, FEW * 4)
    assert daemon.stop() == 0
