from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hotfolder.model import Job, Kind, Lane, Version
from hotfolder.pipeline.source import Writers, is_whole
from hotfolder.watcher.settle import DELETE_SECONDS, LONGEST_WAIT, NETWORK_WAIT, Note, Pace

PACE = Pace(settle=0.5)


def test_a_close_is_enough_by_itself() -> None:
    assert PACE.event(None, b"a", Kind.CLOSED, 10.0, None).due == 10.0
    assert PACE.event(None, b"a", Kind.MOVED, 10.0, None).due == 10.0
    assert Pace(0.5, after_close=2).event(None, b"a", Kind.CLOSED, 10.0, None).due == 12.0


def test_no_close_waits_for_quiet_and_each_event_begins_it_anew() -> None:
    note = PACE.event(None, b"a", Kind.CREATED, 10.0, None)
    assert note.due == 10.5
    assert PACE.event(note, b"a", Kind.ATTRIB, 10.4, None).due == 10.9


def test_closed_twice_waits_by_itself() -> None:
    assert PACE.event(None, b"a", Kind.CLOSED, 10.0, 5.0).due == 10.5
    assert PACE.event(None, b"a", Kind.CLOSED, 20.0, 5.0).due == 20.0


def test_deletion_waits_and_being_made_again_takes_over() -> None:
    note = PACE.event(None, b"a", Kind.DELETED, 10.0, None)
    assert note.due == 12.0
    note = PACE.event(note, b"a", Kind.CREATED, 10.5, None)
    assert PACE.event(note, b"a", Kind.CLOSED, 10.6, None).due == 10.6


def test_where_nobody_can_say_who_writes_two_equal_looks_are_needed() -> None:
    job, version = Job("w", b"a.jpg", Lane.FRESH, 0.0, 0.0), Version(1, 2, 3, 4)
    assert not is_whole(job, version, Writers.UNKNOWN)
    assert not is_whole(replace(job, look=Version(1, 2, 3, 5)), version, Writers.UNKNOWN)
    assert is_whole(replace(job, look=version), version, Writers.UNKNOWN)
    assert is_whole(replace(job, closed=True), version, Writers.UNKNOWN)
    assert is_whole(job, version, Writers.NONE)
    assert not is_whole(replace(job, look=version, closed=True, rested=True), version, Writers.SOME)


events = st.lists(st.tuples(st.sampled_from(list(Kind)), st.floats(0.0, 30.0)), min_size=1, max_size=12)


@settings(deadline=None)
@given(events, st.booleans())
def test_always_due_soon_after_the_last_event(steps: list[tuple[Kind, float]], network: bool) -> None:
    pace = Pace(0.5, 0.2, lambda path: network)
    now, note, closed = 0.0, None, None
    for kind, pause in steps:
        now += pause
        note = pace.event(note, b"a", kind, now, closed)
        closed = now if kind is Kind.CLOSED else closed
        assert note.due <= now + max(DELETE_SECONDS, 0.5)
        assert note.seen_changing == now


@given(st.integers(1, 200), st.booleans())
def test_unfinished_waits_longer_but_never_for_ever(looks: int, network: bool) -> None:
    pace = Pace(0.5, slow=lambda path: network)
    note = Note(b"a", 0.0, 0.0)
    waits = []
    for _ in range(looks):
        note = pace.unfinished(note, None, 100.0)
        waits.append(note.due - 100.0)
    assert waits == sorted(waits)
    assert max(waits) <= max(LONGEST_WAIT, NETWORK_WAIT)
    assert not network or min(waits) >= NETWORK_WAIT
