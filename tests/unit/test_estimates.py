"""How long an order will take, by the seconds of work that its newest images took."""

from __future__ import annotations

from hotfolder.orders.estimates import NEWEST, Estimates


def test_nothing_is_said_before_something_was_made() -> None:
    assert Estimates().left(1, 100, 2) is None


def test_what_is_left_by_so_many_workers() -> None:
    estimates = Estimates()
    for seconds in (1.0, 3.0):
        estimates.note(1, seconds)
    assert estimates.left(1, 10, 4) == 5.0
    assert estimates.left(1, 1, 4) == 2.0  # a single image is no faster for it
    assert estimates.left(1, 10, 0.3) == 20.0
    assert estimates.left(2, 10, 4) is None
    for _ in range(NEWEST):
        estimates.note(1, 8.0)  # large ones now
    assert estimates.left(1, 10, 4) == 20.0
    estimates.forget(1)
    assert estimates.left(1, 10, 4) is None
