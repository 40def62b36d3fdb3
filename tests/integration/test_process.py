"""`hotfolder process` and `batch`: files of many folders into one, of which none is lost and no source is replaced."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hotfolder
from hotfolder import OptimizeSpec
from hotfolder.store import gathering
from tests.helpers import Place, environment, jpeg

SMALL = ("--preset", "small")


def put(path: Path, seed: int = 0, width: int = 320) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(width, 240, seed))
    return path


def made(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}


def process(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    return place.cli("process", *arguments, "--to", "to")


def test_names_that_meet_keep_their_folders_and_no_others(place: Place) -> None:
    for at, name in enumerate(["p/a/x.jpg", "p/b/c/x.jpg", "p/x.jpg", "q/y.jpg"]):
        put(place.base / name, at, 320 + 20 * at)
    done = process(place, "p/a/x.jpg", "p/b/c/x.jpg", "p/x.jpg", "q/y.jpg")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(made(place.base / "to")) == 4 * 7
    thumbs = {"a/x_preview.jpg", "b/c/x_preview.jpg", "x_preview.jpg", "y_preview.jpg"}
    copies = {"optimized/a/x.jpg", "optimized/b/c/x.jpg", "optimized/x.jpg", "optimized/y.jpg"}
    assert thumbs | copies <= made(place.base / "to")
    again = process(place, "p/a/x.jpg", "p/b/c/x.jpg", "p/x.jpg", "q/y.jpg")
    assert again.returncode == 0
    assert len(made(place.base / "to")) == 4 * 7  # the same files take the same places


def test_groups_have_common_parents_of_their_own(place: Place) -> None:
    names = ["1/a/x.jpg", "1/b/x.jpg", "2/a/y.jpg", "2/b/y.jpg"]
    for name in names:
        put(place.base / name)
    assert process(place, *names, *SMALL).returncode == 0
    assert made(place.base / "to") == {f"{name[2:-4]}_thumb_small.jpg" for name in names}


def test_names_that_differ_meet_nobody(place: Place) -> None:
    names = ["a/x.jpg", "a/x.jpeg", "a/x.png", "b/X.jpg", "b/x.JPG"]
    for name in names:
        put(place.base / name)
    assert process(place, *names).returncode == 0
    assert {"x_preview.jpg", "x_preview.jpeg", "x.png_preview.jpg", "X_preview.jpg", "x_preview.JPG"} <= made(
        place.base / "to"
    )
    assert len(made(place.base / "to")) == 5 * 7


def test_one_file_by_many_names_is_done_once(place: Place) -> None:
    put(place.base / "a/x.jpg")
    (place.base / "link").symlink_to("a")
    names = ["a/x.jpg", "a/../a/x.jpg", "./a/x.jpg", "link/x.jpg", str(place.base / "a/x.jpg")]
    done = process(place, *names, *SMALL)
    assert (done.returncode, done.stdout) == (0, "a/x.jpg: 1 renditions\n")
    assert made(place.base / "to") == {"x_thumb_small.jpg"}


def test_a_link_is_an_image_of_its_own(place: Place) -> None:
    put(place.base / "a/x.jpg")
    (place.base / "b").mkdir()
    (place.base / "b/x.jpg").symlink_to("../a/x.jpg")
    assert process(place, "a/x.jpg", "b/x.jpg", *SMALL).returncode == 0
    assert made(place.base / "to") == {"a/x_thumb_small.jpg", "b/x_thumb_small.jpg"}


def test_no_source_is_ever_replaced(place: Place) -> None:
    own = put(place.base / "to/optimized/x.jpg", 1)
    other = put(place.base / "to/y_thumb_small.jpg", 2)
    behind = put(place.base / "to/z_thumb_small.jpg", 3)
    (place.base / "link.jpg").symlink_to(behind)
    for name in ("to/y.jpg", "z.jpg"):
        put(place.base / name, 4)
    before = {path: path.read_bytes() for path in (own, other, behind)}
    (place.base / "door").symlink_to("to")
    done = place.cli(
        "process", str(own), "to/y.jpg", "door/y_thumb_small.jpg", "z.jpg", "link.jpg", "--to", str(place.base / "to")
    )
    assert done.returncode == 1
    assert [line.split(":")[1].strip() for line in done.stderr.splitlines()] == [str(own), "to/y.jpg", "z.jpg"]
    assert all("would replace a source" in line for line in done.stderr.splitlines())
    assert {path: path.read_bytes() for path in before} == before


def test_what_a_former_run_left_is_replaced_and_sources_in_the_folder_serve(place: Place) -> None:
    first, second = put(place.base / "a/x.jpg", 1), put(place.base / "b/x.jpg", 2)
    assert process(place, str(first), *SMALL).returncode == 0
    former = (place.base / "to/x_thumb_small.jpg").read_bytes()
    assert process(place, str(second), *SMALL).returncode == 0
    assert (place.base / "to/x_thumb_small.jpg").read_bytes() != former
    inside = put(place.base / "to/in.jpg", 3)
    before = inside.read_bytes()
    assert process(place, str(inside)).returncode == 0
    assert {"in_preview.jpg", "optimized/in.jpg"} <= made(place.base / "to")
    assert inside.read_bytes() == before


def test_names_that_would_meet_in_spite_of_their_folders_are_refused(place: Place) -> None:
    """The thumbnail of one, in the folder it keeps, would have the name of the other's copy."""
    names = ["p/optimized/x.jpg", "p/x.jpg", "p/x_preview.jpg"]
    for name in names:
        put(place.base / name)
    done = process(place, *names)
    assert done.returncode == 1
    assert done.stderr.startswith("hotfolder: p/x_preview.jpg: its renditions would replace those of ")
    assert len(made(place.base / "to")) == 2 * 7


