from __future__ import annotations

import os
import sqlite3
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotfolder.errors import StartError
from hotfolder.index import backlog, folders, numbers, orders, plans, renditions, report, sources
from hotfolder.index.database import Database
from hotfolder.index.renditions import Made
from hotfolder.index.sources import Facts
from hotfolder.model import Result, State, Version
from hotfolder.pipeline import changes
from hotfolder.pipeline.admission import IN_FLIGHT_MOST
from hotfolder.store.inflight import InFlight
from hotfolder.store.layouts.mirror import LAYOUT
from hotfolder.store.outputs import Habits
from hotfolder.watches.site import Site

VERSION = Version(10, 20, 30, 40, b"h" * 16)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Database]:
    database = Database(str(tmp_path / "index.db"))
    database.open()
    database.write(
        lambda c: c.execute("INSERT INTO watch (id, name, root, output) VALUES (1, 'w', '/r', '/o')")
    ).result()
    yield database
    database.close()


def put(index: Database, path: bytes, state: State = State.DONE) -> int:
    folder, _, name = path.rpartition(b"/")

    def change(connection: sqlite3.Connection) -> int:
        folder_id = folders.ensure(connection, 1, folder, folds=False)
        source_id = sources.ensure(connection, 1, folder_id, name, time.time())
        sources.settle(connection, source_id, VERSION, state, "want", Facts(), time.time())
        made = Made("small", 1, 1, 5, "", "s", "{}", b"thumbnails", name + b"_s", 6, True)
        place = folders.place(connection, folder_id)
        renditions.put(connection, source_id, place, made.name, made, 0)
        return source_id

    return index.write(change).result()


def test_a_moved_folder_is_one_row(index: Database) -> None:
    put(index, b"a/b/x.jpg")
    put(index, b"a/y\xff.jpg")
    changes = index.read().execute("SELECT count(*) FROM folder").fetchone()
    assert index.write(lambda c: folders.move(c, 1, b"a", b"new/place")).result()
    assert sources.find(index.read(), 1, b"new/place/b/x.jpg") is not None
    assert sources.find(index.read(), 1, b"new/place/y\xff.jpg") is not None
    assert sources.find(index.read(), 1, b"a/b/x.jpg") is None
    assert index.read().execute("SELECT count(*) FROM folder").fetchone()[0] == changes[0] + 1
    assert not index.write(lambda c: folders.move(c, 1, b"missing", b"z")).result()


def test_rendition_paths_are_unique_and_one_failure_undoes_itself_alone(index: Database) -> None:
    first = put(index, b"x.jpg")
    second = put(index, b"y.jpg")
    stolen = Made("large", 1, 1, 5, "", "s", "{}", b"thumbnails", b"x.jpg_s", 6, True)
    place = folders.place(index.read(), folders.find(index.read(), 1, b"") or 0)
    conflict = index.write(lambda c: renditions.put(c, second, place, stolen.name, stolen, 0))
    fine = index.write(lambda c: renditions.drop(c, second, "small"))
    assert fine.result() is None
    with pytest.raises(sqlite3.IntegrityError):
        conflict.result()
    assert renditions.owner(index.read(), place, b"thumbnails", b"x.jpg_s", second) == first
    assert renditions.owner(index.read(), place, b"thumbnails", b"x.jpg_s", first) is None


def test_plans_that_nothing_was_made_by_are_forgotten(index: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "PRUNED_EVERY", 10)
    source_id = put(index, b"a.jpg")
    for number in range(95):
        index.write(lambda c, number=number: plans.ensure(c, f'{{"width": {number}}}')).result()  # type: ignore[misc]
    (count,) = index.read().execute("SELECT count(*) FROM plan").fetchone()
    assert count <= 11
    assert [each.plan for each in renditions.of(index.read(), source_id)] == ["{}"]


def test_ended_orders_are_forgotten_with_their_images(index: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "KEPT", 3)

    def change(connection: sqlite3.Connection) -> None:
        for number in range(8):
            orders.add(connection, f"o{number}", "generate", "{}", [orders.New(1, b"a.jpg", "a", "no image")], number)
        orders.add(connection, "open", "generate", "{}", [orders.New(1, b"a.jpg", "a")], 9.0)

    index.write(change).result()
    assert [each.key for each in orders.newest(index.read(), 20)] == ["open", "o7", "o6", "o5"]
    (count,) = index.read().execute("SELECT count(*) FROM order_item").fetchone()
    assert count == 4


