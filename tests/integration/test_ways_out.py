"""Every way out of the roots that a caller could try: none is open, and no answer tells where things lie."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import Daemon, Place, answer, jpeg

Run = Callable[[Place], Daemon]
BASE = "/api/image-processing"


@pytest.fixture
def house(tmp_path: Path, run: Run) -> Place:
    """A place with a secret picture beside the root, and links that lead to it."""
    place = Place(tmp_path / "place")
    (tmp_path / "secret.jpg").write_bytes(jpeg(60, 60))
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault/deep.jpg").write_bytes(jpeg(60, 60, seed=1))
    place.put("a.jpg", jpeg(60, 60, seed=2))
    place.put("sub/b.jpg", jpeg(60, 60, seed=3))
    (place.inbox / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (place.inbox / "door").symlink_to(tmp_path / "vault")
    (place.inbox / "inner.jpg").symlink_to(place.inbox / "a.jpg")
    run(place).metric("hotfolder_jobs_total")
    return place


def ways(place: Place) -> list[str]:
    outside = place.base.parent
    return [
        "inbox:../../secret.jpg",
        "../../secret.jpg",
        "sub/../../../secret.jpg",
        f"{outside}/secret.jpg",
        f"{place.inbox}/../../secret.jpg",
        "/etc/passwd",
        "link.jpg",
        "inbox:link.jpg",
        "door/deep.jpg",
        f"{place.inbox}/door/deep.jpg",
        f"{place.out}/thumbnails/a_thumb_small.jpg",
        f"{place.inbox}x/a.jpg",
        f"{place.base}/config.yaml",
        "inbox:/../../secret.jpg",
    ]


def test_paths(house: Place) -> None:
    for path in ways(house):
        for what, body in (
            ("thumbnails/generate-preset", {"presets": ["small"]}),
            ("images/optimize", {}),
            ("images/analyze", {}),
            ("thumbnails/generate", {"sizes": [{"width": 9, "height": 9, "suffix": "_x"}]}),
        ):
            status, text = answer(house, "POST", f"{BASE}/{what}", {"paths": ["a.jpg", path]} | body)
            assert status == 403, (path, what, text)
        assert answer(house, "POST", "/api/rescan", {"paths": [path]})[0] == 403, path
        assert answer(house, "POST", "/api/failures/retry", {"paths": [path]})[0] == 403, path
        assert answer(house, "GET", f"/api/why?path={urllib.parse.quote(path)}")[0] == 403, path
    assert json.loads(answer(house, "GET", "/api/jobs")[1]) == []
    status, _ = answer(house, "POST", f"{BASE}/images/analyze", {"paths": ["inner.jpg", "sub/../a.jpg"]})
    assert status == 202  # what stays inside is fine


def test_globs(house: Place) -> None:
    outside = house.base.parent
    for glob in (
        "../*.jpg",
        "inbox:../../*.jpg",
        "*/../../../*.jpg",
        f"{outside}/*.jpg",
        "/**/*.jpg",
        "/etc/*",
        "door/*",
    ):
        status, text = answer(house, "POST", f"{BASE}/images/analyze", {"glob": glob})
        assert status == 403, (glob, text)
    _, text = answer(house, "POST", f"{BASE}/images/analyze", {"glob": "**"})
    assert json.loads(text)["total"] == 2  # neither through the door nor by the links
    job = json.loads(text)["job_id"]
    found = json.loads(answer(house, "GET", f"/api/jobs/{job}")[1])["results"]
    assert [each["path"] for each in found] == ["a.jpg", "sub/b.jpg"]


def test_outputs(house: Place) -> None:
    outside = house.base.parent
    (house.out / "exit").symlink_to(outside / "vault")
    before = sorted(outside.rglob("*"))
    body = {"paths": ["a.jpg"], "presets": ["small"]}
    for output in (
        "..",
        "../x",
        f"{outside}/vault",
        "/tmp",
        "exit",
        "exit/x",
        f"{house.out}/../../vault",
        str(house.inbox),
    ):
        status, text = answer(house, "POST", f"{BASE}/thumbnails/generate-preset", body | {"output": output})
        assert status == 403, (output, text)
    for output in ("thumbnails/x", "x/optimized", "y" * 300, "a\0b"):
        assert answer(house, "POST", f"{BASE}/thumbnails/generate-preset", body | {"output": output})[0] == 422, output
    assert {path for path in outside.rglob("*") if house.base not in path.parents} == {
        path for path in before if house.base not in path.parents
    }


def test_no_error_tells_where_things_lie(house: Place) -> None:
    asked = [
        ("GET", "/api/sources/77", None),
        ("GET", "/api/renditions/77/small", None),
        ("GET", "/api/jobs/77", None),
        ("GET", "/page/../../app.py", None),
        ("GET", "/nothing", None),
        ("PUT", "/api/jobs", None),
        ("POST", "/api/rescan", {"watch": "odd"}),
        ("POST", "/api/rescan", {"paths": ["link.jpg"]}),
        ("POST", f"{BASE}/images/analyze", {"paths": ["../../secret.jpg"]}),
        ("POST", f"{BASE}/images/analyze", [1]),
        ("POST", f"{BASE}/thumbnails/generate-preset", {"paths": ["a.jpg"], "presets": ["small"], "output": "../x"}),
        ("DELETE", f"{BASE}/cache/thumbnails?watch=odd", None),
        ("POST", f"{BASE}/uploads", {}),
    ]
    for method, path, body in asked:
        status, text = answer(house, method, path, body)
        problem = json.loads(text)
        assert 400 <= status < 500, (path, text)
        assert {"type", "title", "status", "detail"} <= problem.keys()
        assert problem["status"] == status
        assert str(house.base.parent) not in text, path
        assert "Traceback" not in text
