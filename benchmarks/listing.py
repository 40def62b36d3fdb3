"""How long pages of `/api/sources` take with 200,000 sources: ``python benchmarks/listing.py [--sources 200000]``.

Asks the index itself, so that the figures are of the queries alone; CPU time stands beside.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
import time

from hotfolder.index import folders, listing, schema
from hotfolder.index.listing import Filter, Position
from hotfolder.model import State

PAGE = 60
FOLDERS = 200


def fill(connection: sqlite3.Connection, count: int) -> None:
    schema.migrate(connection)
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO watch (id, name, root, output) VALUES (?, ?, '/r', '/o')", [(1, "a"), (2, "b")])
    places = [
        (watch, folders.ensure(connection, watch, b"year%d/folder-%d" % (n % 10, n), folds=False))
        for watch in (1, 2)
        for n in range(FOLDERS)
    ]
    rows = (
        (*places[n % len(places)], b"IMG_%06d.JPG" % n, 2 if n % 1000 == 0 else 1, 1e9 + n, os.urandom(16))
        for n in range(count)
    )
    query = "INSERT INTO source (watch_id, folder_id, name, state, done_at, size, hash) VALUES (?, ?, ?, ?, ?, 9, ?)"
    connection.executemany(query, rows)
    connection.execute("COMMIT")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=200_000)
    count = parser.parse_args().sources
    asked: dict[str, tuple[Filter, Position]] = {
        "newest": (Filter(), listing.START),
        "deep": (Filter(), (1e9 + count / 100, 0)),
        "one watch": (Filter(watch_id=2), listing.START),
        "failed": (Filter(state=State.FAILED), listing.START),
        "text, one hit": (Filter(text=f"img_{count // 2:06d}"), listing.START),
        "text, no hit": (Filter(text="nothing"), listing.START),
        "folder": (Filter(text="folder-77"), listing.START),
    }
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(os.path.join(folder, "index.db"), isolation_level=None)
        fill(connection, count)
        for name, (chosen, after) in asked.items():
            wall, cpu = time.perf_counter(), time.process_time()
            found = listing.page(connection, chosen, after, PAGE)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(f"{name:<14} {len(found):>3} of a page  {wall * 1000:8.1f} ms  CPU {cpu * 1000:8.1f} ms")


if __name__ == "__main__":
    main()
