"""What one walk sees and asks of its surroundings, and what counts where it is ended before its own end."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfolder import wiring
from hotfolder.config import load
from hotfolder.index.database import Database
from hotfolder.watcher import walk
from hotfolder.watcher.compare import STEP
from hotfolder.watcher.options import Options
from hotfolder.watcher.reconcile import Reconcile
from hotfolder.watcher.rules import FolderRules, Rules
from hotfolder.watcher.walk import Alone, Ground
from hotfolder.watches.site import Site

Seat = tuple[Database, Site, Rules]


@pytest.fixture
def seat(tmp_path: Path) -> Iterator[Seat]:
    (tmp_path / "config.yaml").write_text("watches:\n  - path: ./in\n    output: ./out\n")
    (tmp_path / "in").mkdir()
    config = load(str(tmp_path / "config.yaml"), {}).config
    wiring.check_folders(config.watches)
    os.makedirs(config.state)
    index = Database(os.path.join(config.state, "index.db"))
    index.open()
    yield index, wiring.site_of(config, config.watches[0], index), wiring.rules_of(config, config.watches[0])
    index.close()


def put(root: str, *paths: str) -> None:
    for path in paths:
        place = Path(root, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"x")
        os.utime(place, (1.0, 1.0))


class Around(Alone):
    """Remembers what it was asked; ends the walk after so many steps."""

    def __init__(self, steps: int = 1000) -> None:
        self.ensured: list[bytes] = []
        self._steps = steps

    def ensure(self, folder: bytes) -> None:
        self.ensured.append(folder)

    def ground(self, folder: bytes) -> Ground:
        return Ground(b"disk" if folder.startswith(b"disk") else b"")

    def goes_on(self) -> bool:
        self._steps -= 1
        return self._steps >= 0


def test_folders_are_entered_from_the_top_in_the_order_of_their_names(seat: Seat) -> None:
    index, site, rules = seat
    put(site.root, "a.jpg", "b/deep/1.jpg", "b/2.jpg", "a/3.jpg", ".hidden/4.jpg", "a/5.txt")
    around = Around()
    findings = Reconcile(index, site, rules, around=around).run()
    assert around.ensured == [b"", b"a", b"b", b"b/deep"]
    assert (findings.sources, findings.new, findings.to_read, findings.complete) == (4, 4, 4, True)


def test_a_dry_one_writes_nothing(seat: Seat) -> None:
    index, site, rules = seat
    put(site.root, "a.jpg")
    assert Reconcile(index, site, rules, Options(dry=True)).run().new == 1
    assert Reconcile(index, site, rules).run().new == 1


@pytest.mark.parametrize("steps", [0, 1])
def test_one_that_is_ended_early_does_not_count_as_whole(seat: Seat, steps: int) -> None:
    """Also where it was in the midst of its last folder."""
    index, site, rules = seat
    put(site.root, *(f"{number:04}.jpg" for number in range(STEP + 1)))
    findings = Reconcile(index, site, rules, around=Around(steps)).run()
    assert findings.stopped
    assert findings.sources == (STEP - 1 if steps else 0)
    assert index.read().execute("SELECT reconciled_at FROM watch").fetchall() == [(None,)]


def test_the_names_of_one_folder_at_a_time_are_held(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two folders of 200,000 files each those of one take 12 MB."""
    index, site, rules = seat
    put(site.root, "a/1.jpg", "b/2.jpg", "c/3.jpg")

    class Names(list[bytes]):
        """Can be asked whether it is still there."""

    listed: list[weakref.ref[Names]] = []
    held: list[int] = []
    plain = walk._names

    def names(fd: int, folder_rules: FolderRules) -> tuple[list[bytes], list[bytes]]:
        held.append(sum(each() is not None for each in listed))
        files, below = plain(fd, folder_rules)
        listed.append(weakref.ref(found := Names(files)))
        return found, below

    monkeypatch.setattr(walk, "_names", names)
    Reconcile(index, site, rules).run()
    assert held == [0, 0, 0, 0]