def test_counts_follow_states(index: Database) -> None:
    one = put(index, b"x.jpg")
    put(index, b"y.jpg", State.FAILED)
    index.write(lambda c: backlog.retry(c, one, 0.0, 0)).result()
    assert {s: n for (_, s), n in report.states(index.read()).items() if n} == {State.PENDING: 1, State.FAILED: 1}
    index.write(lambda c: sources.remove(c, one)).result()
    assert {s: n for (_, s), n in report.states(index.read()).items() if n} == {State.FAILED: 1}


def test_removing_the_last_source_forgets_its_folders(index: Database) -> None:
    source_id = put(index, b"a/b/x.jpg")
    index.write(lambda c: sources.remove(c, source_id)).result()
    assert folders.find(index.read(), 1, b"a") is None
    assert folders.find(index.read(), 1, b"") is not None


def test_waiting_rows_come_in_pages_and_in_order(index: Database) -> None:
    for number in range(7):
        put(index, b"%d.jpg" % number)
    index.write(lambda c: c.execute("UPDATE source SET state = 0, retry_at = 7 - id % 3")).result()
    seen: list[tuple[float, int]] = []
    after = (-1.0, 0)
    while page := backlog.due(index.read(), 1, 100.0, after, 2):
        seen += [(row.retry_at, row.id) for row in page]
        after = seen[-1]
    assert seen == sorted(seen)
    assert len(seen) == 7


def test_survives_a_restart_and_refuses_the_future(tmp_path: Path, index: Database) -> None:
    put(index, b"x.jpg")
    index.close()
    again = Database(index.path)
    assert again.open(clean=False) is False
    assert sources.find(again.read(), 1, b"x.jpg") is not None
    again.close()
    with sqlite3.connect(index.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StartError, match="newer hotfolder"):
        Database(index.path).open()


def test_a_damaged_index_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    path.write_bytes(b"this is no database at all" * 400)
    index = Database(str(path))
    assert index.open() is True
    index.close()
    assert len(list(tmp_path.glob("index.db.damaged-*"))) == 1


def test_in_flight_notes_survive_a_kill_and_not_an_orderly_stop(tmp_path: Path) -> None:
    path = str(tmp_path / "inflight")
    notes = InFlight(path, boot="b1").open()
    slot = notes.enter("w", b"gone/by/then.jpg")
    notes.enter("w", b"a\xff.jpg")
    notes.decoded(notes.enter("w", b"waits for its commit"))
    notes.leave(slot)
    killed = InFlight(path, boot="b1").open()  # the first was never closed
    assert not killed.clean
    found = {n.path: n.suspect for n in killed.leftovers}
    assert found == {b"a\xff.jpg": True, b"waits for its commit": False}
    again = InFlight(path, boot="b1").open()  # killed before it had cleaned up: nothing is forgotten
    assert {n.path: n.suspect for n in again.leftovers} == found
    stopped = InFlight(path, boot="b2").open()  # not after a reboot
    assert [n.suspect for n in stopped.leftovers] == [False, False]
    stopped.leave(stopped.enter("w", b"y"))
    for note in stopped.leftovers:
        stopped.leave(note.slot)
    stopped.close()
    assert InFlight(path, boot="b2").open().leftovers == ()
    os.truncate(path, 77)
    assert InFlight(path, boot="b2").open().leftovers == ()


def test_notes_of_what_could_not_be_cleaned_up_outlive_an_orderly_stop(tmp_path: Path) -> None:
    path = str(tmp_path / "inflight")
    InFlight(path, boot="b").open().enter("w", b"a.jpg")
    away = InFlight(path, boot="b").open()  # its output is away
    away.close()
    back = InFlight(path, boot="b").open()
    assert [note.path for note in back.leftovers] == [b"a.jpg"]
    back.leave(back.leftovers[0].slot)
    back.close()
    assert InFlight(path, boot="b").open().leftovers == ()


