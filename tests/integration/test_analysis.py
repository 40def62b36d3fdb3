"""The analysis record of every source: made with its thumbnails, kept right by the same rules, by a real daemon."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from typing import Any

from PIL import Image

from hotfolder.imaging.record import CAMERA_CLASSES, VERDICTS
from tests.helpers import RENDITIONS, Daemon, Place, jpeg, picture, wait_for


def records(place: Place) -> dict[str, Any]:
    return {each["path"]: each["analysis"] for each in place.export()}


def tagged(seed: int = 0) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "Canon EOS 5D"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 15.0), 3: "E", 4: (11.0, 34.0, 30.0)})
    return jpeg(seed=seed, exif=exif)


def test_every_source_gets_its_record(place: Place) -> None:
    place.put("one.jpg", tagged())
    place.put("sub/two.jpg", jpeg(seed=2))
    assert place.scan().returncode == 0
    found = records(place)
    assert set(found) == {"one.jpg", "sub/two.jpg"}
    one = found["one.jpg"]
    assert (one["format"], one["width"], one["height"], one["camera"]) == ("jpeg", 320, 240, "Canon EOS 5D")
    assert one["latitude"] is None  # positions only where they are asked for
    assert 0 < one["sharpness"] <= 1
    assert one["phash"] != found["sub/two.jpg"]["phash"]


def test_touched_renamed_and_copied_sources_keep_their_record_without_decoding(
    place: Place, run: Callable[[Place], Daemon]
) -> None:
    source = place.put("one.jpg", tagged())
    daemon = run(place)
    daemon.wait_renditions(place.of("one.jpg"))
    daemon.wait_log(" ready ")
    before = records(place)["one.jpg"]
    os.utime(source, (1, 1))
    source.rename(place.inbox / "two.jpg")
    daemon.wait_renditions(place.of("two.jpg"))
    place.put("three.jpg", tagged())
    daemon.wait_renditions(place.of("two.jpg") | place.of("three.jpg"))
    daemon.wait_metric("hotfolder_cache_requests_total", 2, result="hit")
    assert daemon.decoded() == 1
    assert daemon.metric("hotfolder_stage_duration_seconds_count", stage="analyze") == 1
    assert daemon.stop() == 0
    assert records(place) == {"two.jpg": before, "three.jpg": before}


def test_a_changed_source_is_analysed_again(place: Place) -> None:
    place.put("one.jpg", jpeg(seed=1))
    place.scan()
    before = records(place)["one.jpg"]
    place.put("one.jpg", jpeg(seed=2))
    place.scan()
    assert records(place)["one.jpg"]["phash"] != before["phash"]


def test_analysis_switched_on_later_is_all_that_is_made_and_switched_off_it_goes(place: Place) -> None:
    place.configure(watch="    analyze: false")
    place.put("one.jpg", tagged())
    assert "made 1 " in place.scan().stdout
    assert records(place) == {"one.jpg": None}
    written = {name: (place.out / name).stat().st_mtime_ns for name in place.renditions()}
    assert len(written) == RENDITIONS

    place.configure(watch="    analyze: {gps: true, pixels: false}")
    assert "made 1 (0 renditions)" in place.scan().stdout
    one = records(place)["one.jpg"]
    assert (round(one["latitude"], 4), one["sharpness"]) == (48.1375, None)
    assert len(one["phash"]) == 16

    place.configure(watch="    analyze: true")
    assert "made 1 (0 renditions)" in place.scan().stdout
    one = records(place)["one.jpg"]
    assert one["latitude"] is None
    assert one["sharpness"] > 0

    place.configure(watch="    analyze: false")
    assert "made 0 (0 renditions), reused 1" in place.scan().stdout
    assert records(place) == {"one.jpg": None}
    assert {name: (place.out / name).stat().st_mtime_ns for name in place.renditions()} == written


def test_the_record_does_not_depend_on_what_else_is_made_nor_where(place: Place) -> None:
    place.put("one.jpg", tagged())
    place.scan()
    with_all = records(place)["one.jpg"]
    assert place.cli("cache", "clear", "--yes").returncode == 0
    (place.base / ".hotfolder" / "index.db").unlink()
    place.configure("pool: {isolate: always}", "    presets: [small]")
    place.scan()
    assert records(place)["one.jpg"] == with_all


def test_a_watch_may_analyse_and_make_nothing(place: Place) -> None:
    place.configure(watch="    presets: []\n    optimize: {enabled: false}")
    place.put("one.jpg", tagged())
    place.put("copy.jpg", tagged())
    assert place.scan().returncode == 0
    assert place.renditions() == set()
    assert records(place)["one.jpg"]["camera"] == "Canon EOS 5D"
    assert records(place)["copy.jpg"] == records(place)["one.jpg"]
    place.configure(watch="    presets: []\n    optimize: {enabled: false}\n    analyze: false")
    place.put("two.jpg", jpeg(seed=4))
    assert place.scan().returncode == 0


def test_broken_exif_costs_the_facts_and_nothing_else(place: Place) -> None:
    file = io.BytesIO()
    picture().save(file, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 2000)
    place.put("one.jpg", file.getvalue())
    assert place.scan().returncode == 0
    one = records(place)["one.jpg"]
    assert one["camera"] is None
    assert one["sharpness"] > 0


def test_the_daemon_sums_up_what_it_analysed(place: Place, run: Callable[[Place], Daemon]) -> None:
    place.put("one.jpg", tagged())
    place.put("copy.jpg", tagged())
    place.put("soft.jpg", jpeg(seed=2))
    daemon = run(place)
    names = ("one.jpg", "copy.jpg", "soft.jpg")
    daemon.wait_renditions(set().union(*(place.of(name) for name in names)))
    daemon.wait_metric("hotfolder_jobs_total", 2, result="done", watch="inbox")
    wait_for("all to be committed", lambda: all(each["analysis"] for each in place.export()))
    found = json.loads(daemon.get("/api/library/summary"))
    assert (found["images"], found["sources"], found["formats"]["jpeg"]["images"]) == (3, 3, 3)
    assert found["cameras"] == {"Canon EOS 5D": 2, "unknown": 1}
    assert found["duplicates"]["exact"] == 1
    assert found["bytes"] == sum((place.inbox / name).stat().st_size for name in names)
    assert found["rendition_bytes"] == sum((place.out / name).stat().st_size for name in place.renditions())
    verdicts = [
        daemon.metric("hotfolder_analyzed_total", camera=c, verdict=v) for c in CAMERA_CLASSES for v in VERDICTS
    ]
    assert sum(verdicts) == daemon.decoded()
    place.put("four.jpg", jpeg(seed=5))
    daemon.wait_renditions(set().union(*(place.of(name) for name in (*names, "four.jpg"))))
    assert json.loads(daemon.get("/api/library/summary"))["as_of"] == found["as_of"]  # kept for a while
