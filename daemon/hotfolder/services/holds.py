"""What `pause` and `resume` hold, and how it is shown."""

from __future__ import annotations

from typing import Protocol

from hotfolder.model import HeldName, Lane
from hotfolder.queue.holds import Holds, State
from hotfolder.services.answers import Answer


class Holding(Protocol):
    """Who can be asked to hold work: an engine, or what stands for one that does not run."""

    @property
    def holds(self) -> Holds: ...


class Paused(Answer):
    """A lane that was paused; a watch of null: of all watches."""

    lane: Lane
    watch: str | None


class Backlog(Answer):
    """The hours in which the backlog is worked on, and whether it is now."""

    window: str | None
    open: bool


class Held(Answer):
    """All that is held."""

    paused: list[Paused]
    backlog: Backlog


def held(holding: Holding) -> Held:
    """What is held now."""
    return _shown(holding.holds.state)


def pause(holding: Holding, lane: HeldName, watch: str | None) -> Held:
    """Begin no more work of the lane, of one watch or of all."""
    return _shown(holding.holds.pause(_lanes(lane), watch))


def resume(holding: Holding, lane: HeldName, watch: str | None) -> Held:
    """Go on with what was paused."""
    return _shown(holding.holds.resume(_lanes(lane), watch))


def _lanes(name: HeldName) -> frozenset[Lane]:
    return frozenset(Lane) if name == "all" else frozenset({Lane.BACKLOG})


def _shown(state: State) -> Held:
    """What holds all watches comes first."""
    paused = sorted(state.paused, key=lambda each: (each[1] is not None, each[0], each[1] or ""))
    return Held(
        paused=[Paused(lane=lane, watch=watch) for lane, watch in paused],
        backlog=Backlog(window=None if state.window is None else str(state.window), open=state.window_open),
    )
