"""`hotfolder analyze`, `duplicates` and `blurred` as a user calls them."""

from __future__ import annotations

import csv
import io
import json
import os
from typing import Any

from PIL import Image, ImageFilter

from tests.helpers import Place, jpeg, picture
from tests.unit.imaging import encoded, scene


def images(found: str) -> dict[str, Any]:
    return {os.path.basename(each["path"]): each for each in json.loads(found)["images"]}


def blurred_jpeg() -> bytes:
    return encoded(picture(seed=4).filter(ImageFilter.GaussianBlur(9)), "JPEG")


def test_files_and_folders_without_any_configuration(place: Place) -> None:
    (place.base / "config.yaml").unlink()
    place.put("a.jpg", jpeg(seed=1))
    place.put("sub/b.png", encoded(picture(seed=2), "PNG"))
    place.put("sub/notes.txt", b"no image")
    place.put("sub/.hidden.jpg", jpeg())
    os.symlink(place.inbox / "a.jpg", place.inbox / "link.jpg")
    result = place.cli("analyze", "inbox", "--json")
    assert result.returncode == 0
    found = images(result.stdout)
    assert sorted(found) == ["a.jpg", "b.png"]
    assert (found["b.png"]["format"], found["b.png"]["mode"], found["b.png"]["width"]) == ("png", "RGB", 320)
    assert json.loads(result.stdout)["summary"]["images"] == 2
    assert not (place.base / ".hotfolder").exists()


def test_what_fails_is_said_and_the_rest_goes_on(place: Place) -> None:
    place.put("a.jpg", jpeg(seed=1))
    place.put("broken.jpg", b"\xff\xd8\xff nothing")
    os.mkfifo(place.inbox / "pipe.jpg")
    result = place.cli("analyze", "inbox", "inbox/pipe.jpg", "nowhere", "--json")
    assert result.returncode == 1
    assert sorted(images(result.stdout)) == ["a.jpg"]
    assert [line.split(": ")[1].rsplit("/", 1)[-1] for line in result.stderr.splitlines()] == [
        "pipe.jpg",
        "nowhere",
        "broken.jpg",
    ]


def test_csv_and_table(place: Place) -> None:
    place.put("a,b.jpg", jpeg(seed=1))
    place.put("c.jpg", blurred_jpeg())
    rows = list(csv.DictReader(io.StringIO(place.cli("analyze", "inbox", "--csv").stdout)))
    assert [os.path.basename(row["path"]) for row in rows] == ["a,b.jpg", "c.jpg"]
    assert rows[1]["blurred"] == "True"
    table = place.cli("analyze", "inbox").stdout
    assert "a,b.jpg" in table
    assert "2 images" in table
    assert place.cli("analyze", "inbox", "--csv", "--json").returncode == 2


def test_the_index_answers_where_it_knows_the_file_as_it_is(place: Place) -> None:
    source = place.put("a.jpg", jpeg(seed=1))
    place.scan()
    known = images(place.cli("analyze", "inbox", "--json").stdout)["a.jpg"]
    place.hook("import PIL.JpegImagePlugin as j; j.JpegImageFile.load_prepare = lambda self: 1 / 0")
    assert images(place.cli("analyze", "inbox", "--json").stdout)["a.jpg"] == known
    os.utime(source, (1, 1))
    assert place.cli("analyze", "inbox", "--json").returncode == 1


def test_duplicates_and_blurred_are_lists_for_scripts(place: Place) -> None:
    original = scene(3, 800, 600)
    place.put("one.jpg", encoded(original, "JPEG", quality=95))
    place.put("small.jpg", encoded(original.resize((400, 300)), "JPEG", quality=50))
    place.put("same.jpg", encoded(original, "JPEG", quality=95))
    place.put("other.jpg", encoded(scene(9, 400, 300), "JPEG"))
    place.put("soft.jpg", blurred_jpeg())
    place.put("page1.png", encoded(Image.new("RGB", (300, 400), "white"), "PNG"))
    place.put("page2.png", encoded(Image.new("RGB", (300, 400), "#fefefe"), "PNG"))
    assert place.scan().returncode == 0

    groups = json.loads(place.cli("duplicates", "--json").stdout)
    assert [sorted(os.path.basename(path) for path in group) for group in groups] == [
        ["one.jpg", "same.jpg", "small.jpg"]
    ]
    exact = json.loads(place.cli("duplicates", "--json", "--exact").stdout)
    assert [sorted(os.path.basename(path) for path in group) for group in exact] == [["one.jpg", "same.jpg"]]
    extra = place.cli("duplicates", "-0").stdout.split("\0")
    assert len(extra) == 3
    assert extra[-1] == ""

    soft = json.loads(place.cli("blurred", "--json").stdout)
    assert [os.path.basename(each["path"]) for each in soft] == ["soft.jpg"]
    assert place.cli("blurred", "-0").stdout == f"{place.inbox}/soft.jpg\0"
    assert place.cli("blurred", "inbox/one.jpg").stdout == ""
    assert len(json.loads(place.cli("blurred", "--json", "--below", "1").stdout)) >= 5


def test_without_an_index_the_lists_say_what_to_do(place: Place) -> None:
    result = place.cli("duplicates")
    assert result.returncode == 2
    assert "hotfolder scan" in result.stderr


def test_a_page_is_written(place: Place) -> None:
    place.put("a.jpg", jpeg(seed=1))
    assert place.cli("analyze", "inbox", "--html", "report.html").returncode == 0
    text = (place.base / "report.html").read_text()
    assert text.startswith("<!doctype html>")
    assert "a.jpg" in text
