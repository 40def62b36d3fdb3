"""A rename is no proof that the bytes stayed: who writes, puts the old times back and renames is found out."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hotfolder.config import load
from hotfolder.engine import Engine
from hotfolder.index import renditions, sources
from hotfolder.model import Job, Lane
from hotfolder.watcher.request import Request
from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
WATCH = "    presets: [small]\n    optimize: {enabled: false}"
RED, BLUE = (220, 20, 20), (20, 20, 220)


def bitmap(colour: tuple[int, int, int]) -> bytes:
    """Always of the same size in bytes."""
    import io

    file = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(file, "BMP")
    return file.getvalue()


def colour(path: Path) -> str:
    with Image.open(path) as image:
        red, _, blue = image.convert("RGB").getpixel((10, 10))  # type: ignore[misc]
    return "red" if red > blue else "blue"


def small(place: Place, name: str) -> Path:
    return place.out / "thumbnails" / f"{name}_thumb_small.jpg"


def overwrite(path: Path, content: bytes) -> None:
    """As `dd conv=notrunc` between two `touch -r`: other bytes, the old size, times and inode."""
    stat = path.stat()
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("writes", [1, 2])
def test_written_with_old_times_and_renamed(tmp_path: Path, run: Run, writes: int) -> None:
    place = Place(tmp_path, watch=WATCH)
    path = place.put("a.bmp", bitmap(RED))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    daemon = run(place)
    daemon.wait_renditions({"thumbnails/a.bmp_thumb_small.jpg"})
    for _ in range(writes):
        overwrite(path, bitmap(BLUE))
    path.rename(place.inbox / "b.bmp")
    daemon.wait_renditions({"thumbnails/b.bmp_thumb_small.jpg"})
    wait_for("the new picture", lambda: colour(small(place, "b.bmp")) == "blue", context=daemon.text)


def test_written_and_renamed_while_nobody_looked(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    path = place.put("a.bmp", bitmap(RED))
    assert place.scan().returncode == 0
    overwrite(path, bitmap(BLUE))
    path.rename(place.inbox / "b.bmp")
    daemon = run(place)
    daemon.wait_renditions({"thumbnails/b.bmp_thumb_small.jpg"})
    assert colour(small(place, "b.bmp")) == "blue"


def test_written_in_a_folder_that_is_renamed(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    paths = [place.put(f"p/{number}.bmp", bitmap(RED)) for number in range(4)]
    daemon = run(place)
    daemon.wait_renditions({f"thumbnails/p/{number}.bmp_thumb_small.jpg" for number in range(4)})
    overwrite(paths[2], bitmap(BLUE))
    (place.inbox / "p").rename(place.inbox / "q")
    daemon.wait_renditions({f"thumbnails/q/{number}.bmp_thumb_small.jpg" for number in range(4)})
    wait_for("the new picture", lambda: colour(small(place, "q/2.bmp")) == "blue", context=daemon.text)
    assert colour(small(place, "q/1.bmp")) == "red"


def test_two_pictures_change_places(tmp_path: Path, run: Run) -> None:
    """With equal sizes and times, by way of a third name: each has its own picture, and nothing is decoded."""
    place = Place(tmp_path, watch=WATCH)
    for name, content in (("a.bmp", bitmap(RED)), ("b.bmp", bitmap(BLUE))):
        os.utime(place.put(name, content), (1_000_000_000, 1_000_000_000))
    daemon = run(place)
    both = {f"thumbnails/{name}.bmp_thumb_small.jpg" for name in "ab"}
    daemon.wait_renditions(both)
    a, b, c = (place.inbox / f"{name}.bmp" for name in "abc")
    a.rename(c)
    b.rename(a)
    c.rename(b)
    wait_for("blue at a", lambda: colour(small(place, "a.bmp")) == "blue", context=daemon.text)
    wait_for("red at b", lambda: colour(small(place, "b.bmp")) == "red", context=daemon.text)
    daemon.wait_renditions(both)


def test_the_old_row_goes_just_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal of the old path may be committed between the look at its row and the claim of its path."""
    place = Place(tmp_path, watch="    presets: [small]")
    place.put("old.jpg", jpeg())
    engine = Engine(load(str(place.base / "config.yaml"), {}).config, live=False)
    engine.start()
    try:
        watcher = engine.watchers["inbox"]
        assert watcher.request(Request((b"",))).done.wait(60)
        real = engine.queue.claim

        def claim(watch: str, path: bytes) -> bool:
            row = sources.find(engine.index.read(), watcher.site.id, path)
            if row is not None:
                engine.index.write(lambda c: sources.remove(c, row.id)).result()
            return real(watch, path)

        monkeypatch.setattr(engine.queue, "claim", claim)
        (place.inbox / "old.jpg").rename(place.inbox / "new.jpg")
        assert watcher.request(Request((b"",))).done.wait(60)
        assert engine.reporter.counts.failed == 0
        assert (place.out / "thumbnails/new_thumb_small.jpg").exists()
    finally:
        engine.stop(5.0)


