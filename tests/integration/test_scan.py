"""`hotfolder scan`, its exit statuses, and what it does with files that are no images."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from hotfolder.presets import BUILT_IN
from hotfolder.store import layout
from tests.helpers import Daemon, Place, jpeg


def old(path: Path) -> Path:
    """Last changed long ago: at rest, and judged at once."""
    os.utime(path, (1e9, 1e9), follow_symlinks=False)
    return path


def reasons(place: Place) -> dict[str, str]:
    import json

    found = json.loads(place.cli("failures", "list", "--json").stdout)
    return {os.path.basename(each["path"]): each["reason"] for each in found}


def test_scan_makes_then_reuses(place: Place) -> None:
    place.put("a.jpg", jpeg())
    place.put("x/b.JPG", jpeg(seed=1))
    first = place.scan()
    assert first.returncode == 0, first.stderr
    assert "sources 2, made 2 (14 renditions), reused 0, failed 0" in first.stdout
    assert "images/s" in first.stdout
    assert (place.out / "thumbnails/x/b_thumb_small.JPG").exists()
    second = place.scan()
    assert "made 0" in second.stdout
    assert "reused 2" in second.stdout


def test_verify_makes_what_is_missing_byte_for_byte(place: Place) -> None:
    place.put("a.jpg", jpeg(1400, 1000))
    place.scan()
    lost = place.out / "thumbnails/a_thumb_medium.jpg"
    content = lost.read_bytes()
    lost.unlink()
    (place.out / "optimized/a.jpg").write_bytes(b"")
    assert "made 0" in place.scan().stdout
    assert place.cli("cache", "verify").returncode == 1
    assert "(2 renditions)" in place.scan("--verify").stdout
    assert lost.read_bytes() == content


def test_bad_files_end_in_quarantine_and_stop_nothing(place: Place) -> None:
    good = jpeg(800, 600)
    place.put("good.jpg", good)
    place.put("empty.jpg", b"")
    place.put("text.jpg", b"hello, this is text\n" * 9)
    place.put("cut.jpg", good[: len(good) * 2 // 3])
    place.put("png.jpg", _png())
    place.put(b"not-utf8-\xff.jpg", jpeg(seed=2))
    place.put("l" * 251 + ".jpg", jpeg(seed=3))
    place.put("psd.jpg", b"8BPS" + bytes(60))
    (place.inbox / "folder.jpg").mkdir()
    (place.base / "outside.jpg").write_bytes(jpeg(seed=5))
    (place.inbox / "link.jpg").symlink_to(place.base / "outside.jpg")
    (place.inbox / "loop").symlink_to(place.inbox)
    (place.inbox / "loop.jpg").symlink_to(place.inbox / "loop.jpg")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(place.inbox / "s.jpg"))
        done = place.scan()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert reasons(place) == {
        "empty.jpg": "empty",
        "text.jpg": "not_an_image",
        "cut.jpg": "truncated",
        "psd.jpg": "unsupported",
    }
    found = place.renditions()
    assert place.of("good.jpg") <= found
    assert place.of("png.jpg") <= found
    assert sum("not-utf8" in name for name in found) == 7
    assert sum("lll" in name for name in found) == 7
    assert not any("link" in name or "loop" in name or "outside" in name for name in found)
    again = place.scan()
    assert again.returncode == 0  # they were there before: reported, not counted
    assert place.scan("--strict").returncode == 1


def _png() -> bytes:
    import io

    from tests.helpers import picture

    file = io.BytesIO()
    picture().save(file, "PNG")
    return file.getvalue()


def test_quarantine_is_tried_again_when_asked_or_changed(place: Place) -> None:
    bad = place.put("a.jpg", b"nothing")
    assert place.scan().returncode == 1
    assert place.scan().returncode == 0  # nothing new
    retried = place.cli("failures", "retry")
    assert (retried.stdout, retried.returncode) == ("1 tried again, 1 failed\n", 1)
    bad.write_bytes(jpeg())
    assert place.scan().returncode == 0
    assert reasons(place) == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_no_permission(place: Place) -> None:
    place.put("a.jpg", jpeg()).chmod(0)
    assert place.scan().returncode == 1
    assert reasons(place) == {"a.jpg": "no_permission"}


def test_too_many_pixels_is_told_from_the_header(tmp_path: Path) -> None:
    place = Place(tmp_path, "limits: {max_pixels: 10k}")
    place.put("a.jpg", jpeg())
    assert place.scan().returncode == 1
    assert reasons(place) == {"a.jpg": "too_many_pixels"}


def test_changed_preset_makes_only_its_own_again(place: Place) -> None:
    place.put("a.jpg", jpeg(900, 700))
    place.scan()
    before = {name: (place.out / name).stat().st_mtime_ns for name in place.renditions()}
    place.configure("presets: {small: {width: 99}, medium: {suffix: _m}}")
    assert "(2 renditions)" in place.scan().stdout
    after = {name: (place.out / name).stat().st_mtime_ns for name in place.renditions()}
    assert {name for name in after if before.get(name) != after[name]} == {
        "thumbnails/a_thumb_small.jpg",
        "thumbnails/a_m.jpg",
    }
    assert "thumbnails/a_thumb_medium.jpg" not in after


def test_mass_deletion_is_held_until_a_second_reconcile(tmp_path: Path) -> None:
    place = Place(tmp_path, watch="    delete_guard: {fraction: 20%, min: 2}\n    presets: [small]")
    for number in range(6):
        place.put(f"{number}.jpg", jpeg(seed=number))
    place.scan()
    for number in range(5):
        (place.inbox / f"{number}.jpg").unlink()
    held = place.scan()
    assert "5 deletions are held" in held.stderr
    assert len(place.renditions()) == 12
    assert "removed 5" in place.scan().stdout
    assert len(place.renditions()) == 2


def test_start_refusals(place: Place) -> None:
    place.configure(watch="    create: false")
    place.inbox.rmdir()
    refused = place.scan()
    assert refused.returncode == 3
    assert "create: true" in refused.stderr
    place.inbox.mkdir()
    place.out.write_text("a file where the output should be")
    refused = place.scan()
    assert refused.returncode == 3
    assert "output" in refused.stderr


def test_foreign_files_in_the_output_are_never_overwritten(place: Place) -> None:
    (place.out / "thumbnails").mkdir(parents=True)
    (place.out / "thumbnails/a_thumb_small.jpg").write_text("mine")
    place.put("a.jpg", jpeg())
    refused = place.scan()
    assert refused.returncode == 3
    assert "hotfolder did not make" in refused.stderr
    assert (place.out / "thumbnails/a_thumb_small.jpg").read_text() == "mine"


def test_links_that_someone_plants_in_the_output_lead_nowhere(place: Place) -> None:
    """Neither what is written nor what is removed is ever outside."""
    place.configure(watch="    presets: [small]\n    optimize: {enabled: false}")
    place.put("y/b.jpg", jpeg(seed=1))
    place.put("y/c.jpg", jpeg(seed=2))
    assert place.scan().returncode == 0
    outside = place.base / "outside"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    made = place.out / "thumbnails"
    (made / "x").symlink_to(outside)
    (made / "d_thumb_small.jpg").symlink_to(outside / "mine")
    place.put("x/a.jpg", jpeg(seed=3))
    place.put("d.jpg", jpeg(seed=4))
    assert place.scan().returncode != 0
    assert [each.name for each in outside.iterdir()] == ["mine"]
    assert (outside / "mine").read_text() == "mine"
    assert len(list((made / "y").iterdir())) == 2
    # A folder of ours becomes a link to one with the very same files.
    (made / "y").rename(outside / "y")
    (made / "y").symlink_to(outside / "y")
    before = {path: path.stat().st_mtime_ns for path in (outside / "y").iterdir()}
    (place.inbox / "y/b.jpg").unlink()
    place.put("y/c.jpg", jpeg(seed=9))
    place.scan("--confirm-deletes")
    assert {path: path.stat().st_mtime_ns for path in (outside / "y").iterdir()} == before
    assert [each.name for each in outside.iterdir() if each.name != "y"] == ["mine"]


def test_what_others_put_in_the_place_of_a_rendition_is_not_removed(place: Place) -> None:
    place.configure(watch="    presets: [small]\n    optimize: {enabled: false}")
    for name in ("a.jpg", "b.jpg"):
        place.put(name, jpeg())
    assert place.scan().returncode == 0
    mine = place.out / "thumbnails/a_thumb_small.jpg"
    mine.write_text("mine")
    for name in ("a.jpg", "b.jpg"):
        (place.inbox / name).unlink()
    place.scan("--confirm-deletes")
    assert place.renditions() == {"thumbnails/a_thumb_small.jpg"}
    assert mine.read_text() == "mine"


def test_two_sources_that_want_one_name(place: Place) -> None:
    """One bears the very name to which that of the other's rendition was cut."""
    place.configure(watch="    presets: [small]\n    optimize: {enabled: false}")
    long = "x" * 251 + ".jpg"
    rendition = layout.thumbnail_name(long.encode(), BUILT_IN["small"]).decode()
    other = rendition.replace("_thumb_small", "")
    place.put(long, jpeg(300, 200, 1))
    assert place.scan().returncode == 0
    made = (place.out / "thumbnails" / rendition).read_bytes()
    place.put(other, jpeg(200, 300, 2))
    assert place.scan().returncode == 1
    assert reasons(place) == {other: "name_taken"}
    assert place.renditions() == {f"thumbnails/{rendition}"}
    assert (place.out / "thumbnails" / rendition).read_bytes() == made
    (place.inbox / long).unlink()
    assert place.scan("--confirm-deletes").returncode == 0
    assert (place.out / "thumbnails" / rendition).read_bytes() != made


