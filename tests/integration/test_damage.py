"""Damaged sources: refused by default, shown as far as they go where the configuration says so; what the log gets."""

from __future__ import annotations

import json
import os
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
    tags = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 1), (259, 3, 1, 4), (262, 3, 1, 0), (273, 4, 1, 134),
            (277, 3, 1, 1), (278, 4, 1, 64), (279, 4, 1, 400), (292, 4, 1, 0)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    fax = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + os.urandom(400)
    daemon = run(place)
    place.put("fax.tif", fax)
    wait_for("a verdict", lambda: " fax.tif " in daemon.text(), context=daemon.text)
    assert "Fax4" not in daemon.text()
    line = time.strftime("%H:")
    assert all(each.startswith(line[:2]) or each[:2].isdigit() for each in daemon.text().splitlines()), daemon.text()