def test_a_copy_of_an_image_that_is_made_anew_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at the other image's row and that at its renditions they may become those of other bytes."""
    place = Place(tmp_path, watch="    presets: [small]")
    first = place.put("a.jpg", jpeg(300, 300, 1))
    engine = Engine(load(str(place.base / "config.yaml"), {}).config, live=False)
    engine.start()
    try:
        watcher = engine.watchers["inbox"]
        assert watcher.request(Request((b"",))).done.wait(60)
        real, changed = renditions.of, threading.Event()

        def of(connection: Any, source_id: int) -> Any:
            row = sources.find(engine.index.read(), watcher.site.id, b"a.jpg")
            if not changed.is_set() and row is not None and row.id == source_id:
                changed.set()
                first.write_bytes(jpeg(200, 400, 2))
                job = Job("inbox", b"a.jpg", Lane.FRESH, 0.0, 0.0, closed=True)
                other = threading.Thread(target=engine.worker.run, args=(job,))
                other.start()
                other.join(60)
                engine.index.flush()
            return real(connection, source_id)

        monkeypatch.setattr(renditions, "of", of)
        place.put("b.jpg", jpeg(300, 300, 1))
        assert watcher.request(Request((b"",))).done.wait(60)
        assert changed.is_set()
        with Image.open(place.out / "thumbnails/b_thumb_small.jpg") as image:
            assert image.width == image.height
    finally:
        engine.stop(5.0)


HELD = """
import os, threading
from hotfolder.pipeline import source
from hotfolder.watcher import folder_moves

folder_moves.GATE_SECONDS = 0.1
_still, _never = source.still, threading.Event()

def still(fd, version, step):
    open({held!r}, "w").close()
    while not os.path.exists({go!r}):
        _never.wait(0.02)
    return _still(fd, version, step)

source.still = still
"""
"""What has been drawn is not published before the file `go` is there."""


def one_made_and_one_held(tmp_path: Path, run: Run, made: str, held: str) -> tuple[Place, Daemon, Path]:
    """The other one is drawn, and goes on when the file that is returned is there."""
    place, drawn, go = Place(tmp_path), tmp_path / "held", tmp_path / "go"
    place.hook(HELD.format(held=str(drawn), go=str(go)))
    daemon = run(place)
    go.touch()
    place.put(made, jpeg(seed=2))
    daemon.wait_renditions(place.of(made))
    go.unlink()
    drawn.unlink()
    place.put(held, jpeg(seed=1))
    wait_for("it to be drawn", drawn.exists, context=daemon.text)
    return place, daemon, go


@pytest.mark.parametrize("how", ["renamed", "moved out"])
def test_a_folder_that_goes_while_its_image_is_in_work_leaves_nothing_behind(
    tmp_path: Path, run: Run, how: str
) -> None:
    """The image was opened before, and has no row yet that could be marked."""
    place, daemon, go = one_made_and_one_held(tmp_path, run, "d/c/b.jpg", "d/c/a.jpg")
    (place.inbox / "d/c").rename(place.inbox / "e" if how == "renamed" else tmp_path / "outside")
    # What is known of the folder follows at once, or goes, while the other one is held.
    known = {"renamed": place.of("e/b.jpg"), "moved out": set()}[how]
    wait_for("the other one", lambda: place.renditions() - temporaries(place) == known, context=daemon.text)
    go.touch()
    expected = {"renamed": known | place.of("e/a.jpg"), "moved out": set()}[how]
    done = {"watch": "inbox", "result": "done"}
    wait_for("it to be published", lambda: daemon.metric("hotfolder_jobs_total", **done) >= 2, context=daemon.text)
    wait_for("all to be right", lambda: place.renditions() == expected, context=daemon.text)


def temporaries(place: Place) -> set[str]:
    return {name for name in place.renditions() if name.endswith(".tmp")}


def test_an_image_that_is_left_out_while_it_is_in_work_leaves_nothing_behind(tmp_path: Path, run: Run) -> None:
    place, daemon, go = one_made_and_one_held(tmp_path, run, "stays.jpg", "a.jpg")
    walked = daemon.metric("hotfolder_last_reconcile_timestamp_seconds", watch="inbox")
    (tmp_path / "rules").write_text("a.jpg\n")
    (tmp_path / "rules").rename(place.inbox / ".hotfolderignore")
    wait_for(
        "a walk by the new rules",
        lambda: daemon.metric("hotfolder_last_reconcile_timestamp_seconds", watch="inbox") > walked,
        context=daemon.text,
    )
    go.touch()
    done = {"watch": "inbox", "result": "done"}
    wait_for("it to be published", lambda: daemon.metric("hotfolder_jobs_total", **done) >= 2, context=daemon.text)
    wait_for("it to go", lambda: place.renditions() == place.of("stays.jpg"), context=daemon.text)