def test_process_needs_no_index(place: Place) -> None:
    source = place.base / "p.jpeg"
    source.write_bytes(jpeg())
    done = place.cli("process", str(source), "--to", str(place.base / "to"), "--preset", "small", "--preset", "square")
    assert done.returncode == 0, done.stderr
    assert sorted(each.name for each in (place.base / "to").iterdir()) == ["p_square.jpeg", "p_thumb_small.jpeg"]
    assert place.cli("process", "missing.jpg", "--to", "to").returncode == 1
    assert place.cli("process", str(source), "--to", "to", "--preset", "nope").returncode == 2


def test_paths_and_dry_run(place: Place) -> None:
    place.put("x/a.jpg", jpeg())
    place.put("y/b.jpg", jpeg(seed=1))
    dry = place.scan("--dry-run")
    assert "about" not in dry.stdout  # nothing was made yet that it could go by
    assert "2 sources, 2 to make (14 renditions" in dry.stdout
    assert place.renditions() == set()
    assert place.scan("inbox/x").returncode == 0
    assert len(place.renditions()) == 7
    assert place.scan("inbox/y/b.jpg").returncode == 0
    assert len(place.renditions()) == 14
    assert place.scan("/etc/hostname").returncode == 2
    assert place.scan("--dry-run", "/etc/hostname").returncode == 2


