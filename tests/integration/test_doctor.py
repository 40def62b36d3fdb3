"""`hotfolder doctor` finds what stands in the way and says what to do; `hotfolder bench` measures and suggests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from hotfolder.config.units import size
from hotfolder.imaging import native
from tests.faults.hooks import BLOCK
from tests.helpers import Place, jpeg, picture


def examined(place: Place) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    done = place.cli("doctor", "--json")
    found: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(done.stdout):
        assert set(each) == {"subject", "level", "text", "remedy"}
        assert bool(each["remedy"]) == (each["level"] != "ok"), each
        found.setdefault(each["subject"], []).append(each)
    return done.returncode, found


def test_all_is_well(place: Place) -> None:
    before = sorted(place.base.rglob("*"))
    status, found = examined(place)
    assert status == 0
    assert {"memory", "state", "watch inbox", "output of inbox", "codecs", "codec heif"} <= set(found)
    assert found["jpeg core"][0]["level"] == ("advice" if native.core is None else "ok")
    assert "problem" not in {each["level"] for findings in found.values() for each in findings}
    assert sorted(place.base.rglob("*")) == before  # nothing was made
    assert "inbox" in place.cli("doctor").stdout


def test_what_stands_in_the_way_is_said_with_its_remedy(tmp_path: Path) -> None:
    place = Place(tmp_path, watch="    create: false", extra="limits: {min_free: 900000GB}")
    place.inbox.rmdir()
    (tmp_path / ".hotfolder").write_text("in the way")
    status, found = examined(place)
    assert status == 1
    assert "create: true" in found["watch inbox"][0]["remedy"]
    assert found["state"][0]["level"] == "problem"
    assert "limits.min_free" in found["output of inbox"][0]["remedy"]


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may read everything")
def test_folders_that_may_not_be_read(place: Place) -> None:
    closed = place.inbox / "closed"
    closed.mkdir(mode=0)
    _, found = examined(place)
    assert any("closed" in each["text"] for each in found["watch inbox"])


def test_more_memory_than_there_is(tmp_path: Path) -> None:
    status, found = examined(Place(tmp_path, extra="pool: {memory_limit: 90000GB}"))
    assert status == 1
    assert "auto" in found["memory"][0]["remedy"]


def test_a_root_that_does_not_answer_is_a_finding(place: Place) -> None:
    flag = place.base / "hangs"
    flag.touch()
    hook = BLOCK.format(root=str(place.inbox).encode(), flag=str(flag))
    place.hook(hook + "\nfrom hotfolder import doctor\ndoctor.ANSWER_SECONDS = 0.2\n")
    status, found = examined(place)
    assert status == 1
    assert "does not answer" in found["watch inbox"][0]["text"]


def test_bench_suggests_settings_that_the_configuration_takes(place: Place) -> None:
    for number in range(3):
        place.put(f"deep/{number}.jpg", jpeg(640, 480, number))
    place.put("broken.jpg", b"\xff\xd8\xff no")
    before = sorted(place.base.rglob("*"))
    found = json.loads(place.cli("bench", str(place.inbox), "--json").stdout)
    assert (found["images"], found["left_out"]) == (3, 1)
    assert {"decode", "resize", "encode"} <= set(found["stages"])
    assert min(found["by_workers"].values()) > 0
    assert {"1", "2"} <= set(found["by_workers"])
    assert sorted(place.base.rglob("*")) == before
    limit = size(found["suggested"]["pool"]["memory_limit"])
    assert limit > 110e6 + 560e6  # what a photo of 50 MP takes in a progressive JPEG, and the program itself
    assert limit >= 110e6 + found["photo_need"]  # rounding takes nothing away
    place.configure(extra=yaml.safe_dump(found["suggested"]))
    assert place.cli("config", "check").returncode == 0
    empty = place.base / "empty"
    empty.mkdir()
    nothing = place.cli("bench", str(empty))
    assert nothing.returncode == 2
    assert "no image" in nothing.stderr


def test_bench_leaves_room_for_a_photo_in_the_format_of_small_pictures(place: Place) -> None:
    """AVIF takes the most by far; what a small one takes says nothing of it."""
    picture(64, 48).save(place.inbox / "a.avif")
    found = json.loads(place.cli("bench", str(place.inbox), "--json").stdout)
    assert size(found["suggested"]["pool"]["memory_limit"]) > 110e6 + 50 * 54e6
    thumbnails = json.loads(place.cli("bench", str(place.inbox), "--json", "--thumbnails").stdout)
    assert size(thumbnails["suggested"]["pool"]["memory_limit"]) < 2e9
