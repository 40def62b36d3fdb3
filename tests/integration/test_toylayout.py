"""A new layout touches one file: here one that stands outside the package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import hotfolder
from tests.helpers import Daemon, Place, jpeg
from tests.integration.test_orders import order

TOY = (Path(__file__).parents[1] / "unit/toylayout.py").read_text()
WATCH = "    layout: toy\n    presets: [small, square]\n"


def made(*names: str) -> set[str]:
    """What a source of each of these paths has."""
    found = set()
    for path in names:
        folder, slash, name = path.rpartition("/")
        found |= {f"tiles/{folder}{slash}{suffix}--{name}.jpg" for suffix in ("_thumb_small", "_square")} | {
            f"whole/{path}"
        }
    return found


@pytest.fixture
def toys(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, watch=WATCH)
    place.hook(TOY)
    yield place


def test_a_scan_makes_verifies_and_removes(toys: Place) -> None:
    toys.put("a.jpg", jpeg(seed=1))
    toys.put("deep/er/b.jpg", jpeg(seed=2))
    done = toys.scan()
    assert done.returncode == 0, done.stderr
    assert toys.renditions() == made("a.jpg", "deep/er/b.jpg")
    with hotfolder.open_index(toys.base / ".hotfolder") as index:
        found = index.find(toys.inbox / "deep/er/b.jpg")
    assert found is not None
    assert {str(each.path.relative_to(toys.out)) for each in found.files if each.path} == made("deep/er/b.jpg")

    assert "made 0 " in toys.scan().stdout
    (toys.inbox / "deep/er").rename(toys.inbox / "deep/est")
    (toys.inbox / "a.jpg").rename(toys.inbox / "c.jpg")
    assert "made 0 " in toys.scan().stdout
    assert toys.renditions() == made("c.jpg", "deep/est/b.jpg")
    (toys.out / "tiles/_thumb_small--c.jpg.jpg").unlink()
    assert "1 missing" in toys.cli("cache", "verify").stdout
    assert toys.scan("--verify").returncode == 0
    assert toys.renditions() == made("c.jpg", "deep/est/b.jpg")
    (toys.inbox / "c.jpg").unlink()
    assert toys.scan("--confirm-deletes").returncode == 0
    assert toys.scan("--confirm-deletes").returncode == 0
    assert toys.renditions() == made("deep/est/b.jpg")


def test_drops_renames_and_orders(toys: Place) -> None:
    daemon = Daemon(toys).ready()
    try:
        toys.put("a.jpg", jpeg(seed=1))
        toys.put("folder/b.jpg", jpeg(seed=2))
        daemon.wait_renditions(made("a.jpg", "folder/b.jpg"))
        (toys.inbox / "folder").rename(toys.inbox / "other")
        (toys.inbox / "a.jpg").rename(toys.inbox / "c.jpg")
        daemon.wait_renditions(made("c.jpg", "other/b.jpg"))
        size = {"width": 40, "height": 40, "suffix": "_forty"}
        assert order(toys, "thumbnails/generate", glob="inbox:**", sizes=[size], output="here")["failed"] == 0
        ordered = {"here/tiles/_forty--c.jpg.jpg", "here/tiles/other/_forty--b.jpg.jpg"}
        daemon.wait_renditions(made("c.jpg", "other/b.jpg") | ordered)
        (toys.inbox / "c.jpg").unlink()
        daemon.wait_renditions({each for each in made("other/b.jpg") | ordered if "c.jpg" not in each})
    finally:
        assert daemon.stop() == 0


def test_a_killed_job_leaves_nothing_in_its_areas(toys: Place) -> None:
    assert toys.scan().returncode == 0
    toys.put("a.jpg", jpeg(seed=1))
    toys.hook(TOY + "\nimport os\nos.rename = os.replace = lambda *_, **__: os._exit(9)\n")
    assert toys.scan().returncode == 9
    assert any(name.startswith("tiles/.hotfolder-") for name in toys.renditions())
    toys.hook(TOY)
    assert toys.scan().returncode == 0
    assert toys.renditions() == made("a.jpg")


def test_the_configuration_knows_it(toys: Place) -> None:
    schema = json.loads(toys.cli("config", "schema").stdout)
    assert schema["$defs"]["Watch"]["properties"]["layout"]["enum"][:2] == ["mirror", "toy"]
    toys.configure(watch="    layout: sidecar\n")
    assert "does not exist yet; allowed: mirror, toy" in toys.cli("config", "check").stderr
    toys.hook("")
    toys.configure(watch="    layout: toy\n")
    assert '"toy" is not allowed; allowed: mirror, sidecar' in toys.cli("config", "check").stderr
