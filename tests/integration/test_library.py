"""The library face: its documentation is run, and importing it costs nothing."""

from __future__ import annotations

import doctest
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import hotfolder
from hotfolder import library
from tests.helpers import Place, jpeg
from tests.integration.test_orders import order

DOCS = Path(__file__).parents[2] / "docs/library.md"


@pytest.fixture
def names(place: Place, tmp_path: Path) -> dict[str, Any]:
    """What the examples speak of."""
    photo = place.put("photo.jpg", jpeg(640, 480))
    assert place.scan().returncode == 0
    not_a_photo = tmp_path / "note.jpg"
    not_a_photo.write_text("text")
    return {
        "hotfolder": hotfolder,
        "photo": photo,
        "not_a_photo": not_a_photo,
        "out": tmp_path / "made",
        "state": tmp_path / ".hotfolder",
    }


def test_the_guide_is_true(names: dict[str, Any]) -> None:
    done = doctest.testfile(str(DOCS), module_relative=False, globs=names)
    assert done.attempted > 10
    assert done.failed == 0


def test_the_docstrings_are_true(names: dict[str, Any]) -> None:
    done = doctest.testmod(library, globs=names)
    assert done.attempted >= 7
    assert done.failed == 0


def test_importing_is_light_and_typed() -> None:
    code = (
        "import sys, hotfolder; print(sorted({m.split('.')[0] for m in sys.modules} & {'PIL', 'cv2', 'numpy', 'yaml'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    assert resources.files("hotfolder").joinpath("py.typed").is_file()
    for name in hotfolder.__all__:
        assert getattr(hotfolder, name) is not None
    with pytest.raises(AttributeError):
        hotfolder.nothing  # noqa: B018


def test_wrong_arguments_and_errors_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='unknown preset "tiny"; built in are small'):
        hotfolder.render(tmp_path / "x.jpg", tmp_path, presets=["tiny"])
    with pytest.raises(FileNotFoundError):
        hotfolder.open_index(tmp_path)
    with pytest.raises(RuntimeError, match="of the caller"), hotfolder.batch(tmp_path / "out") as images:
        images.add(tmp_path / "none.jpg")
        raise RuntimeError("of the caller")


def test_the_index_is_read_while_the_daemon_writes(place: Place, run: Any) -> None:
    run(place)
    (place.inbox / "sub").mkdir()
    path = place.put("sub/a.jpg", jpeg())
    assert place.cli("wait", str(path)).returncode == 0
    with hotfolder.open_index(place.base / ".hotfolder") as index:
        known = index.find(path)
        assert known is not None
        assert {file.path for file in known.files} == {place.out / each for each in place.of("sub/a.jpg")}
        assert all(file.path is not None and file.path.stat().st_size == file.bytes for file in known.files)
        assert index.find(place.inbox / "sub/b.jpg") is None
        assert list(index.sources("nobody")) == []


def test_the_index_knows_what_was_ordered_into_a_folder_of_its_own(place: Place, run: Any) -> None:
    run(place)
    path = place.put("sub/a.jpg", jpeg())
    assert place.cli("wait", str(path)).returncode == 0
    asked = {"paths": ["sub/a.jpg"], "output": str(place.out / "for/web")}
    order(place, "thumbnails/generate", sizes=[{"width": 9, "height": 9, "suffix": "_w9"}], **asked)
    order(place, "images/optimize", format="webp", **asked)
    with hotfolder.open_index(place.base / ".hotfolder") as index:
        known = index.find(path)
        assert known is not None
        assert known == next(index.sources())
        found = {file.path for file in known.files if file.path is not None}
    ours = {"for/web/thumbnails/sub/a_w9.jpg", "for/web/optimized/sub/a.jpg.webp"}
    assert found == {place.out / each for each in place.of("sub/a.jpg") | ours}
    assert all(each.is_file() for each in found)
    exported = [each["path"] for each in place.export()[0]["renditions"]]
    assert {place.out / each for each in exported} == found
