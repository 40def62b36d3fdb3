"""How the backlog is fed: each watch has its share of the lane."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path

from hotfolder.index import backlog, folders, watches
from hotfolder.index.database import Database
from hotfolder.model import Lane
from hotfolder.queue.feeder import Feeder
from hotfolder.queue.queue import JobQueue
from tests.helpers import wait_for

CAPACITY = 20


def done(connection: sqlite3.Connection, name: bytes) -> None:
    query = "UPDATE source SET state = 1 WHERE name = ? AND watch_id = (SELECT id FROM watch WHERE name = 'other')"
    connection.execute(query, (name,))


def test_a_watch_whose_work_stands_still_holds_up_no_other(tmp_path: Path) -> None:
    index = Database(str(tmp_path / "index.db"))
    index.open()

    def fill(connection: sqlite3.Connection) -> dict[int, str]:
        ids = {}
        for name in ("slow", "other"):
            watch_id = watches.settle(connection, name, f"/{name}", f"/out/{name}")
            folder = folders.ensure(connection, watch_id, b"", folds=False)
            for number in range(3 * CAPACITY):
                backlog.wait(connection, watch_id, folder, b"%d.jpg" % number, 1.0)
            ids[watch_id] = name
        return ids

    ids = index.write(fill).result()
    queue = JobQueue(CAPACITY)
    queue.limit("slow", 0)
    feeder = Feeder(index, queue, lambda: ids)
    feeder.start()
    try:
        made = 0
        while made < 3 * CAPACITY:
            job = queue.take(30)
            assert job is not None and job.watch == "other", "its rows do not come"
            index.write(partial(done, name=job.path)).result()
            queue.finish(job)
            made += 1
        wait_for("the slow one's share", lambda: queue.depth(Lane.BACKLOG, "slow") == CAPACITY // 2)
    finally:
        queue.close()
        feeder.stop()
        index.close()