@pytest.mark.parametrize("living", [True, False])
def test_a_dry_run_is_costed_by_what_was_made_before(
    place: Place, run: Callable[[Place], Daemon], living: bool
) -> None:
    for number in range(4):
        place.put(f"old/{number}.jpg", jpeg(600, 400, seed=number))
    assert place.scan().returncode == 0
    for number in range(8):
        place.put(f"new/{number}.jpg", jpeg(600, 400, seed=10 + number))
    if living:
        place.cli("pause")
        run(place)
    said = place.scan("--dry-run", "inbox/new").stdout
    assert "8 sources, 8 to make (56 renditions" in said
    number, unit = re.findall(r"about ([\d.]+) (kB|MB) to write, [\d.]+ s", said)[0]
    expected = float(number) * {"kB": 1e3, "MB": 1e6}[unit]
    assert "0 to make" in place.scan("--dry-run", "inbox/old/1.jpg").stdout
    if living:
        place.cli("resume")
    done = place.scan("inbox/new")
    assert done.returncode == 0, done.stderr
    written = sum(path.stat().st_size for path in place.out.rglob("new/*"))
    assert written / 1.5 < expected < written * 1.5


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/bin/mount"), reason="needs to mount a small tmpfs")
def test_a_full_disk_puts_off_and_is_made_good_later(place: Place) -> None:
    import subprocess

    place.out.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", place.out], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount")
    try:
        place.put("a.jpg", jpeg(2500, 1800))
        full = place.scan()
        assert full.returncode == 4, full.stderr
        assert "1 images are put off" in full.stderr
        assert "free some space" in full.stderr
        assert place.renditions() == set()
        subprocess.run(["mount", "-o", "remount,size=50M", place.out], check=True)
        assert place.scan("inbox/a.jpg").returncode == 0
        assert len(place.renditions()) == 7
    finally:
        subprocess.run(["umount", place.out], check=True)
