"""Nothing is done twice: the stage metric shows what was decoded, and the tree that all lies where it belongs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
WATCH = "    presets: [small]\n    optimize: {enabled: false}"


def small(path: str) -> str:
    return f"thumbnails/{path}_thumb_small.jpg"


def test_links_copies_and_other_owners(place: Place, run: Run) -> None:
    daemon = run(place)
    source = place.put("a.jpg", jpeg(500, 400))
    daemon.wait_renditions(place.of("a.jpg"))
    (place.inbox / "deep").mkdir()
    (place.inbox / "b.jpg").hardlink_to(source)
    shutil.copy(source, place.inbox / "deep/c.jpg")
    deep = {path.replace("/", "/deep/", 1) for path in place.of("c.jpg")}
    three = place.of("a.jpg") | place.of("b.jpg") | deep
    daemon.wait_renditions(three)
    if os.geteuid() == 0:
        os.chown(source, 1, 1)
    source.chmod(0o640)
    os.utime(source, (1, 1))
    wait_for("the new time", lambda: "1000000000" in [row["mtime_ns"] for row in place.export()], context=daemon.text)
    assert daemon.decoded() == 1
    for one, other in (("a_preview", "b_preview"), ("a_banner", "deep/c_banner")):
        assert (place.out / f"thumbnails/{one}.jpg").read_bytes() == (
            place.out / f"thumbnails/{other}.jpg"
        ).read_bytes()
    source.unlink()
    daemon.wait_renditions(three - place.of("a.jpg"))
    (place.inbox / "b.jpg").write_bytes(jpeg(300, 300, 7))
    wait_for("the changed one", lambda: daemon.decoded() == 2, context=daemon.text)
    daemon.wait_renditions(three - place.of("a.jpg"))


@pytest.mark.timeout(400)
def test_ten_thousand_in_a_moved_folder_and_a_restored_backup(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    seeds = [jpeg(48, 32, number) for number in range(20)]
    total = 10_000
    for number in range(total):
        content = seeds[number % 20] + number.to_bytes(4, "big")  # each a file of its own
        place.put(f"album/{number // 500}/{number}.jpg", content)
    daemon = run(place)
    wait_for("all made", lambda: len(place.renditions()) == total, 240, daemon.text)
    wait_for("all stored", lambda: daemon.metric("hotfolder_sources_pending", watch="inbox") == 0, 60)
    decoded = daemon.decoded()
    assert decoded == total
    (place.inbox / "album").rename(place.inbox / "moved")
    moved = {small(f"moved/{number // 500}/{number}") for number in range(total)}
    wait_for("the output moved", lambda: place.renditions() == moved, 60, daemon.text)
    for folder, _, names in os.walk(place.inbox):
        for name in names:
            os.utime(os.path.join(folder, name), (1_700_000_000, 1_700_000_000))
    assert place.scan().returncode == 0
    assert daemon.decoded() == decoded
    assert daemon.stop() == 0
    (place.inbox / "moved").rename(place.inbox / "again")  # while no daemon runs
    daemon = run(place)
    again = {small(f"again/{number // 500}/{number}") for number in range(total)}
    wait_for("the output moved again", lambda: place.renditions() == again, 120, daemon.text)
    assert place.scan().returncode == 0
    assert daemon.decoded() == 0


def test_a_lost_index_is_rebuilt_without_encoding(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for number in range(5):
        place.put(f"{number}.jpg", jpeg(400, 300, number))
    place.put("logo.png", b"")
    assert place.scan().returncode == 1
    before = {name: (place.out / name).stat().st_mtime_ns for name in place.renditions()}
    assert len(before) == 35
    shutil.rmtree(tmp_path / ".hotfolder")
    (place.out / "thumbnails/0_banner.jpg").unlink()
    os.utime(place.out / "thumbnails/1_banner.jpg", (1, 1))  # older than its source
    found = place.scan("--adopt")
    assert "(2 renditions)" in found.stdout, found.stdout  # the other three are decoded for their analysis alone
    after = {name: (place.out / name).stat().st_mtime_ns for name in place.renditions()}
    assert {name for name in before if after[name] != before[name]} == {
        "thumbnails/0_banner.jpg",
        "thumbnails/1_banner.jpg",
    }
    assert place.scan("--verify").returncode == 0
    assert {name: (place.out / name).stat().st_mtime_ns for name in place.renditions()} == after
    (place.inbox / "2.jpg").unlink()
    assert place.scan().returncode == 0
    assert not place.renditions() & place.of("2.jpg")


def test_a_damaged_index_is_set_aside_and_rebuilt(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    for number in range(5):
        place.put(f"{number}.jpg", jpeg(80, 60, number))
    assert place.scan().returncode == 0
    index = tmp_path / ".hotfolder/index.db"
    index.write_bytes(b"damaged " * 2000)
    daemon = run(place)
    daemon.wait_log("index_damaged")
    wait_for("all rows", lambda: len([r for r in place.export() if r["state"] == "done"]) == 5, context=daemon.text)
    daemon.wait_renditions({small(str(number)) for number in range(5)})
    assert list((tmp_path / ".hotfolder").glob("index.db.damaged-*"))
