"""Renames that come one on another: the row stays until the last of them has been looked at."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotfolder.model import Job, Kind, Lane, Version
from hotfolder.telemetry.metrics import Metrics
from hotfolder.watcher.intake import Intake, Outlet
from hotfolder.watcher.rules import Rules
from hotfolder.watcher.settle import DELETE_SECONDS, Pace
from hotfolder.watcher.trails import Trails


def test_a_trail_is_followed_to_its_end() -> None:
    trails = Trails()
    for number in range(5):
        trails.note(b"%d" % number, b"%d" % (number + 1), float(number))
    assert [trails.last(b"%d" % number) for number in range(6)] == [4.0] * 5 + [None]


@given(st.lists(st.tuples(st.sampled_from(b"abc"), st.sampled_from(b"abc")), max_size=30))
def test_names_in_turn_make_no_circle(steps: list[tuple[int, int]]) -> None:
    trails = Trails()
    for now, (old, new) in enumerate(steps):
        trails.note(bytes([old]), bytes([new]), float(now))
    for name in (b"a", b"b", b"c"):
        times = [float(now) for now, (old, _) in enumerate(steps) if bytes([old]) == name]
        last = trails.last(name)
        assert (last is None) == (not times)
        assert last is None or times[-1] <= last < len(steps)


@pytest.mark.parametrize("back", [False, True])
def test_a_deletion_waits_for_the_last_rename_but_a_file_that_is_there_does_not(tmp_path: Path, *, back: bool) -> None:
    now = [100.0]
    rules = Rules(str(tmp_path), recursive=True, include=(), exclude=(), ignore_files=())
    outlet = cast("Outlet", None)  # nothing is handed on: the intake's thread does not run
    intake = Intake("w", rules, Pace(), outlet, Metrics("0", "pillow"), lambda: now[0])
    for number in range(3):
        old, new = b"%d.jpg" % number, b"%d.jpg" % (number + 1)
        intake.changed(old, Kind.DELETED)
        intake.moved(old, new, is_folder=False)
        now[0] += DELETE_SECONDS * 0.6
    if back:
        intake.changed(b"0.jpg", Kind.CREATED)
        intake.changed(b"0.jpg", Kind.CLOSED)
    due = {note.path for note in intake._take_due()}
    assert due == ({b"0.jpg", b"3.jpg"} if back else {b"3.jpg"})
    now[0] += DELETE_SECONDS
    assert {note.path for note in intake._take_due()} == {b"0.jpg", b"1.jpg", b"2.jpg"} - due


@pytest.mark.parametrize("stirs", [False, True])
def test_only_what_was_seen_to_change_makes_its_tries_begin_anew(tmp_path: Path, *, stirs: bool) -> None:
    """A look that found nothing to compare with is our own, and no change."""
    now = [100.0]
    rules = Rules(str(tmp_path), recursive=True, include=(), exclude=(), ignore_files=())
    intake = Intake("w", rules, Pace(), cast("Outlet", None), Metrics("0", "pillow"), lambda: now[0])
    intake.again(Job("w", b"a.jpg", Lane.FRESH, 1.0, 1.0), Version(1, 1, 1, 1), stirs=stirs)
    now[0] += 10.0
    assert [note.seen_changing for note in intake._take_due()] == [100.0 if stirs else None]
