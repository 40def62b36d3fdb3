"""What the rounds have to do stays asked for until it has been done."""

from __future__ import annotations

import pytest

from hotfolder.watcher.agenda import Agenda
from hotfolder.watcher.request import Request
from hotfolder.watcher.schedule import Schedule


@pytest.fixture
def agenda() -> Agenda:
    return Agenda(Schedule(60.0, None))


def test_a_sweep_that_is_asked_for_during_another_is_made(agenda: Agenda) -> None:
    agenda.sweep_soon()
    with agenda.sweeping():
        agenda.sweep_soon()
    agenda.swept(held=0)
    assert agenda.sweep_since is not None
    with agenda.sweeping():
        pass
    agenda.swept(held=0)
    assert agenda.sweep_since is None


def test_a_sweep_that_fails_is_made_again_with_the_users_word(agenda: Agenda) -> None:
    agenda.leave_open(Request((b"",), confirm=True))
    since = agenda.sweep_since
    with pytest.raises(OSError, match="away"), agenda.sweeping() as confirmed:
        assert confirmed
        raise OSError("away")
    assert agenda.sweep_since == since
    with agenda.sweeping() as confirmed:
        assert confirmed
    with agenda.sweeping() as confirmed:
        assert not confirmed


def test_who_waits_for_the_end_of_work_hears_of_it(agenda: Agenda) -> None:
    agenda.leave_open(Request((b"",)))
    agenda.worked_off()
    agenda.take(lambda: None)  # at once, where otherwise it waited for ever
