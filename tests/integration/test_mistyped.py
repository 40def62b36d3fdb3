"""Paths that are not there: a wrong argument (2) where nothing else was named, a failed image (1) among others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.helpers import Daemon, Place, jpeg


@pytest.mark.parametrize(
    "command",
    [("process", "--to", "to"), ("analyze",), ("analyze", "--json"), ("duplicates",), ("blurred", "-0")],
    ids="-".join,
)
def test_a_mistyped_path_is_wrong_usage_and_among_others_a_failed_image(place: Place, command: tuple[str, ...]) -> None:
    place.put("a.jpg", jpeg())
    place.put("broken.jpg", b"\xff\xd8\xff nothing")
    for wrong in (["inbox/b.jpg"], ["inbox/b.jpg", "inbox/c.jpg"], ["inbox/a.jpg/c.jpg"]):
        done = place.cli(*command, *wrong)
        assert done.returncode == 2, done.stderr
        assert all(f"hotfolder: {name}: " in done.stderr for name in wrong)
        assert "look at the spelling" in done.stderr
    for others in ("inbox/a.jpg", "inbox/broken.jpg"):
        done = place.cli(*command, others, "inbox/b.jpg")
        assert done.returncode == 1
        assert "hotfolder: inbox/b.jpg: " in done.stderr


def test_waiting_for_a_mistyped_path_is_wrong_usage(place: Place, run: Callable[[Place], Daemon]) -> None:
    place.put("a.jpg", jpeg())
    run(place)
    done = place.cli("wait", "inbox/b.jpg")
    assert (done.returncode, "b.jpg: there is no such file" in done.stderr) == (2, True)
    done = place.cli("wait", "inbox/a.jpg", "inbox/b.jpg")
    assert (done.returncode, "b.jpg: there is no such file" in done.stderr) == (1, True)
