"""What is known, as programs and the page ask for it: pages of sources, one source, renditions with ranges and tags."""

from __future__ import annotations

import io
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PIL import Image

from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]


def ask(place: Place, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> Any:
    """(status, headers, body) whatever the status is."""
    request = urllib.request.Request(f"http://127.0.0.1:{place.port}{path}", headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def listed(place: Place, query: str = "") -> dict[str, Any]:
    status, _, body = ask(place, f"/api/sources?{query}")
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


def test_pages_filters_and_one_source(place: Place, run: Run) -> None:
    daemon = run(place)
    for number in range(7):
        place.put(f"holiday/IMG_{number}.jpg", jpeg(80, 60, number))
    place.put("Müller 100%.jpg", jpeg(90, 60))
    place.put("empty.png", b"")
    daemon.wait_metric("hotfolder_jobs_total", 8, watch="inbox", result="done")
    wait_for("the empty one", lambda: listed(place)["total"] == 9)

    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = listed(place, f"limit=4&cursor={cursor}")
        assert len(page["sources"]) <= 4
        seen += [each["path"] for each in page["sources"]]
        cursor = page["next"]
    assert len(seen) == len(set(seen)) == 9

    def names(query: str) -> set[str]:
        return {each["path"] for each in listed(place, query)["sources"]}

    assert names("text=img_3") == {"holiday/IMG_3.jpg"}
    assert len(names("text=Holiday")) == 7
    assert names("text=m%C3%BCLLER") == names("text=100%25") == {"Müller 100%.jpg"}
    assert names("text=m_ller") == set()
    assert names("state=pending") == {"empty.png"}  # young: it may not be whole yet
    assert len(names("state=done&watch=inbox")) == 8
    assert ask(place, "/api/sources?watch=nothing")[0] == 404
    assert ask(place, "/api/sources?cursor=x")[0] == 422
    assert ask(place, "/api/sources?state=odd")[0] == 422

    first = listed(place, "text=IMG_3")["sources"][0]
    detail = json.loads(ask(place, f"/api/sources/{first['id']}")[2])
    assert (detail["width"], detail["height"], detail["format"], detail["state"]) == (80, 60, "jpeg", "done")
    assert {each["preset"] for each in detail["renditions"]} == {
        "small",
        "medium",
        "large",
        "preview",
        "square",
        "banner",
        "optimized",
    }
    optimized = next(each for each in detail["renditions"] if each["preset"] == "optimized")
    assert optimized["saved"] == detail["bytes"] - optimized["bytes"]
    assert (place.out / optimized["path"]).stat().st_size == optimized["bytes"]
    assert detail["analysis"]["width"] == 80
    assert ask(place, "/api/sources/999999")[0] == 404


def test_a_rendition_with_tags_and_ranges(place: Place, run: Run) -> None:
    daemon = run(place)
    place.put("a.jpg", jpeg(900, 700))
    daemon.wait_metric("hotfolder_jobs_total", 1, watch="inbox", result="done")
    address = f"/api/renditions/{listed(place)['sources'][0]['id']}/large"
    status, headers, body = ask(place, address)
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert body == (place.out / "thumbnails/a_thumb_large.jpg").read_bytes()
    assert int(headers["content-length"]) == len(body)
    assert ask(place, address, method="HEAD")[1]["content-length"] == str(len(body))
    tag, modified = headers["etag"], headers["last-modified"]

    assert ask(place, address, {"If-None-Match": tag})[::2] == (304, b"")
    assert ask(place, address, {"If-None-Match": f'"x", {tag}'})[0] == 304
    assert ask(place, address, {"If-Modified-Since": modified})[0] == 304
    assert ask(place, address, {"If-None-Match": '"x"', "If-Modified-Since": modified})[0] == 200

    for given, part in (("0-9", body[:10]), ("100-", body[100:]), ("-7", body[-7:]), ("5-999999999", body[5:])):
        status, headers, found = ask(place, address, {"Range": f"bytes={given}"})
        assert (status, found) == (206, part), given
        assert headers["content-range"].endswith(f"/{len(body)}")
    assert ask(place, address, {"Range": f"bytes={len(body)}-"})[0] == 416
    assert ask(place, address, {"Range": "bytes=-0"})[0] == 416
    assert ask(place, address, {"Range": "bytes=9-3"})[0] == 416
    for odd in ("bytes=-", "bytes=0-1,5-6", "lines=1-2"):
        assert ask(place, address, {"Range": odd})[::2] == (200, body), odd
    assert ask(place, address, {"Range": "bytes=0-9", "If-Range": tag})[0] == 206
    assert ask(place, address, {"Range": "bytes=0-9", "If-Range": '"old"'})[::2] == (200, body)
    assert ask(place, address.replace("large", "huge"))[0] == 404
    assert ask(place, address.replace("large", "%2e%2e"))[0] == 404


def test_a_missing_one_is_made_once(place: Place, run: Run) -> None:
    daemon = run(place)
    place.put("a.jpg", jpeg(900, 700))
    daemon.wait_metric("hotfolder_jobs_total", 1, watch="inbox", result="done")
    address = f"/api/renditions/{listed(place)['sources'][0]['id']}/large"
    before = ask(place, address)[2]
    (place.out / "thumbnails/a_thumb_large.jpg").unlink()
    barrier = threading.Barrier(12)

    def fetch(_: int) -> Any:
        barrier.wait()
        return ask(place, address)

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(fetch, range(12)))
    assert {(status, body) for status, _, body in answers} == {(200, before)}
    assert daemon.decoded() == 2
    with Image.open(io.BytesIO(before)) as image:
        assert image.size == (600, 467)


def test_one_that_cannot_be_made_says_why(place: Place, run: Run) -> None:
    daemon = run(place)
    place.put("bad.png", b"\x89PNG\r\n\x1a\n" + bytes(60))
    place.put("a.jpg", jpeg())
    daemon.wait_metric("hotfolder_jobs_total", 1, watch="inbox", result="done")
    bad = listed(place, "text=bad")["sources"][0]
    status, headers, body = ask(place, f"/api/renditions/{bad['id']}/small")
    assert (status, headers["retry-after"], headers["content-type"]) == (503, "10", "application/problem+json")
    assert str(place.base) not in body.decode()
    good = listed(place, "text=a.jpg")["sources"][0]
    (place.inbox / "a.jpg").unlink()
    wait_for("the source to be gone", lambda: ask(place, f"/api/renditions/{good['id']}/small")[0] == 404)
