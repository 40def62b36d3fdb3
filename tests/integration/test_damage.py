"""Damaged sources: refused by default, shown as far as they go where the configuration says so; what the log gets."""

from __future__ import annotations

import json
import os
import re
import struct
import time
from collections.abc import Callable

from hotfolder.imaging import decoders
from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
ALLOW = "limits: {truncated: allow}"


def cut(place: Place, name: str = "cut.jpg") -> None:
    path = place.put(name, jpeg(400, 300)[:-9000])
    os.utime(path, (1, 1))


def why(place: Place, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(place.cli("why", "--json", str(place.inbox / name)).stdout)
    return found


def test_truncated_is_refused_then_allowed(place: Place) -> None:
    cut(place)
    place.put("whole.jpg", jpeg(200, 100))
    place.put("nothing.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    os.utime(place.inbox / "nothing.png", (1, 1))
    assert place.scan().returncode == 1
    assert {row["reason"] for row in place.failures()} == {"truncated"}
    assert place.renditions() == place.of("whole.jpg")

    place.configure(ALLOW)
    place.scan()
    assert place.renditions() == place.of("whole.jpg") | place.of("cut.jpg")
    assert why(place, "cut.jpg")["notes"] == ["truncated"]
    assert "notes      truncated" in place.cli("why", str(place.inbox / "cut.jpg")).stdout
    assert why(place, "whole.jpg")["notes"] == []
    (left,) = place.failures()
    assert left["decoder"] in {f"{each} lenient" for each in decoders()}
    tried = left["last_at"]
    place.scan()
    assert place.failures()[0]["last_at"] == tried  # not tried again: nothing has changed


def test_a_growing_file_is_not_shown_half(place: Place, run: Run) -> None:
    place.configure(ALLOW, "    presets: [small]\n    optimize: {enabled: false}")
    daemon = run(place)
    whole = jpeg(400, 300)
    place.put("slow.jpg", whole[:-9000])
    daemon.wait_log("put_off")
    assert place.renditions() == set()
    place.put("slow.jpg", whole)
    daemon.wait_renditions({"thumbnails/slow_thumb_small.jpg"})
    wait_for("the row", lambda: why(place, "slow.jpg")["state"] == "done", context=daemon.text)
    assert why(place, "slow.jpg")["notes"] == []


def test_c_libraries_write_nothing_into_the_log(place: Place, run: Run) -> None:
    """libtiff tells each bad code word of a fax on standard error: thousands of lines a picture."""
    tags = [
        (256, 4, 1, 64),
        (257, 4, 1, 64),
        (258, 3, 1, 1),
        (259, 3, 1, 4),
        (262, 3, 1, 0),
        (273, 4, 1, 134),
        (277, 3, 1, 1),
        (278, 4, 1, 64),
        (279, 4, 1, 400),
        (292, 4, 1, 0),
    ]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    fax = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + os.urandom(400)
    daemon = run(place)
    place.put("fax.tif", fax)
    wait_for("a verdict", lambda: " fax.tif " in daemon.text(), context=daemon.text)
    assert "Fax4" not in daemon.text()
    line = time.strftime("%H:")
    assert all(each.startswith(line[:2]) or each[:2].isdigit() for each in daemon.text().splitlines()), daemon.text()


def test_the_next_try_is_named_wherever_one_looks(place: Place, run: Run) -> None:
    daemon = run(place)
    place.put("half.jpg", jpeg(400, 300)[:-9000])
    daemon.wait_log("put_off")
    line = next(each for each in daemon.text().splitlines() if "put_off" in each)
    assert re.search(r"next_try=\"?20\d\d-", line), line
    found = wait_for("the row", lambda: (w := why(place, "half.jpg")).get("retry_at") and w, context=daemon.text)
    assert found["verdict"] == f"it is put off: next try at {found['retry_at']}"
    late = json.loads(daemon.get("/api/status"))["put_off"]
    assert late["count"] == 1
    assert late["next_try"].startswith("20")
    assert "put off after a failed try: 1, next try at 20" in place.cli("status", "--once").stdout


def test_nothing_that_was_finished_long_ago_is_waited_for(place: Place, run: Run) -> None:
    """A text file or an empty one that is moved in fails at once, and what is written into it later is taken."""
    daemon = run(place)
    for name, content in (("text.jpg", b"a shopping list"), ("empty.jpg", b"")):
        aside = place.base / name
        aside.write_bytes(content)
        os.utime(aside, (time.time() - 3600,) * 2)
        aside.rename(place.inbox / name)
    wait_for("both verdicts", lambda: len(place.failures()) == 2, context=daemon.text)
    assert {row["reason"]: row["tries"] for row in place.failures()} == {"not_an_image": 1, "empty": 1}
    assert "put_off" not in daemon.text()
    place.put("empty.jpg", jpeg())
    daemon.wait_renditions(place.of("empty.jpg"))
    place.put("fresh.jpg", b"just begun")
    daemon.wait_log("put_off")
