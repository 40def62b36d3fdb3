"""What hooks cost the index's writer, in CPU time: python benchmarks/outbox.py"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hotfolder.index import outbox
from hotfolder.index.database import Database

FACTS = {
    "renditions": [
        {
            "preset": f"p{n}",
            "path": "/renditions/thumbnails/some/folder/IMG_1234_thumb_small.jpg",
            "width": 150,
            "height": 113,
            "bytes": 6100,
        }
        for n in range(7)
    ]
}


def measured(what: str, count: int, work: Callable[[int], object]) -> None:
    began = time.process_time()
    for number in range(count):
        work(number)
    print(f"{what:<40} {(time.process_time() - began) / count * 1e6:8.0f} µs")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        index = Database(str(Path(folder) / "index.db"))
        index.open()
        index.close()
        connection = sqlite3.connect(Path(folder) / "index.db", isolation_level=None)
        connection.execute("BEGIN")

        def put(number: int) -> None:
            outbox.put(connection, "h", outbox.READY, "w", b"some/folder/%d.jpg" % number, FACTS)

        def ask(number: int) -> None:
            outbox.next_due(connection, "h", time.time())

        measured("a delivery of 7 renditions written", outbox.MOST_WAITING - 100, put)
        measured("the next one found", 1000, ask)
        connection.execute("UPDATE outbox SET next_at = ?", (time.time() + 100,))
        measured("none found among 9,900 put off", 20, ask)
        measured("written beyond the bound", 2 * outbox.MOST_WAITING, put)
        connection.close()


if __name__ == "__main__":
    main()
