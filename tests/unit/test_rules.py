from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hotfolder.store import outputs
from hotfolder.store.layouts.mirror import LAYOUT
from hotfolder.watcher.rules import FolderRules, Rules


def rules(root: Path, **options: object) -> Rules:
    settings = {"recursive": True, "include": (), "exclude": (), "ignore_files": (".hotfolderignore", ".nomedia")}
    return Rules(str(root), **(settings | options))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [b"a.jpg", b"A.JPEG", b"x/y/z.webp", b"\xff\xfe.png", b"new\nline.jpg", b"r.nef"])
def test_sources(tmp_path: Path, name: bytes) -> None:
    assert rules(tmp_path).is_source(name)


LEFT_OUT = """
a.txt jpg .hidden.jpg @eaDir/a.jpg #recycle/a.jpg a/.snapshot/b.jpg a.jpg.part ~a.jpg .a.jpg.Xy12Zz
$RECYCLE.BIN/x.jpg a.jpg.crdownload lost+found/a.jpg a.jpg.tmp b.jpg~
""".split()


@pytest.mark.parametrize("name", [name.encode() for name in LEFT_OUT])
def test_built_in_exclusions(tmp_path: Path, name: bytes) -> None:
    found = rules(tmp_path)
    assert not found.is_source(name)
    assert found.why_not(name)


def test_patterns_and_recursion(tmp_path: Path) -> None:
    found = rules(tmp_path, include=("*.png",), exclude=("drafts/", "x*"))
    assert found.is_source(b"a/b.png")
    assert not found.is_source(b"a/b.jpg")
    assert not found.is_source(b"a/drafts/b.png")
    assert not found.is_source(b"xy.png")
    assert not found.enters(b"a/drafts")
    flat = rules(tmp_path, recursive=False)
    assert flat.is_source(b"a.jpg")
    assert not flat.enters(b"sub")


def test_ignore_files_of_deeper_folders_win(tmp_path: Path) -> None:
    deep = tmp_path / "a/b"
    deep.mkdir(parents=True)
    (tmp_path / ".hotfolderignore").write_text("*.png\n")
    (deep / ".hotfolderignore").write_text("!keep.png\n/top.jpg\n")
    found = rules(tmp_path)
    assert not found.is_source(b"a/x.png")
    assert found.is_source(b"a/b/keep.png")
    assert not found.is_source(b"a/b/top.jpg")
    assert found.is_source(b"a/top.jpg")
    (deep / ".nomedia").write_text("")
    assert found.is_source(b"a/b/keep.png")  # decided before
    found.forget()
    assert not found.enters(b"a/b")


def test_outputs_and_folders_of_others_are_not_entered(tmp_path: Path) -> None:
    made = tmp_path / "old-output"
    outputs.prepare(str(made), LAYOUT, 0o755, outputs.Habits())
    assert os.path.exists(made / "CACHEDIR.TAG")
    found = rules(tmp_path, not_below=lambda: [b"mine"])
    assert not found.enters(b"old-output")
    assert not found.enters(b"old-output/thumbnails")
    assert not found.enters(b"mine/x")
    assert rules(made).is_source(b"a.jpg")  # a root inside an output: a chain


def test_a_rule_in_a_folder_whose_name_is_no_text_can_be_told(tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"f\xff")
    os.mkdir(folder)
    with open(os.path.join(folder, b".nomedia"), "wb"):
        pass
    assert rules(tmp_path).why_not(b"f\xff/a.jpg") == "the empty f\\xff/.nomedia leaves its folder out"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
@pytest.mark.parametrize("what", ["root", "folder", "ignore file", "mark"])
def test_a_shortage_does_not_mean_that_there_is_no_ignore_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, what: str
) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f/.hotfolderignore").write_text("*.jpg\n")
    real = os.open
    short: object = {
        "root": str(tmp_path),
        "folder": b"f",
        "ignore file": b".hotfolderignore",
        "mark": b"CACHEDIR.TAG",
    }[what]

    def failing(path: object, *args: int, **keys: int) -> int:
        if path == short:
            raise OSError(number, os.strerror(number))
        return real(path, *args, **keys)  # type: ignore[arg-type]

    found = rules(tmp_path, ignore_files=(".hotfolderignore",))
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing)
        with pytest.raises(OSError, match=os.strerror(number)):
            found.is_source(b"f/a.jpg")
    assert not found.is_source(b"f/a.jpg")  # and nothing wrong was remembered


def test_what_was_read_before_a_change_is_not_remembered_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread reads the ignore files while another is told that they have changed: the next look must see that."""
    (tmp_path / "a.jpg").touch()
    rules = Rules(str(tmp_path), recursive=True, include=[], exclude=[], ignore_files=[".hotfolderignore"])
    read = rules._with_ignore_files

    def overtaken(found: FolderRules) -> FolderRules:
        found = read(found)
        (tmp_path / ".hotfolderignore").write_text("a.jpg")
        rules.forget()
        return found

    monkeypatch.setattr(rules, "_with_ignore_files", overtaken)
    assert rules.is_source(b"a.jpg")  # it was, when it was asked
    monkeypatch.setattr(rules, "_with_ignore_files", read)
    assert not rules.is_source(b"a.jpg")
