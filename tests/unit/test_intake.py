"""What the intake makes of more than it may note: folders, which remember that something was deleted there."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from hotfolder.model import Job, Kind
from hotfolder.telemetry.metrics import Metrics
from hotfolder.watcher import intake as module
from hotfolder.watcher.intake import Intake, Outlet
from hotfolder.watcher.rules import Rules
from hotfolder.watcher.settle import Pace
from tests.helpers import wait_for


class Told:
    """An Outlet that remembers."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.walks: dict[bytes, bool] = {}
        self.lost: list[bool] = []

    def look_at(self, job: Job) -> None:
        self.jobs.append(job)

    def reconcile(self, folder: bytes, *, deleted: bool) -> None:
        self.walks[folder] = deleted

    def events_lost(self, *, deleted: bool) -> None:
        self.lost.append(deleted)

    def folder_moved(self, old: bytes, new: bytes) -> None:
        raise OSError(f"{old!r} to {new!r}")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(module, "NOTES_MAX", 2)
    monkeypatch.setattr(module, "FOLDERS_MAX", 3)
    return Told()


def intake_of(tmp_path: Path, told: Told) -> Intake:
    rules = Rules(str(tmp_path), recursive=True, include=(), exclude=(), ignore_files=())
    return Intake("w", rules, Pace(), cast("Outlet", told), Metrics("0", "pillow"))


def test_past_the_bound_a_folder_is_noted_with_what_was_known(tmp_path: Path, told: Told) -> None:
    intake = intake_of(tmp_path, told)
    for number in range(2):
        intake.changed(b"a/%d.jpg" % number, Kind.CLOSED)
    intake.changed(b"b/x.jpg", Kind.DELETED)
    intake.changed(b"b/y.jpg", Kind.CLOSED)  # takes nothing back
    intake.changed(b"c/x.jpg", Kind.CLOSED)
    intake.start()
    wait_for("all to be handed on", lambda: len(told.jobs) == 2 and len(told.walks) == 2)
    assert told.walks == {b"b": True, b"c": False}
    intake.stop()


def test_past_the_bound_of_folders_the_root_is_noted_with_what_was_known(tmp_path: Path, told: Told) -> None:
    intake = intake_of(tmp_path, told)
    for number in range(2):
        intake.changed(b"a/%d.jpg" % number, Kind.CLOSED)
    intake.changed(b"0/x.jpg", Kind.DELETED)
    for number in range(1, 4):
        intake.changed(b"%d/x.jpg" % number, Kind.CLOSED)
    intake.start()
    wait_for("the root to be handed on", lambda: told.walks)
    assert told.walks == {b"": True}
    intake.stop()


def test_gone_folders_and_moves_are_bounded(tmp_path: Path, told: Told) -> None:
    intake = intake_of(tmp_path, told)
    for number in range(5):
        intake.folder_changed(b"up/%d" % number, Kind.DELETED)
    for number in range(4):
        intake.moved(b"old%d" % number, b"new%d" % number, is_folder=True)
    assert intake.waiting <= 3 * 3
    intake.start()
    wait_for("the rest to be handed on", lambda: told.walks)
    assert told.walks[b""]  # a move that fails, too, ends in a walk of all
    intake.stop()


@pytest.mark.parametrize("deleted", [True, False])
def test_lost_events_are_told_with_what_those_before_said(tmp_path: Path, told: Told, *, deleted: bool) -> None:
    intake = intake_of(tmp_path, told)
    intake.changed(b"a.jpg", Kind.DELETED if deleted else Kind.CLOSED)
    intake.overflow([])
    intake.start()
    wait_for("it to be told", lambda: told.lost)
    assert told.lost == [deleted]
    intake.stop()


def test_half_a_rename_before_lost_events_deletes_nothing(tmp_path: Path, told: Told) -> None:
    """Its other half may be lost: the row has to be there when a walk finds the new name, or all is decoded again."""
    intake = intake_of(tmp_path, told)
    intake.changed(b"old.jpg", Kind.DELETED)
    intake.folder_changed(b"old", Kind.DELETED)
    intake.changed(b"gone.jpg", Kind.DELETED)
    intake.overflow([b"old.jpg", b"old"])
    intake.start()
    wait_for("the rest to be handed on", lambda: told.jobs)
    assert told.lost == [True]
    assert [job.path for job in told.jobs] == [b"gone.jpg"]
    assert intake.waiting == 0
    intake.stop()