def test_odd_names(place: Place) -> None:
    odd = [b"-x.jpg", b"a b\n.jpg", b"\xff'\".jpg"]
    for at, folder in enumerate((b"p", b"q")):
        for name in odd:
            put(Path(os.fsdecode(os.path.join(os.fsencode(place.base), folder, name))), at)
    paths = [os.fsdecode(folder + b"/" + name) for folder in (b"p", b"q") for name in odd]
    command = [sys.executable, "-c", "from hotfolder.cli import main; main()", "process", *SMALL, "--to", "to", "--"]
    done = subprocess.run([*command, *paths], check=False, cwd=place.base, capture_output=True, env=environment())
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(made(place.base / "to")) == 6


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Path]:
    """A folder that ignores case."""
    where = tmp_path / "plain"
    where.mkdir()
    image = tmp_path / "disk"
    image.write_bytes(b"")
    os.truncate(image, 20 << 20)
    commands = [["mkntfs", "-F", "-Q", "-q", str(image)], ["lowntfs-3g", "-o", "ignore_case", str(image), str(where)]]
    try:
        for command in commands:
            subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs ntfs-3g and the right to mount")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def test_an_output_that_ignores_case(place: Place, plain: Path) -> None:
    for at, name in enumerate(["a/x.jpg", "b/X.JPG", "b/x.jpg"]):
        put(place.base / name, at)
    done = place.cli("process", "a/x.jpg", "b/X.JPG", "--to", str(plain), *SMALL)
    assert done.returncode == 0, done.stderr
    assert {each.lower() for each in made(plain)} == {"a/x_thumb_small.jpg", "b/x_thumb_small.jpg"}
    done = place.cli("process", "b/X.JPG", "b/x.jpg", "--to", str(plain), *SMALL)
    assert done.returncode == 1
    assert "b/x.jpg: its renditions would replace those of" in done.stderr
    source = put(plain / "optimized/in.jpg")
    before = source.read_bytes()
    done = place.cli("process", str(source).replace("in.jpg", "IN.jpg"), "--to", str(plain))
    assert done.returncode == 1
    assert source.read_bytes() == before


def test_a_batch_refuses_what_would_meet_and_takes_folders(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (put(place.base / name / "x.jpg", at) for at, name in enumerate("abc"))
    to = place.base / "to"
    with hotfolder.batch(to, presets=iter(["small"]), optimize=OptimizeSpec()) as images:
        images.add(first)
        images.add(first)
        images.add(second)
        images.add(third, "c/d")
        with pytest.raises(ValueError, match="relative"):
            images.add(third, "../d")
    assert [each.source for each in images.results].count(first) == 2
    assert [(path, error.reason) for path, error in images.errors.items()] == [(second, "name_taken")]  # type: ignore[union-attr]
    assert made(to) == {"x_thumb_small.jpg", "optimized/x.jpg", "c/d/x_thumb_small.jpg", "optimized/c/d/x.jpg"}
    assert images.results[-1].files[0].path is not None
    own = to / "optimized/x.jpg"
    before = own.read_bytes()
    with pytest.raises(hotfolder.SourceError, match="would replace a source"):
        hotfolder.render(own, to, presets=[], optimize=OptimizeSpec())
    assert own.read_bytes() == before
    assert gathering.ignores_case(to) is False


def test_what_is_no_regular_file_is_said_and_never_waited_for(place: Place) -> None:
    os.mkfifo(place.base / "pipe.jpg")
    put(place.base / "x.jpg")
    done = process(place, "pipe.jpg", "x.jpg", *SMALL)
    assert (done.returncode, made(place.base / "to")) == (1, {"x_thumb_small.jpg"})
    assert done.stderr == "hotfolder: pipe.jpg: it is no regular file\n"