def test_notes_outlive_an_opening_that_was_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it acquits all after a reboot, the next start is after that reboot, too."""
    path, writes = str(tmp_path / "inflight"), []
    notes = InFlight(path, boot="b1").open()
    for name in (b"a.jpg", b"b.jpg"):
        notes.enter("w", name)
    pwrite = os.pwrite

    def write(fd: int, content: bytes, at: int) -> int:
        writes.append(at)
        return 0 if len(writes) == 64 else pwrite(fd, content, at)

    monkeypatch.setattr(os, "pwrite", write)
    with pytest.raises(OSError, match="No space left"):
        InFlight(path, boot="b2").open()
    after = InFlight(path, boot="b2").open()
    assert not after.clean
    assert {note.path: note.suspect for note in after.leftovers} == {b"a.jpg": False, b"b.jpg": False}


def test_opening_notes_takes_no_memory_to_speak_of(tmp_path: Path) -> None:
    """What the allocator was asked for once stays with the process: 8 MB of an idle daemon were copies of this file."""
    InFlight(str(tmp_path / "inflight"), slots=IN_FLIGHT_MOST).open().enter("w", b"a.jpg")
    tracemalloc.start()
    try:
        InFlight(str(tmp_path / "inflight"), slots=IN_FLIGHT_MOST).open()
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


@given(st.integers(-(2**127), 2**127 - 1))
def test_numbers_of_any_size_come_back(value: int) -> None:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE t (n INTEGER)")
        connection.execute("INSERT INTO t VALUES (?)", (numbers.stored(value),))
        assert numbers.number(connection.execute("SELECT n FROM t").fetchone()[0]) == value
        query = "SELECT count(*) FROM t WHERE n = ?"
        assert connection.execute(query, (numbers.stored(value),)).fetchone() == (1,)
    connection.close()


def test_a_version_of_other_numbers_is_found_unchanged(index: Database) -> None:
    version = Version(5, 2**64 + 1, 2**64 - 1, -(2**70), b"x" * 16)
    source_id = put(index, b"a.jpg")
    index.write(lambda c: sources.settle(c, source_id, version, State.DONE, "want", Facts(), 0.0)).result()
    row = sources.find(index.read(), 1, b"a.jpg")
    assert row is not None and row.version == version
    index.write(lambda c: sources.rekey(c, source_id, replace(version, inode=2**63))).result()
    row = sources.find(index.read(), 1, b"a.jpg")
    assert row is not None and row.version.inode == 2**63


def test_folders_that_share_an_output_have_one_place_before_they_are_known(index: Database) -> None:
    """Where the output ignores case, a new folder whose name differs in case alone meets the names of the first."""
    put(index, b"Photos/Summer/x.jpg")
    folder_id = folders.find(index.read(), 1, b"Photos/Summer")
    assert folder_id is not None
    known = folders.place(index.read(), folder_id)
    for path in (b"Photos/Summer", b"photos/Summer", b"PHOTOS/summer"):
        assert folders.place_at(index.read(), 1, path, folds=True) == known
    assert folders.place_at(index.read(), 1, b"photos/winter", folds=True) is None
    assert folders.place_at(index.read(), 1, b"photos/Summer", folds=False) is None


def test_a_result_that_cannot_be_stored_ends_in_quarantine(index: Database, tmp_path: Path) -> None:
    """After some tries, so that nothing is tried for ever; its result says which."""
    site = Site(
        name="w",
        id=1,
        root=str(tmp_path),
        output=str(tmp_path),
        presets=(),
        optimize=None,
        analyze=None,
        layout=LAYOUT,
        mode=0o644,
        dir_mode=0o755,
        source_times=True,
        keep_deleted=False,
        habits=Habits(),
    )
    index.write(changes.Retry(site, b"a.jpg", 0.0, 5, young=False, put_off=2)).result()  # what it had failed before
    outcomes = []
    for tries in range(1, 5):
        outcomes.append(index.write(changes.NotStored(site, b"a.jpg", VERSION, "no room for it", tries)).result())
        if tries < 4:
            before = sources.find(index.read(), 1, b"a.jpg")
            assert before is not None
            assert (before.tries, before.put_off) == (5, 2)
    assert [each.result for each in outcomes] == [Result.RETRIED] * 3 + [Result.FAILED]
    row = sources.find(index.read(), 1, b"a.jpg")
    assert row is not None and row.state is State.FAILED
    assert report.quarantine(index.read()) == {"internal": 1}
