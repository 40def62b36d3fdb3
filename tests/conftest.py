"""Fixtures: a place to work in, and daemons that are stopped whatever happens."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hotfolder.imaging import native
from tests import kernel
from tests.helpers import Daemon, Place
from tests.receiver import Receiver


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-native", action="store_true", help="as where the accelerator could not be built")


def pytest_configure(config: pytest.Config) -> None:
    """Before anything is collected: fixtures of a module must not see it either, and its tests are skipped."""
    if config.getoption("--without-native"):
        native.core = None


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def run() -> Iterator[Callable[[Place], Daemon]]:
    """Start a daemon in a place and wait until it stands."""
    started: list[Daemon] = []

    def start(place: Place) -> Daemon:
        with kernel.unchanged():
            daemon = Daemon(place)
            started.append(daemon)
            return daemon.ready()

    yield start
    for daemon in started:
        daemon.stop(signal.SIGKILL)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """The other end of a hook's address."""
    receiver = Receiver()
    yield receiver
    receiver.close()
