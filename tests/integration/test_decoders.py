"""Decoders come and go: what lacks an extra is skipped, and tried again, with its like alone, once that is there."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from hotfolder.imaging import formats
from tests.helpers import Daemon, Place, jpeg, wait_for
from tests.unit.rawfile import dng

HIDE = """
import importlib.util
found, extras = importlib.util.find_spec, ("pillow_heif", "pillow_jxl", "rawpy")
importlib.util.find_spec = lambda name, *rest: None if name in extras else found(name, *rest)
"""
OLDER = """
import importlib.metadata
version = importlib.metadata.version
importlib.metadata.version = lambda name: "0.0.1" if name == "pillow" else version(name)
"""
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"


def states(place: Place) -> dict[str, str]:
    return {row["path"]: row["state"] for row in place.export()}


def test_an_updated_decoder_tries_its_own_failures_again_and_no_others(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.put("broken.png", b"\x89PNG\r\n\x1a\n" + bytes(100))
    place.put("diary.jpg", b"dear diary\n" * 50)  # no decoder was asked
    place.put("good.jpg", jpeg())
    place.hook(OLDER)
    assert place.scan().returncode == 1
    before = {each["path"]: each for each in place.failures()}
    assert {Path(path).name for path in before} == {"broken.png", "diary.jpg"}
    place.hook("")
    daemon = Daemon(place).ready()
    try:
        daemon.wait_metric("hotfolder_jobs_total", 1, watch="inbox", result="failed")
        assert daemon.metric("hotfolder_jobs_total", watch="inbox", result="failed") == 1
        assert daemon.decoded() == 0, "what was made is not made again"
        tries = {Path(each["path"]).name: each["tries"] for each in place.failures()}
        assert tries["broken.png"] >= 1
        assert "broken.png" in daemon.text()
        assert "diary.jpg" not in daemon.text()
    finally:
        daemon.stop()


def test_what_lacks_an_extra_is_skipped_and_no_failure(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.hook(HIDE)
    place.put("a.heic", HEIC + bytes(400))
    place.put("b.dng", dng())
    place.put("c.dng", dng(red=2000))
    done = place.scan()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("pip install 'hotfolder[raw]'") == 1, "one line for all of an extra"
    assert done.stderr.count("pip install 'hotfolder[heif]'") == 1
    assert place.failures() == []
    assert set(states(place).values()) == {"skipped"}


def test_a_new_decoder_tries_exactly_what_was_skipped(tmp_path: Path) -> None:
    for extra in ("heif", "raw"):
        if not formats.of(extra).is_installed:
            pytest.skip(f"the extra '{extra}' is not installed (requirements-extras.lock)")
    import pillow_heif

    pillow_heif.register_heif_opener()
    photo = io.BytesIO()
    Image.new("RGB", (300, 200), "teal").save(photo, "HEIF")
    place = Place(tmp_path)
    place.put("a.heic", photo.getvalue())
    place.put("b.dng", dng())
    place.put("c.jpg", jpeg())
    place.put("d.jpg", b"dear diary\n" * 50)
    place.hook(HIDE)
    daemon = Daemon(place).ready()
    try:
        wait_for("both to be skipped", lambda: [*states(place).values()].count("skipped") == 2, context=daemon.text)
        assert daemon.metric("hotfolder_skipped_sources", extra="heif") == 1
        assert daemon.metric("hotfolder_skipped_sources", extra="raw") == 1
    finally:
        daemon.stop()
    place.hook("")
    daemon = Daemon(place).ready()
    try:
        daemon.wait_metric("hotfolder_jobs_total", 2, watch="inbox", result="done")
        names = {Path(name).name for name in place.renditions()}
        assert {"a.heic_thumb_small.jpg", "b.dng_preview.jpg"} <= names
        assert daemon.metric("hotfolder_jobs_total", watch="inbox", result="failed") == 0
        assert daemon.metric("hotfolder_jobs_total", watch="inbox", result="done") == 2
        assert daemon.metric("hotfolder_skipped_sources", extra="raw") == 0
    finally:
        daemon.stop()


def test_a_name_that_lies_works_and_is_counted(tmp_path: Path) -> None:
    place = Place(tmp_path)
    photo = io.BytesIO()
    Image.new("RGB", (300, 200), "teal").save(photo, "PNG")
    daemon = Daemon(place).ready()
    try:
        place.put("liar.jpg", photo.getvalue())
        place.put("honest.jpg", jpeg())
        daemon.wait_metric("hotfolder_jobs_total", 2, watch="inbox", result="done")
        assert daemon.metric("hotfolder_misnamed_sources_total", watch="inbox") == 1
        daemon.wait_log("notes=misnamed")
        made = Image.open(place.out / "thumbnails/liar_thumb_small.jpg")
        assert (made.format, made.size) == ("JPEG", (150, 100))
        assert Image.open(place.out / "optimized/liar.jpg").format == "PNG", "same name, and the source's own format"
    finally:
        daemon.stop()
