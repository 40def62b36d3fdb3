"""Orders as programs place them: what is made, what is a hit, what fails; and that a kill loses nothing."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from tests.helpers import Daemon, Place, call, jpeg, wait_for

Run = Callable[[Place], Daemon]
BASE = "/api/image-processing"


def order(place: Place, what: str, **body: Any) -> dict[str, Any]:
    """Place it, wait until it has ended, give the job."""
    status, accepted = call(place, "POST", f"{BASE}/{what}", body)
    assert status == 202, accepted
    return ended(place, accepted["status_url"])


def ended(place: Place, url: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = call(place, "GET", url)[1]
        return found if found["state"] in ("done", "cancelled") else None

    found: dict[str, Any] = wait_for(f"{url} to end", look, 150)
    return found


def started(place: Place, run: Run, *names: str, size: tuple[int, int] = (900, 700)) -> Daemon:
    daemon = run(place)
    for number, name in enumerate(names):
        place.put(name, jpeg(*size, seed=number))
    daemon.wait_metric("hotfolder_jobs_total", len(names), watch="inbox", result="done")
    return daemon


def test_own_sizes_follow_their_source_and_go_with_its_version(place: Place, run: Run) -> None:
    daemon = started(place, run, "one/a.jpg")
    sizes = [
        {"width": 320, "height": 320, "suffix": "_w320"},
        {"width": 100, "height": 50, "fit": "cover", "format": "png", "suffix": "_tile"},
    ]
    job = order(place, "thumbnails/generate", paths=["inbox:one/a.jpg"], sizes=sizes)
    assert (job["kind"], job["total"], job["done"], job["failed"], job["progress"]) == ("generate", 1, 1, 0, 1.0)
    (result,) = job["results"]
    assert (result["path"], result["state"], result["error"]) == ("inbox:one/a.jpg", "done", None)
    w320, tile = result["renditions"]
    assert (w320["preset"], w320["width"], w320["height"]) == ("custom:_w320", 320, 249)
    assert w320["path"] == str(place.out / "thumbnails/one/a_w320.jpg")
    with Image.open(place.out / "thumbnails/one/a.jpg_tile.png") as image:
        assert (image.size, image.format, tile["bytes"]) == (
            (100, 50),
            "PNG",
            (place.out / "thumbnails/one/a.jpg_tile.png").stat().st_size,
        )
    assert daemon.metric("hotfolder_renditions_total", preset="custom") == 2

    decoded = daemon.decoded()
    again = order(place, "thumbnails/generate", paths=[str(place.inbox / "one/a.jpg")], sizes=sizes)
    assert again["results"][0]["renditions"] == result["renditions"]
    assert daemon.decoded() == decoded  # a hit

    (place.inbox / "one/a.jpg").rename(place.inbox / "b.jpg")
    own = {"thumbnails/b_w320.jpg", "thumbnails/b.jpg_tile.png"}
    daemon.wait_renditions(place.of("b.jpg") | own)
    assert daemon.decoded() == decoded
    assert place.scan("--verify").returncode == 0  # nor does a reconcile take them for left-overs
    assert place.renditions() == place.of("b.jpg") | own

    place.put("b.jpg", jpeg(800, 600, seed=7))
    daemon.wait_renditions(place.of("b.jpg"))
    order(place, "thumbnails/generate", paths=["b.jpg"], sizes=sizes)
    assert own <= place.renditions()
    (place.inbox / "b.jpg").unlink()
    daemon.wait_renditions(set())


def test_presets_are_hits_and_what_is_missing_is_made(place: Place, run: Run) -> None:
    daemon = started(place, run, "a.jpg", "b.jpg")
    decoded = daemon.decoded()
    job = order(place, "thumbnails/generate-preset", glob="*.jpg", presets=["small", "banner"])
    assert [each["path"] for each in job["results"]] == ["a.jpg", "b.jpg"]
    assert [each["preset"] for each in job["results"][0]["renditions"]] == ["small", "banner"]
    assert daemon.decoded() == decoded
    (place.out / "thumbnails/a_thumb_small.jpg").unlink()
    order(place, "thumbnails/generate-preset", paths=["a.jpg", "b.jpg"], presets=["small"])
    assert place.renditions() == place.of("a.jpg") | place.of("b.jpg")
    assert daemon.decoded() == decoded + 1


def test_results_below_an_output(place: Place, run: Run) -> None:
    daemon = started(place, run, "f/a.jpg")
    job = order(
        place, "thumbnails/generate-preset", paths=["f/a.jpg"], presets=["small"], output=str(place.out / "for/web")
    )
    assert job["results"][0]["renditions"][0]["path"] == str(place.out / "for/web/thumbnails/f/a_thumb_small.jpg")
    order(place, "images/optimize", paths=["f/a.jpg"], format="webp", quality=60, output="for/web")
    own = {"for/web/thumbnails/f/a_thumb_small.jpg", "for/web/optimized/f/a.jpg.webp"}
    regular = {path.replace("/", "/f/", 1) for path in place.of("a.jpg")}
    assert place.renditions() == regular | own
    (place.inbox / "f").rename(place.inbox / "g")
    moved = {
        path.replace("thumbnails/f", "thumbnails/g").replace("optimized/f", "optimized/g") for path in regular | own
    }
    daemon.wait_renditions(moved)


def test_a_copy_of_the_callers_own_stands_until_the_source_changes(place: Place, run: Run) -> None:
    daemon = started(place, run, "a.jpg")
    before = (place.out / "optimized/a.jpg").read_bytes()
    job = order(place, "images/optimize", paths=["a.jpg"], quality=30, max_dimension=300)
    (made,) = job["results"][0]["renditions"]
    assert (made["preset"], made["width"], made["bytes"]) == (
        "optimized",
        300,
        (place.out / "optimized/a.jpg").stat().st_size,
    )
    assert job["saved_bytes"] == (place.inbox / "a.jpg").stat().st_size - made["bytes"] > 0
    assert place.scan().returncode == 0
    assert (place.out / "optimized/a.jpg").stat().st_size == made["bytes"]
    job = order(place, "images/optimize", paths=["a.jpg"])  # as the watch has it: that is what stands there then
    assert (place.out / "optimized/a.jpg").read_bytes() == before
    assert job["results"][0]["renditions"][0]["bytes"] == len(before)
    order(place, "images/optimize", paths=["a.jpg"], format="webp")
    assert "optimized/a.jpg.webp" in place.renditions()
    place.put("a.jpg", jpeg(900, 700, seed=5))
    daemon.wait_renditions(place.of("a.jpg"))
    wait_for("the watch's own copy", lambda: len((place.out / "optimized/a.jpg").read_bytes()) > len(before) / 2)


def test_analysis_stands_in_the_results(tmp_path: Any, run: Run) -> None:
    place = Place(tmp_path, watch="    analyze: false")
    started(place, run, "a.jpg")
    job = order(place, "images/analyze", paths=["a.jpg"])
    assert (job["results"][0]["analysis"]["width"], job["results"][0]["renditions"]) == (900, [])
    assert job["results"][0]["analysis"]["sharpness"] > 0


def test_what_cannot_be_made_says_why(place: Place, run: Run) -> None:
    started(place, run, "a.jpg", "a_w9.jpg")
    place.put("notes.txt", b"no image")
    paths = ["a.jpg", "missing.jpg", "notes.txt"]
    job = order(place, "thumbnails/generate-preset", paths=paths, presets=["small"])
    assert (job["done"], job["failed"], job["progress"]) == (1, 2, 1.0)
    states = {each["path"]: each["error"] and each["error"]["reason"] for each in job["results"]}
    assert states == {"a.jpg": None, "missing.jpg": "not_found", "notes.txt": "unsupported"}
    # Its name would be that of another's rendition: the item fails, the source stays well.
    order(place, "thumbnails/generate", paths=["a_w9.jpg"], sizes=[{"width": 9, "height": 9, "suffix": "_q"}])
    job = order(place, "thumbnails/generate", paths=["a.jpg"], sizes=[{"width": 9, "height": 9, "suffix": "_w9_q"}])
    assert job["results"][0]["error"]["reason"] == "name_taken"
    assert place.failures() == []


def test_bodies_are_checked(place: Place, run: Run) -> None:
    started(place, run, "a.jpg")

    def refused(what: str, **body: Any) -> tuple[int, str]:
        status, problem = call(place, "POST", f"{BASE}/{what}", body)
        return status, problem.get("errors", [{"field": ""}])[0]["field"]

    size = {"width": 10, "height": 10, "suffix": "_x"}
    presets = "thumbnails/generate-preset"
    assert refused(presets, paths=["a.jpg"], presets=["odd"]) == (422, "presets.0")
    assert refused(presets, paths=["a.jpg"], presets=["small"], extra=1) == (422, "extra")
    assert refused(presets, paths=[], presets=["small"]) == (422, "paths")
    assert refused(presets, paths=["a.jpg"] * 1001, presets=["small"]) == (422, "paths")
    assert refused(presets, paths=["a.jpg"], glob="*", presets=["small"])[0] == 422
    assert refused(presets, presets=["small"])[0] == 422
    assert refused(presets, glob="*.png", presets=["small"]) == (422, "glob")
    assert refused("images/optimize", paths=["a.jpg"], quality=101) == (422, "quality")
    assert refused("images/optimize", paths=["a.jpg"], mode="odd") == (422, "mode")
    for suffix in ("_thumb_small", "mall", "x_thumb_small", "", "/x", "a" * 33, "x\n"):
        sizes = [size | {"suffix": suffix}]
        assert refused("thumbnails/generate", paths=["a.jpg"], sizes=sizes) == (422, "sizes.0.suffix"), suffix
    twice = [size, size | {"suffix": "_X"}]
    assert refused("thumbnails/generate", paths=["a.jpg"], sizes=twice) == (422, "sizes.1.suffix")
    assert refused("thumbnails/generate", paths=["a.jpg"], sizes=[size] * 9) == (422, "sizes")
    assert refused("thumbnails/generate", paths=["a\0.jpg"], sizes=[size])[0] == 422
    assert call(place, "GET", "/api/jobs/none")[0] == 404
    assert call(place, "DELETE", "/api/jobs/none")[0] == 404
    assert call(place, "GET", "/api/jobs")[1] == []


def test_a_killed_daemon_goes_on_with_its_orders(place: Place, run: Run) -> None:
    names = [f"{number}.jpg" for number in range(12)]
    daemon = started(place, run, *names, size=(1600, 1200))
    sizes = [{"width": 1000 + n, "height": 1000, "suffix": f"_own{n}"} for n in range(4)]
    status, accepted = call(place, "POST", f"{BASE}/thumbnails/generate", {"paths": names, "sizes": sizes})
    assert status == 202

    def some() -> bool:
        return bool(0 < call(place, "GET", accepted["status_url"])[1]["done"] < len(names))

    wait_for("some images, not all", some)
    daemon.stop(signal.SIGKILL)
    run(place)
    job = ended(place, accepted["status_url"])
    assert (job["done"], job["failed"]) == (12, 0)
    expected = {f"thumbnails/{n}_own{k}.jpg" for n in range(12) for k in range(4)}
    assert place.renditions() == expected.union(*(place.of(name) for name in names))


def test_cancel_frees_the_queue_and_fresh_drops_overtake(place: Place, run: Run) -> None:
    names = [f"{number}.jpg" for number in range(30)]
    daemon = started(place, run, *names, size=(1600, 1200))
    sizes = [{"width": 1000 + n, "height": 1000, "format": "webp", "suffix": f"_own{n}"} for n in range(8)]
    _, accepted = call(place, "POST", f"{BASE}/thumbnails/generate", {"paths": names, "sizes": sizes})
    wait_for("it to run", lambda: call(place, "GET", accepted["status_url"])[1]["done"])
    place.put("fresh.jpg", jpeg(seed=99))
    wait_for("the fresh one", lambda: place.of("fresh.jpg") <= place.renditions())
    job = call(place, "GET", accepted["status_url"])[1]
    assert job["state"] == "running"
    assert job["rate"] > 0
    assert job["time_left"] > 0
    status, cancelled = call(place, "DELETE", accepted["status_url"])
    assert (status, cancelled["state"]) == (200, "cancelled")
    assert cancelled["done"] < 30
    wait_for("the queue to be empty", lambda: not json.loads(daemon.get("/api/status"))["queue"]["backlog"])
    results = call(place, "GET", accepted["status_url"] + "?limit=1000")[1]["results"]
    assert {each["state"] for each in results} == {"done", "cancelled"}
    assert call(place, "DELETE", accepted["status_url"])[1]["state"] == "cancelled"


def test_results_come_in_pages_and_too_many_open_orders_wait(place: Place, run: Run) -> None:
    started(place, run, "a.jpg", "b.jpg")
    job = order(place, "thumbnails/generate-preset", paths=["a.jpg"] * 250, presets=["small"])
    assert (job["done"], len(job["results"]), job["next"]) == (250, 100, 100)
    last = call(place, "GET", f"/api/jobs/{job['id']}?cursor=200&limit=100")[1]
    assert (len(last["results"]), last["next"]) == (50, None)
    assert call(place, "GET", "/api/jobs")[1][0]["id"] == job["id"]

    call(place, "POST", "/api/pause", {"lane": "all"})
    # Of a.jpg a job may still be in work, and that takes up what is ordered meanwhile.
    body = {"paths": ["b.jpg"], "presets": ["large"]}
    answers = [call(place, "POST", f"{BASE}/thumbnails/generate-preset", body) for _ in range(101)]
    assert [status for status, _ in answers] == [202] * 100 + [503]
    call(place, "POST", "/api/resume", {"lane": "all"})
    for _, accepted in answers[:100]:
        assert ended(place, accepted["status_url"])["done"] == 1


def test_a_small_machine_takes_all_that_is_asked_for_at_once(tmp_path: Path, run: Run) -> None:
    place = Place(
        tmp_path,
        watch="    presets: [small]\n    optimize: {enabled: false}\n    analyze: false",
        extra="pool: {workers: 2}",
    )
    names = [f"{number}.jpg" for number in range(75)]
    started(place, run, *names, size=(300, 200))
    call(place, "POST", "/api/pause", {"lane": "all"})
    asked = [
        ("thumbnails/generate-preset", names, {"presets": ["large", "banner"]}),
        ("images/optimize", names[:50], {}),
        ("images/analyze", names[:60], {}),
    ]
    answers = [call(place, "POST", f"{BASE}/{what}", {"paths": paths, **more}) for what, paths, more in asked]
    assert [status for status, _ in answers] == [202] * 3
    waiting = [call(place, "GET", accepted["status_url"])[1] for _, accepted in answers]
    assert [(job["total"], job["done"], job["failed"]) for job in waiting] == [(75, 0, 0), (50, 0, 0), (60, 0, 0)]
    call(place, "POST", "/api/resume", {"lane": "all"})
    jobs = [ended(place, accepted["status_url"]) for _, accepted in answers]
    assert [(job["done"], job["failed"]) for job in jobs] == [(75, 0), (50, 0), (60, 0)]


def test_an_order_begins_with_work_and_tells_how_much_is_left(place: Place, run: Run) -> None:
    names = [f"{number}.jpg" for number in range(24)]
    started(place, run, *names, size=(1600, 1200))
    assert place.cli("pause").returncode == 0
    sizes = [{"width": 1000 + n, "height": 1000, "format": "webp", "suffix": f"_own{n}"} for n in range(8)]
    body = {"paths": [*names, "none.txt"], "sizes": sizes}
    _, accepted = call(place, "POST", f"{BASE}/thumbnails/generate", body)
    job = call(place, "GET", accepted["status_url"])[1]
    assert (job["state"], job["failed"], job["started_at"], job["time_left"]) == ("queued", 1, None, None)
    assert place.cli("resume").returncode == 0

    def look() -> dict[str, Any]:
        found: dict[str, Any] = call(place, "GET", accepted["status_url"])[1]
        return found

    begun = wait_for("it to begin", lambda: (job := look())["started_at"] and job, 60)
    assert (begun["state"], begun["done"], begun["time_left"]) == ("running", 0, None)  # before the first one ends
    some = wait_for("six of them", lambda: (job := look())["done"] >= 6 and job, 60)
    told_at = time.time()
    assert some["started_at"] == begun["started_at"]
    job = ended(place, accepted["status_url"])
    real = datetime.fromisoformat(job["finished_at"]).timestamp() - told_at
    assert real / 4 < some["time_left"] < 4 * real  # a factor of two on a machine that does nothing else
    assert job["time_left"] is None


def test_a_rescan_ended_when_it_ended(place: Place, run: Run) -> None:
    started(place, run, "a.jpg", "b.jpg")
    call(place, "POST", "/api/rescan", {})
    wait_for("its end", lambda: call(place, "GET", "/api/jobs")[1][0]["state"] == "done", 60)
    asked = time.time()
    job = call(place, "GET", "/api/jobs")[1][0]
    assert job["finished_at"] is not None
    assert datetime.fromisoformat(job["finished_at"]).timestamp() <= asked
