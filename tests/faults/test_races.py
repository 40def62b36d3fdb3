"""Everything at once: folders made, moved and renamed while their files come, change, wait and go."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
WATCH = "    presets: [small]\n    optimize: {enabled: false}"


def small(path: str) -> str:
    return f"thumbnails/{path}_thumb_small.jpg"


def expected(place: Place) -> set[str]:
    """What the tree asks for as it is now."""
    found = place.inbox.rglob("*.[jJ][pP][gG]")
    relative = [path.relative_to(place.inbox) for path in found]
    return {f"thumbnails/{path.parent / path.stem}_thumb_small{path.suffix}".replace("/./", "/") for path in relative}


def settled(place: Place, daemon: Daemon) -> None:
    """The output becomes what the tree asks for, without any scan being asked for."""

    def context() -> str:
        found, wanted = place.renditions(), expected(place)
        return f"missing {sorted(wanted - found)[:9]}\nbeyond {sorted(found - wanted)[:9]}\n{daemon.text()[-5000:]}"

    wait_for("the tree and its output to agree", lambda: place.renditions() == expected(place), 60, context)
    assert not list(place.out.rglob("*.tmp"))


def test_deep_folders_made_and_filled_at_once(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    daemon = run(place)
    for number in range(40):
        place.put(f"{number}/b/c/d/x.jpg", jpeg(60, 40, number))
        place.put(f"{number}/b/y.jpg", jpeg(60, 40, 100 + number))
    outside = tmp_path / "outside"
    shutil.copytree(place.inbox / "3", outside)
    outside.rename(place.inbox / "moved in")
    settled(place, daemon)
    (place.inbox / "5").rename(tmp_path / "moved out")
    (place.inbox / "6").rename(place.inbox / "7/b/inside")
    settled(place, daemon)
    place.put("7/b/inside/b/later.jpg", jpeg(60, 40, 300))
    (tmp_path / "moved out").rename(place.inbox / "back")
    place.put("back/b/later.jpg", jpeg(60, 40, 301))
    settled(place, daemon)
    assert place.failures() == []


def test_a_folder_is_renamed_while_its_files_wait(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, "pool: {workers: 2}", WATCH)
    daemon = run(place)
    for number in range(60):
        place.put(f"a/{number}.jpg", jpeg(1200, 900, number))
    for step in range(5):
        wait_for("some work", lambda step=step: daemon.decoded() > 4 * step, context=daemon.text)  # type: ignore[misc]
        (place.inbox / ("a" if step == 0 else f"b{step - 1}")).rename(place.inbox / f"b{step}")
    settled(place, daemon)
    assert place.failures() == []


def test_names_that_differ_in_case_alone(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    daemon = run(place)
    place.put("Photo.jpg", jpeg(60, 40, 1))
    settled(place, daemon)
    for old, new in (("Photo.jpg", "PHOTO.jpg"), ("PHOTO.jpg", "photo.JPG"), ("photo.JPG", "Photo.jpg")):
        (place.inbox / old).rename(place.inbox / new)
        settled(place, daemon)
    place.put("album/x.jpg", jpeg(60, 40, 2))
    settled(place, daemon)
    (place.inbox / "album").rename(place.inbox / "Album")
    settled(place, daemon)
    assert daemon.decoded() == 2


def test_two_that_swap_their_names(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    daemon = run(place)
    place.put("wide.jpg", jpeg(90, 30, 1))
    place.put("high.jpg", jpeg(30, 90, 2))
    settled(place, daemon)
    for _ in range(3):
        (place.inbox / "wide.jpg").rename(place.inbox / "x.tmp")
        (place.inbox / "high.jpg").rename(place.inbox / "wide.jpg")
        (place.inbox / "x.tmp").rename(place.inbox / "high.jpg")

    def sizes() -> list[tuple[int, int]]:
        found = []
        for name in ("wide", "high"):
            with Image.open(place.out / small(name)) as image:
                found.append(image.size)
        return found

    wait_for("each to have its own picture", lambda: sizes() == [(30, 90), (90, 30)], context=daemon.text)
    settled(place, daemon)


def test_a_thousand_renames_a_second(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=WATCH)
    daemon = run(place)
    for number in range(50):
        place.put(f"{number}.jpg", jpeg(60, 40, number))
    settled(place, daemon)
    decoded = daemon.decoded()
    began, pause = time.monotonic(), threading.Event()
    for turn in range(60):
        for number in range(50):
            (place.inbox / f"{number}{f'-{turn}' if turn else ''}.jpg").rename(place.inbox / f"{number}-{turn + 1}.jpg")
        pause.wait(max(0.0, began + (turn + 1) * 0.05 - time.monotonic()))
    settled(place, daemon)
    assert len(place.renditions()) == 50
    assert place.failures() == []
    assert daemon.decoded() == decoded


def test_many_hands(tmp_path: Path, run: Run) -> None:
    """Writers, deleters and movers on the same few names, with no pause."""
    place = Place(tmp_path, watch=WATCH)
    daemon = run(place)
    contents = [jpeg(80 + number, 60, number) for number in range(8)]

    def hand(seed: int) -> None:
        for step in range(150):
            name = place.inbox / f"{(seed + step) % 3}/{(seed * 7 + step) % 6}.jpg"
            try:
                if step % 5 == 4:
                    name.unlink()
                elif step % 7 == 6:
                    name.rename(place.inbox / f"{step % 3}/m{seed}.jpg")
                else:
                    name.parent.mkdir(exist_ok=True)
                    name.write_bytes(contents[(seed + step) % 8])
            except FileNotFoundError:
                continue

    hands = [threading.Thread(target=hand, args=(seed,)) for seed in range(4)]
    for each in hands:
        each.start()
    for each in hands:
        each.join()
    settled(place, daemon)
    wait_for("nothing to wait", lambda: daemon.metric("hotfolder_sources_pending", watch="inbox") == 0)
    lived = {name: (place.out / name).read_bytes() for name in place.renditions()}
    assert daemon.stop() == 0
    shutil.rmtree(tmp_path / ".hotfolder")
    shutil.rmtree(place.out)
    assert place.scan().returncode == 0
    assert {name: (place.out / name).read_bytes() for name in place.renditions()} == lived
